/// Makes messages out of lines: `"""` opens and closes a message of many lines.
///
/// A block may open and close in one line, and a pasted text of many lines is one message by itself. The quotation
/// marks are no part of the message, nor are the newlines right after the opening and right before the closing ones.
public struct MessageAssembler: Sendable {
    private static let fence = "\"\"\""
    private var block: String?

    /// An assembler between messages.
    public init() {}

    /// Whether a block is open, so that the next line carries on the message.
    public var isInBlock: Bool { block != nil }

    /// What a line led to.
    public enum Step: Sendable, Equatable {
        /// The message is not complete.
        case more
        /// A message. `isBlock` says that it stood in `"""` and so is never a command.
        case message(String, isBlock: Bool)
    }

    /// Takes a line, or a pasted text, without its last newline.
    public mutating func add(_ line: String) -> Step {
        let text: String
        if let block {
            text = block + "\n" + line
        } else {
            let start = line.drop { $0 == " " || $0 == "\t" }
            guard start.hasPrefix(Self.fence) else { return .message(line, isBlock: false) }
            text = String(start.dropFirst(3))
        }
        let end = Self.withoutTrailingSpace(text)
        if end.hasSuffix(Self.fence) {
            block = nil
            return .message(Self.trimmed(end.dropLast(3)), isBlock: true)
        }
        block = text
        return .more
    }

    /// Drops an open block.
    public mutating func discard() { block = nil }

    /// What an open block holds at the end of input, or nil where none is open.
    public mutating func finish() -> String? {
        defer { block = nil }
        return block.map { Self.trimmed($0[...]) }
    }

    private static func withoutTrailingSpace(_ text: String) -> Substring {
        var end = text[...]
        while let last = end.last, last == " " || last == "\t" { end = end.dropLast() }
        return end
    }

    /// "\r\n" is one Character and counts as one newline here.
    private static func trimmed(_ text: Substring) -> String {
        var text = text
        if let first = text.first, first.isNewline { text = text.dropFirst() }
        if let last = text.last, last.isNewline { text = text.dropLast() }
        return String(text)
    }
}
