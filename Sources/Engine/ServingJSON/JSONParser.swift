/// Why a text is not JSON, with the byte offset at which that showed.
public struct JSONParseError: Error, Equatable, CustomStringConvertible {
    /// What was expected or what is wrong.
    public let reason: String
    /// Offset in bytes from the start of the text.
    public let offset: Int

    /// Whether the fault is a repeated key where ``JSONLimits/allowsRepeatedKeys`` is off.
    public let isRepeatedKey: Bool

    /// A fault.
    public init(reason: String, offset: Int, isRepeatedKey: Bool = false) {
        self.reason = reason
        self.offset = offset
        self.isRepeatedKey = isRepeatedKey
    }

    /// The reason and where.
    public var description: String { "\(reason) at byte \(offset)" }
}

/// What a reader accepts before it gives up on a text.
public struct JSONLimits: Sendable {
    /// Deepest nesting of arrays and objects.
    public var depth: Int
    /// Whether an object may hold a key twice; the last value then wins, as in Python.
    public var allowsRepeatedKeys: Bool
    /// Whether only RFC 8259 is read, and only what a `String` holds unchanged: no `NaN`, no `Infinity`, no number that
    /// a double can't hold, no invalid UTF-8, no unpaired surrogate.
    public var isStrict: Bool

    /// Limits; a depth of 512 is more than any file that is not an attack has.
    public init(depth: Int = 512, allowsRepeatedKeys: Bool = true, isStrict: Bool = false) {
        self.depth = depth
        self.allowsRepeatedKeys = allowsRepeatedKeys
        self.isStrict = isStrict
    }
}

extension JSONValue {
    /// Reads one JSON text (RFC 8259) with nothing but white space around it.
    ///
    /// As Python's reader does, and model files need, it also takes `NaN`, `Infinity` and `-Infinity`. Invalid UTF-8 in
    /// a string and unpaired surrogate escapes become U+FFFD. Where the limits are strict, all of these are faults. A
    /// UTF-8 byte order mark at the start is skipped.
    public init(parsing text: UnsafeRawBufferPointer, limits: JSONLimits = JSONLimits()) throws(JSONParseError) {
        var parser = JSONParser(text: text, limits: limits)
        self = try parser.document()
    }

    /// Reads one JSON text.
    public init(parsing text: some StringProtocol, limits: JSONLimits = JSONLimits()) throws(JSONParseError) {
        try self.init(parsing: Array(text.utf8), limits: limits)
    }

    /// Reads one JSON text.
    public init(parsing text: [UInt8], limits: JSONLimits = JSONLimits()) throws(JSONParseError) {
        let result = text.withUnsafeBytes { bytes in
            Result { () throws(JSONParseError) in try JSONValue(parsing: bytes, limits: limits) }
        }
        self = try result.get()
    }
}

/// Recursive-descent reader over UTF-8 bytes.
struct JSONParser {
    private let text: UnsafeRawBufferPointer
    private var offset = 0
    private var depthLeft: Int
    private let allowsRepeatedKeys: Bool
    private let isStrict: Bool

    init(text: UnsafeRawBufferPointer, limits: JSONLimits) {
        self.text = text
        depthLeft = limits.depth
        allowsRepeatedKeys = limits.allowsRepeatedKeys
        isStrict = limits.isStrict
    }

    mutating func document() throws(JSONParseError) -> JSONValue {
        if text.count >= 3, text[0] == 0xEF, text[1] == 0xBB, text[2] == 0xBF { offset = 3 }
        let value = try value()
        skipSpace()
        guard offset == text.count else { throw error("unexpected text after the value") }
        return value
    }

    private func error(_ reason: String) -> JSONParseError { JSONParseError(reason: reason, offset: offset) }

    private mutating func skipSpace() {
        while offset < text.count {
            switch text[offset] {
            case 0x20, 0x0A, 0x0D, 0x09: offset += 1
            default: return
            }
        }
    }

