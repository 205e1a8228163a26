import ServingJSON

/// Finds the members of a JSON object in its bytes, so that one of them is replaced and nothing else is written anew.
///
/// The bytes should hold one object that a parser has taken; on others it finds fewer members and never reads beyond
/// the end.
struct JSONMembers {
    /// A member: its key without quotation marks, as it is spelled, and its value.
    struct Member: Equatable {
        var key: Range<Int>
        var value: Range<Int>
    }

    private let bytes: UnsafeRawBufferPointer
    private var offset = 0

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
        if bytes.count >= 3, bytes[0] == 0xEF, bytes[1] == 0xBB, bytes[2] == 0xBF { offset = 3 }
        skipSpace()
        offset = peek == UInt8(ascii: "{") ? offset + 1 : bytes.count
    }

    /// The next member of the object; nil after the last one.
    mutating func next() -> Member? {
        skipSpace()
        if peek == UInt8(ascii: ",") { offset += 1 }
        skipSpace()
        guard let key = string() else { return nil }
        skipSpace()
        guard peek == UInt8(ascii: ":") else { return nil }
        offset += 1
        skipSpace()
        let start = offset
        guard skipValue() else { return nil }
        return Member(key: key, value: start..<offset)
    }

    /// Whether a member's key is this name, however it is escaped.
    func matches(_ key: Range<Int>, _ name: StaticString) -> Bool {
        let spelled = UnsafeRawBufferPointer(rebasing: bytes[key])
        let wanted = UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        if spelled.elementsEqual(wanted) { return true }
        guard spelled.contains(UInt8(ascii: "\\")) else { return false }
        let quoted = UnsafeRawBufferPointer(rebasing: bytes[key.lowerBound - 1..<key.upperBound + 1])
        let decoded = (try? JSONValue(parsing: quoted))?.stringValue
        return decoded.map { $0.utf8.elementsEqual(wanted) } ?? false
    }

    /// Where the first value under `name` is.
    static func firstValue(_ name: StaticString, in bytes: UnsafeRawBufferPointer) -> Range<Int>? {
        var members = JSONMembers(bytes)
        while let member = members.next() {
            if members.matches(member.key, name) { return member.value }
        }
        return nil
    }

    /// Where all values under `name` are; clients may repeat a key.
    static func values(_ name: StaticString, in bytes: UnsafeRawBufferPointer) -> [Range<Int>] {
        var members = JSONMembers(bytes)
        var result: [Range<Int>] = []
        while let member = members.next() {
            if members.matches(member.key, name) { result.append(member.value) }
        }
        return result
    }

    // MARK: Scanning

    private var peek: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    private mutating func skipSpace() {
        while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { offset += 1 }
    }

    /// A string's content.
    private mutating func string() -> Range<Int>? {
        guard peek == UInt8(ascii: "\"") else { return nil }
        offset += 1
        let start = offset
        while offset < bytes.count {
            switch bytes[offset] {
            case UInt8(ascii: "\""):
                offset += 1
                return start..<offset - 1
            case UInt8(ascii: "\\"): offset += 2
            default: offset += 1
            }
        }
        return nil
    }

    private mutating func skipValue() -> Bool {
        var depth = 0
        repeat {
            guard let byte = peek else { return false }
            switch byte {
            case UInt8(ascii: "\""):
                guard string() != nil else { return false }
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                offset += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                guard depth > 0 else { return false }
                depth -= 1
                offset += 1
            case UInt8(ascii: ","), UInt8(ascii: ":"), 0x20, 0x0A, 0x0D, 0x09:
                guard depth > 0 else { return false }
                offset += 1
            default: skipScalar()
            }
        } while depth > 0
        return true
    }

    /// A number or a word.
    private mutating func skipScalar() {
        while let byte = peek {
            switch byte {
            case UInt8(ascii: ","), UInt8(ascii: "}"), UInt8(ascii: "]"), UInt8(ascii: ":"), 0x20, 0x0A, 0x0D, 0x09:
                return
            default: offset += 1
            }
        }
    }
}
