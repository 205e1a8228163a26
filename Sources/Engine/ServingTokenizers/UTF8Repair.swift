/// Turns a stream of bytes into text: each maximal ill-formed subpart becomes U+FFFD, as in Rust's `from_utf8_lossy`
/// and the Unicode Standard, section 3.9. Bytes that may yet become a character are held back.
struct UTF8Repair: Sendable {
    private var held: [UInt8] = []

    /// The text of the bytes so far but for a beginning of a character at the end.
    mutating func append(_ bytes: [UInt8]) -> String {
        let all = held.isEmpty ? bytes : held + bytes
        let kept = Self.incompleteSuffixCount(all)
        held = Array(all.suffix(kept))
        return String(decoding: all.dropLast(kept), as: UTF8.self)
    }

    /// The text of what was held back.
    mutating func finish() -> String {
        defer { held = [] }
        return String(decoding: held, as: UTF8.self)
    }

    static func isWellFormed(_ bytes: [UInt8]) -> Bool {
        var decoder = UTF8()
        var iterator = bytes.makeIterator()
        while true {
            switch decoder.decode(&iterator) {
            case .scalarValue: continue
            case .emptyInput: return true
            case .error: return false
            }
        }
    }

    /// How many bytes at the end begin a character that is well-formed so far and not complete.
    static func incompleteSuffixCount(_ bytes: [UInt8]) -> Int {
        for count in 1...3 where count <= bytes.count {
            let lead = bytes[bytes.count - count]
            if lead & 0xC0 == 0x80 { continue }
            let needed =
                lead >= 0xF0 && lead <= 0xF4 ? 4 : lead >= 0xE0 && lead < 0xF0 ? 3 : lead >= 0xC2 && lead < 0xE0 ? 2 : 1
            guard needed > count else { return 0 }
            if count > 1, !isSecondByte(bytes[bytes.count - count + 1], after: lead) { return 0 }
            return count
        }
        return 0
    }

    private static func isSecondByte(_ byte: UInt8, after lead: UInt8) -> Bool {
        switch lead {
        case 0xE0: byte >= 0xA0 && byte <= 0xBF
        case 0xED: byte >= 0x80 && byte <= 0x9F
        case 0xF0: byte >= 0x90 && byte <= 0xBF
        case 0xF4: byte >= 0x80 && byte <= 0x8F
        default: byte & 0xC0 == 0x80
        }
    }
}
