import ServingJSON

/// JSON values as YAML text that any reader takes for the same values: blocks, two spaces a level, texts in quotation
/// marks wherever they could be taken for something else.
enum YAMLText {
    static func text(of value: JSONValue) -> String {
        var lines: [String] = []
        write(value, indent: "", into: &lines)
        return lines.joined(separator: "\n") + "\n"
    }

    private static func write(_ value: JSONValue, indent: String, into lines: inout [String]) {
        switch value {
        case .object(let object) where !object.isEmpty:
            for (key, member) in object.members {
                writeEntry("\(indent)\(scalar(.string(key))):", member, indent: indent, into: &lines)
            }
        case .array(let elements) where !elements.isEmpty:
            for element in elements { writeElement(element, indent: indent, into: &lines) }
        default: lines.append(indent + scalar(value))
        }
    }

    private static func writeEntry(_ head: String, _ value: JSONValue, indent: String, into lines: inout [String]) {
        guard isBlock(value) else {
            lines.append("\(head) \(scalar(value))")
            return
        }
        lines.append(head)
        // Lists stand at their key's own depth, as people write them.
        write(value, indent: value.arrayValue == nil ? indent + "  " : indent, into: &lines)
    }

    private static func writeElement(_ value: JSONValue, indent: String, into lines: inout [String]) {
        guard isBlock(value) else {
            lines.append("\(indent)- \(scalar(value))")
            return
        }
        var inner: [String] = []
        write(value, indent: indent + "  ", into: &inner)
        // The first line of a block begins after the dash.
        if let first = inner.first { lines.append("\(indent)- \(first.dropFirst(indent.count + 2))") }
        lines += inner.dropFirst()
    }

    private static func isBlock(_ value: JSONValue) -> Bool {
        switch value {
        case .object(let object): !object.isEmpty
        case .array(let elements): !elements.isEmpty
        default: false
        }
    }

    private static func scalar(_ value: JSONValue) -> String {
        guard case .string(let text) = value else { return value.text() }
        // JSON's quoted texts are YAML's, too.
        return isPlain(text) ? text : value.text()
    }

    /// Whether a text stands for itself: a word, maybe with points, slashes and the like, that is no number, truth or
    /// null.
    private static func isPlain(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard let first = bytes.first, isLetter(first) || first == UInt8(ascii: "/") || first == UInt8(ascii: "_")
        else {
            return false
        }
        let isWord = bytes.allSatisfy { byte in
            isLetter(byte) || (0x30...0x39).contains(byte) || "./_-+@".utf8.contains(byte)
        }
        return isWord && !reserved.contains(text.lowercased())
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte | 0x20) }

    /// Words that some version of YAML takes for something else.
    private static let reserved: Set<String> = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"]
}
