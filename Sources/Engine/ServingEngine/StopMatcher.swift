/// Finds stop strings in streamed text and holds back text that may be the start of one.
///
/// The text ends at the stop string that is complete first; when several are complete at the same byte, at the longest.
/// What is released does not depend on how the text is cut into pieces. Each byte costs one step of the
/// Knuth-Morris-Pratt automaton of each stop string; what is held back is at most one byte short of the longest stop
/// string. Works on UTF-8 bytes: stop strings begin with whole characters, so what is held back does too.
struct StopMatcher {
    /// What came of a piece of text.
    struct Release: Equatable {
        /// Text that is certain now.
        var text: String
        /// The stop string that ended the text; nil when it goes on.
        var stop: String?
    }

    private struct Pattern {
        let text: String
        let bytes: [UInt8]
        /// Length of the longest proper border of each beginning, by its length.
        let borders: [Int]
        /// Bytes of the pattern that the text ends with.
        var matched = 0

        init(_ text: String) {
            self.text = text
            bytes = Array(text.utf8)
            var borders = [0, 0]
            var length = 0
            for index in bytes.indices.dropFirst() {
                while length > 0, bytes[index] != bytes[length] { length = borders[length] }
                if bytes[index] == bytes[length] { length += 1 }
                borders.append(length)
            }
            self.borders = borders
        }

        /// Whether the text ends with the whole pattern now.
        mutating func advance(_ byte: UInt8) -> Bool {
            while matched > 0, bytes[matched] != byte { matched = borders[matched] }
            if bytes[matched] == byte { matched += 1 }
            return matched == bytes.count
        }
    }

    private var patterns: [Pattern]
    private let includesStop: Bool
    private var held: [UInt8] = []

    /// A matcher for non-empty stop strings; `includesStop` leaves the stop string in the text.
    init(_ stopStrings: [String], includesStop: Bool = false) {
        patterns = stopStrings.filter { !$0.isEmpty }.map { Pattern($0) }
        self.includesStop = includesStop
    }

    /// Takes a piece of text. After a stop string was found, no more may come.
    mutating func append(_ text: String) -> Release {
        guard !patterns.isEmpty, !text.isEmpty else { return Release(text: text, stop: nil) }
        for byte in text.utf8 {
            held.append(byte)
            var found: Int?
            for index in patterns.indices where patterns[index].advance(byte) {
                if let found, patterns[found].bytes.count >= patterns[index].bytes.count { continue }
                found = index
            }
            if let found {
                if !includesStop { held.removeLast(patterns[found].bytes.count) }
                return Release(text: releaseAll(), stop: patterns[found].text)
            }
        }
        let suspected = patterns.reduce(0) { max($0, $1.matched) }
        let certain = held.count - suspected
        defer { held.removeFirst(certain) }
        return Release(text: String(decoding: held[..<certain], as: UTF8.self), stop: nil)
    }

    /// Returns what is held back when no more text comes.
    mutating func finish() -> String { releaseAll() }

    private mutating func releaseAll() -> String {
        defer { held.removeAll() }
        return String(decoding: held, as: UTF8.self)
    }
}