    private mutating func value() throws(JSONParseError) -> JSONValue {
        skipSpace()
        guard offset < text.count else { throw error("text ends where a value was expected") }
        switch text[offset] {
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "N") where !isStrict: return try word("NaN", .number(.nan))
        case UInt8(ascii: "I") where !isStrict: return try word("Infinity", .number(.infinity))
        case UInt8(ascii: "-") where !isStrict && offset + 1 < text.count && text[offset + 1] == UInt8(ascii: "I"):
            offset += 1
            return try word("Infinity", .number(-.infinity))
        default: return try number()
        }
    }

    private mutating func word(_ word: StaticString, _ value: JSONValue) throws(JSONParseError) -> JSONValue {
        let length = word.utf8CodeUnitCount
        let matches =
            text.count - offset >= length && (0..<length).allSatisfy { text[offset + $0] == word.utf8Start[$0] }
        guard matches else { throw error("expected \(word)") }
        offset += length
        return value
    }

    private mutating func enter() throws(JSONParseError) {
        depthLeft -= 1
        guard depthLeft >= 0 else { throw error("nested too deeply") }
        offset += 1
    }

    private mutating func array() throws(JSONParseError) -> JSONValue {
        try enter()
        var elements: [JSONValue] = []
        skipSpace()
        if try take(UInt8(ascii: "]"), expected: "a value or ]") {
            depthLeft += 1
            return .array(elements)
        }
        repeat {
            elements.append(try value())
            skipSpace()
        } while try !endOrComma(UInt8(ascii: "]"), "expected , or ]")
        depthLeft += 1
        return .array(elements)
    }

    private mutating func object() throws(JSONParseError) -> JSONValue {
        let start = offset
        try enter()
        var keys: [String] = []
        var values: [JSONValue] = []
        skipSpace()
        if try take(UInt8(ascii: "}"), expected: "a key or }") {
            depthLeft += 1
            return .object(JSONObject())
        }
        repeat {
            skipSpace()
            guard offset < text.count, text[offset] == UInt8(ascii: "\"") else {
                throw error("expected a key in quotation marks")
            }
            keys.append(try string())
            skipSpace()
            guard try take(UInt8(ascii: ":"), expected: ":") else { throw error("expected :") }
            values.append(try value())
            skipSpace()
        } while try !endOrComma(UInt8(ascii: "}"), "expected , or }")
        depthLeft += 1
        let count = keys.count
        let members = JSONObject(keys: keys, values: values)
        guard allowsRepeatedKeys || members.count == count else {
            throw JSONParseError(reason: "an object holds a key twice", offset: start, isRepeatedKey: true)
        }
        return .object(members)
    }

    private mutating func take(_ byte: UInt8, expected: String) throws(JSONParseError) -> Bool {
        guard offset < text.count else { throw error("text ends where \(expected) was expected") }
        guard text[offset] == byte else { return false }
        offset += 1
        return true
    }

    /// True after the closing byte, false after a comma.
    private mutating func endOrComma(_ end: UInt8, _ expectation: String) throws(JSONParseError) -> Bool {
        guard offset < text.count, text[offset] == end || text[offset] == UInt8(ascii: ",") else {
            throw error(expectation)
        }
        offset += 1
        return text[offset - 1] == end
    }

    private mutating func number() throws(JSONParseError) -> JSONValue {
        let start = offset
        var isWhole = true
        if text[offset] == UInt8(ascii: "-") { offset += 1 }
        let firstDigit = offset
        skipDigits()
        guard offset > firstDigit else {
            offset = start
            throw error("expected a value")
        }
        guard text[firstDigit] != UInt8(ascii: "0") || offset == firstDigit + 1 else {
            offset = firstDigit
            throw error("number with a leading zero")
        }
        if offset < text.count, text[offset] == UInt8(ascii: ".") {
            isWhole = false
            offset += 1
            try requireDigits()
        }
        if offset < text.count, text[offset] | 0x20 == UInt8(ascii: "e") {
            isWhole = false
            offset += 1
            if offset < text.count, text[offset] == UInt8(ascii: "+") || text[offset] == UInt8(ascii: "-") {
                offset += 1
            }
            try requireDigits()
        }
        if isWhole, let integer = wholeNumber(start..<offset) { return .integer(integer) }
        let digits = String(decoding: UnsafeRawBufferPointer(rebasing: text[start..<offset]), as: UTF8.self)
        guard let number = Double(digits), number.isFinite || !isStrict else { throw error("number out of range") }
        return .number(number)
    }

    /// The digits as a number, with an optional minus sign before them, or nil where it does not fit.
    private func wholeNumber(_ range: Range<Int>) -> Int64? {
        let isNegative = text[range.lowerBound] == UInt8(ascii: "-")
        var value: Int64 = 0
        for position in range.dropFirst(isNegative ? 1 : 0) {
            // Counted downwards, because the least number has no positive counterpart.
            let (product, productOverflows) = value.multipliedReportingOverflow(by: 10)
            let digit = Int64(text[position] &- UInt8(ascii: "0"))
            let (sum, sumOverflows) = product.subtractingReportingOverflow(digit)
            guard !productOverflows, !sumOverflows else { return nil }
            value = sum
        }
        guard !isNegative else { return value }
        return value == .min ? nil : -value
    }

    private mutating func skipDigits() {
        while offset < text.count, text[offset] &- UInt8(ascii: "0") < 10 { offset += 1 }
    }

    private mutating func requireDigits() throws(JSONParseError) {
        let start = offset
        skipDigits()
        guard offset > start else { throw error("expected a digit") }
    }

    private mutating func string() throws(JSONParseError) -> String {
        offset += 1
        let start = offset
        while offset < text.count {
            let byte = text[offset]
            if byte == UInt8(ascii: "\"") {
                offset += 1
                return try decoded(UnsafeRawBufferPointer(rebasing: text[start..<offset - 1]), from: start)
            }
            if byte == UInt8(ascii: "\\") { return try escapedString(from: start) }
            guard byte >= 0x20 else { throw error("control character in a string") }
            offset += 1
        }
        throw error("text ends inside a string")
    }

    /// The text of a string that began at `start`.
    private func decoded(_ bytes: some Collection<UInt8>, from start: Int) throws(JSONParseError) -> String {
        guard isStrict else { return String(decoding: bytes, as: UTF8.self) }
        guard let string = String(validating: bytes, as: UTF8.self) else {
            throw JSONParseError(reason: "a string that is not UTF-8", offset: start)
        }
        return string
    }

    /// The rest of a string that holds at least one escape; `offset` is at the first backslash.
    private mutating func escapedString(from start: Int) throws(JSONParseError) -> String {
        var bytes = Array(text[start..<offset])
        while offset < text.count {
            let byte = text[offset]
            switch byte {
            case UInt8(ascii: "\""):
                offset += 1
                return try decoded(bytes, from: start)
            case UInt8(ascii: "\\"):
                offset += 1
                try escape(into: &bytes)
            case ..<0x20:
                throw error("control character in a string")
            default:
                bytes.append(byte)
                offset += 1
            }
        }
        throw error("text ends inside a string")
    }

    private mutating func escape(into bytes: inout [UInt8]) throws(JSONParseError) {
        guard offset < text.count else { throw error("text ends inside an escape") }
        offset += 1
        switch text[offset - 1] {
        case UInt8(ascii: "\""): bytes.append(UInt8(ascii: "\""))
        case UInt8(ascii: "\\"): bytes.append(UInt8(ascii: "\\"))
        case UInt8(ascii: "/"): bytes.append(UInt8(ascii: "/"))
        case UInt8(ascii: "b"): bytes.append(0x08)
        case UInt8(ascii: "f"): bytes.append(0x0C)
        case UInt8(ascii: "n"): bytes.append(0x0A)
        case UInt8(ascii: "r"): bytes.append(0x0D)
        case UInt8(ascii: "t"): bytes.append(0x09)
        case UInt8(ascii: "u"): bytes.append(contentsOf: try unicodeEscape().utf8)
        default:
            offset -= 1
            throw error("unknown escape in a string")
        }
    }

    private mutating func unicodeEscape() throws(JSONParseError) -> String {
        let first = try fourHexDigits()
        if let scalar = Unicode.Scalar(first) { return String(Character(scalar)) }
        guard first < 0xDC00, text.count - offset >= 6, text[offset] == UInt8(ascii: "\\"),
            text[offset + 1] == UInt8(ascii: "u")
        else { return try unpaired() }
        let afterFirst = offset
        offset += 2
        let second = try fourHexDigits()
        guard (0xDC00..<0xE000).contains(second),
            let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
        else {
            offset = afterFirst
            return try unpaired()
        }
        return String(Character(scalar))
    }

    /// What an unpaired surrogate stands for.
    private func unpaired() throws(JSONParseError) -> String {
        guard !isStrict else { throw error("half a surrogate pair in a string") }
        return "\u{FFFD}"
    }

    private mutating func fourHexDigits() throws(JSONParseError) -> UInt32 {
        guard text.count - offset >= 4 else { throw error("text ends inside an escape") }
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = Character(Unicode.Scalar(text[offset])).hexDigitValue else {
                throw error("expected a hexadecimal digit")
            }
            value = value << 4 | UInt32(digit)
            offset += 1
        }
        return value
    }
}
