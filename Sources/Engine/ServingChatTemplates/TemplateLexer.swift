/// Cuts a template into tokens as Jinja's lexer does with `trim_blocks` and `lstrip_blocks`: a newline after a tag
/// goes, and so does white space between the start of a line and a tag; `-` and `+` inside the delimiters override.
struct TemplateLexer {
    private let source: [UInt8]
    private var offset = 0
    private var tokens: [TemplateToken] = []
    /// Whether what was consumed last ended a line.
    private var isLineStart = true

    /// The source with `\r\n` and `\r` as `\n`, less one newline at the end.
    static func normalized(_ source: String) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(source.utf8.count)
        var previous: UInt8 = 0
        for byte in source.utf8 {
            if byte == 0x0D { bytes.append(0x0A) } else if byte != 0x0A || previous != 0x0D { bytes.append(byte) }
            previous = byte
        }
        if bytes.last == 0x0A { bytes.removeLast() }
        return bytes
    }

    init(source: [UInt8]) { self.source = source }

    /// Failures carry the offset of the fault as `line` -1 - offset; `TemplateParser` turns it into a line and column.
    mutating func tokenize() throws(Failure) -> [TemplateToken] {
        while offset < source.count { try root() }
        tokens.append(TemplateToken(kind: .end, offset: source.count))
        return tokens
    }

    static func error(_ message: String, at offset: Int) -> Failure { Failure(.syntax, message, line: -1 - offset) }

    private func byte(_ position: Int) -> UInt8 { position < source.count ? source[position] : 0 }

    private func matches(_ word: StaticString, at position: Int) -> Bool {
        let length = word.utf8CodeUnitCount
        guard position + length <= source.count else { return false }
        for index in 0..<length where source[position + index] != word.utf8Start[index] { return false }
        return true
    }

    private mutating func add(_ kind: TemplateToken.Kind, at offset: Int) {
        tokens.append(TemplateToken(kind: kind, offset: offset))
    }

    private func skippingSpace(_ start: Int) -> Int {
        var position = start
        while position < source.count {
            let (scalar, next) = scalar(at: position)
            guard scalar.isPythonSpace else { break }
            position = next
        }
        return position
    }

    private func scalar(at position: Int) -> (Unicode.Scalar, Int) {
        if source[position] < 0x80 { return (Unicode.Scalar(source[position]), position + 1) }
        return Text(source[position..<min(position + 4, source.count)]).firstScalar(at: position)
    }

    private func isLineEnd(_ position: Int) -> Bool { position > 0 && source[position - 1] == 0x0A }

    // MARK: Text and opening delimiters

    private mutating func root() throws(Failure) {
        let start = offset
        var position = offset
        while position + 1 < source.count {
            if source[position] == UInt8(ascii: "{") {
                let next = source[position + 1]
                if next == UInt8(ascii: "%") || next == UInt8(ascii: "#") || next == UInt8(ascii: "{") { break }
            }
            position += 1
        }
        guard position + 1 < source.count else {
            add(.data(Text(source[start...])), at: start)
            offset = source.count
            return
        }
        let sign = byte(position + 2)
        let kind = source[position + 1]
        appendText(start..<position, sign: sign, strips: kind != UInt8(ascii: "{"))
        let inner = position + (sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") ? 3 : 2)
        if kind == UInt8(ascii: "#") {
            try comment(from: inner, at: position)
        } else if kind == UInt8(ascii: "%"), let body = rawBody(inner) {
            try raw(from: body, at: position)
        } else {
            let isBlock = kind == UInt8(ascii: "%")
            add(isBlock ? .blockBegin : .variableBegin, at: position)
            offset = inner
            isLineStart = false
            try expression(isBlock: isBlock)
        }
    }

    private mutating func appendText(_ range: Range<Int>, sign: UInt8, strips: Bool) {
        var text = Text(source[range])
        if sign == UInt8(ascii: "-") {
            text = text.stripped(from: .right)
        } else if sign != UInt8(ascii: "+"), strips {
            let lineStart = (source[range].lastIndex(of: 0x0A) ?? range.lowerBound - 1) + 1
            if lineStart > range.lowerBound || isLineStart, skippingSpace(lineStart) >= range.upperBound {
                text = Text(source[range.lowerBound..<lineStart])
            }
        }
        if !text.isEmpty { add(.data(text), at: range.lowerBound) }
    }

    /// The offset after a closing delimiter `+%}`, `-%}` or `%}` with the white space that goes with it, or nil.
    private func closing(_ position: Int, _ end: StaticString) -> Int? {
        if byte(position) == UInt8(ascii: "+"), matches(end, at: position + 1) { return position + 3 }
        if byte(position) == UInt8(ascii: "-"), matches(end, at: position + 1) { return skippingSpace(position + 3) }
        guard matches(end, at: position) else { return nil }
        return byte(position + 2) == 0x0A ? position + 3 : position + 2
    }

    private mutating func comment(from start: Int, at opening: Int) throws(Failure) {
        var position = start
        while position < source.count {
            if let end = closing(position, "#}") {
                offset = end
                isLineStart = isLineEnd(end)
                return
            }
            position += 1
        }
        throw Self.error("missing end of comment", at: opening)
    }

    /// Offset after `raw %}`, if that is what stands here.
    private func rawBody(_ start: Int) -> Int? {
        var position = skippingSpace(start)
        guard matches("raw", at: position) else { return nil }
        position = skippingSpace(position + 3)
        if matches("-%}", at: position) { return skippingSpace(position + 3) }
        return matches("%}", at: position) ? position + 2 : nil
    }

    private mutating func raw(from start: Int, at opening: Int) throws(Failure) {
        isLineStart = isLineEnd(start)
        var position = start
        while position < source.count {
            if matches("{%", at: position) {
                let sign = byte(position + 2)
                var inner = position + 2
                if sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") { inner += 1 }
                inner = skippingSpace(inner)
                if matches("endraw", at: inner), let end = closing(skippingSpace(inner + 6), "%}") {
                    appendText(start..<position, sign: sign, strips: true)
                    offset = end
                    isLineStart = isLineEnd(end)
                    return
                }
            }
            position += 1
        }
        throw Self.error("missing end of raw", at: opening)
    }

    // MARK: Inside delimiters

    private mutating func expression(isBlock: Bool) throws(Failure) {
        var brackets: [UInt8] = []
        while offset < source.count {
            if brackets.isEmpty, let end = endOfExpression(isBlock: isBlock) {
                add(isBlock ? .blockEnd : .variableEnd, at: offset)
                offset = end
                isLineStart = isLineEnd(end)
                return
            }
            let (scalar, next) = scalar(at: offset)
            if scalar.isPythonSpace {
                offset = next
            } else if scalar.isASCII, scalar.value &- 0x30 < 10 {
                try number()
            } else if scalar.isWord {
                try name()
            } else if scalar == "'" || scalar == "\"" {
                try string(quote: UInt8(scalar.value))
            } else {
                try symbol(&brackets)
            }
        }
    }

    private func endOfExpression(isBlock: Bool) -> Int? {
        if isBlock { return closing(offset, "%}") }
        if matches("-}}", at: offset) { return skippingSpace(offset + 3) }
        return matches("}}", at: offset) ? offset + 2 : nil
    }

    private mutating func symbol(_ brackets: inout [UInt8]) throws(Failure) {
        let start = offset
        var found: TemplateToken.Symbol?
        for length in [2, 1] where start + length <= source.count {
            found = TemplateToken.Symbol(rawValue: String(decoding: source[start..<(start + length)], as: UTF8.self))
            if found != nil {
                offset = start + length
                break
            }
        }
        guard let found else { throw Self.error("unexpected character", at: start) }
        switch found {
        case .openBrace: brackets.append(UInt8(ascii: "}"))
        case .openParen: brackets.append(UInt8(ascii: ")"))
        case .openBracket: brackets.append(UInt8(ascii: "]"))
        case .closeBrace, .closeParen, .closeBracket:
            guard brackets.popLast() == source[start] else {
                throw Self.error("unexpected '\(found.rawValue)'", at: start)
            }
        default: break
        }
        add(.symbol(found), at: start)
    }

    private mutating func name() throws(Failure) {
        let start = offset
        let (first, _) = scalar(at: start)
        guard first == "_" || first.properties.isXIDStart else {
            throw Self.error("invalid character in identifier", at: start)
        }
        while offset < source.count {
            let (scalar, next) = scalar(at: offset)
            guard scalar.isWord else { break }
            offset = next
        }
        add(.name(String(decoding: source[start..<offset], as: UTF8.self)), at: start)
    }

    private func digits(_ start: Int, radix: Int = 10) -> Int {
        var position = start
        while true {
            let isSeparated = byte(position) == UInt8(ascii: "_")
            let digit = Character(Unicode.Scalar(byte(isSeparated ? position + 1 : position))).hexDigitValue
            guard let digit, digit < radix, !isSeparated || position > start || radix != 10 else { return position }
            position += isSeparated ? 2 : 1
        }
    }

    private mutating func number() throws(Failure) {
        let start = offset
        let prefix = byte(start) == UInt8(ascii: "0") ? byte(start + 1) | 0x20 : 0
        let radix =
            prefix == UInt8(ascii: "x") ? 16 : prefix == UInt8(ascii: "o") ? 8 : prefix == UInt8(ascii: "b") ? 2 : 10
        if radix != 10, digits(start + 2, radix: radix) > start + 2 {
            offset = digits(start + 2, radix: radix)
            return try integer(start + 2, radix: radix, at: start)
        }
        let end = digits(start)
        var floatEnd = end
        if byte(end) == UInt8(ascii: "."), digits(end + 1) > end + 1 { floatEnd = digits(end + 1) }
        if byte(floatEnd) | 0x20 == UInt8(ascii: "e") {
            let sign = byte(floatEnd + 1)
            let exponent = floatEnd + (sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") ? 2 : 1)
            if digits(exponent) > exponent { floatEnd = digits(exponent) }
        }
        let followsDot = start > 0 && source[start - 1] == UInt8(ascii: ".")
        if floatEnd > end, !followsDot {
            offset = floatEnd
            let text = String(decoding: source[start..<floatEnd].filter { $0 != UInt8(ascii: "_") }, as: UTF8.self)
            return add(.float(Double(text) ?? .infinity), at: start)
        }
        // A number that starts with zero is zeros only, as in Python.
        offset = end
        if byte(start) == UInt8(ascii: "0") {
            offset = start
            while byte(offset) == UInt8(ascii: "0") { offset += 1 }
        }
        try integer(start, radix: 10, at: start)
    }

    private mutating func integer(_ first: Int, radix: Int, at start: Int) throws(Failure) {
        let text = String(decoding: source[first..<offset].filter { $0 != UInt8(ascii: "_") }, as: UTF8.self)
        guard let value = Int(text, radix: radix) else {
            throw Self.error("number \(text) does not fit in 64 bits", at: start)
        }
        add(.integer(value), at: start)
    }

    // MARK: Strings

    private mutating func string(quote: UInt8) throws(Failure) {
        let start = offset
        var bytes: [UInt8] = []
        offset += 1
        while offset < source.count {
            let byte = source[offset]
            offset += 1
            if byte == quote { return add(.string(Text(bytes: bytes)), at: start) }
            if byte == UInt8(ascii: "\\") { try escape(into: &bytes) } else { bytes.append(byte) }
        }
        throw Self.error("string without an end", at: start)
    }

    private static let simpleEscapes: [UInt8: UInt8] = [
        UInt8(ascii: "\\"): UInt8(ascii: "\\"), UInt8(ascii: "'"): UInt8(ascii: "'"),
        UInt8(ascii: "\""): UInt8(ascii: "\""), UInt8(ascii: "a"): 0x07, UInt8(ascii: "b"): 0x08,
        UInt8(ascii: "f"): 0x0C, UInt8(ascii: "n"): 0x0A, UInt8(ascii: "r"): 0x0D, UInt8(ascii: "t"): 0x09,
        UInt8(ascii: "v"): 0x0B,
    ]

    /// Python's escapes; one that it doesn't know stays as written.
    private mutating func escape(into bytes: inout [UInt8]) throws(Failure) {
        guard offset < source.count else { return }
        let start = offset - 1
        let byte = source[offset]
        offset += 1
        if let plain = Self.simpleEscapes[byte] { return bytes.append(plain) }
        switch byte {
        case 0x0A: return
        case UInt8(ascii: "x"): try hexEscape(2, into: &bytes, at: start)
        case UInt8(ascii: "u"): try hexEscape(4, into: &bytes, at: start)
        case UInt8(ascii: "U"): try hexEscape(8, into: &bytes, at: start)
        case UInt8(ascii: "N"): throw Self.error("names of characters are not supported in strings", at: start)
        case UInt8(ascii: "0")...UInt8(ascii: "7"):
            var value = UInt32(byte - 0x30)
            for _ in 0..<2 where (0x30...0x37).contains(self.byte(offset)) {
                value = value * 8 + UInt32(source[offset] - 0x30)
                offset += 1
            }
            append(value, into: &bytes)
        case ..<0x80:
            bytes.append(UInt8(ascii: "\\"))
            bytes.append(byte)
        default:
            // Python escapes such a character before it looks for escapes, so that its number shows.
            let (scalar, next) = scalar(at: offset - 1)
            offset = next
            bytes.append(contentsOf: Text.numericEscape(scalar.value).utf8)
        }
    }

    private func append(_ value: UInt32, into bytes: inout [UInt8]) {
        bytes.append(contentsOf: String(Character(Unicode.Scalar(value) ?? "\u{FFFD}")).utf8)
    }

    private mutating func hexEscape(_ digits: Int, into bytes: inout [UInt8], at start: Int) throws(Failure) {
        var value: UInt32 = 0
        for _ in 0..<digits {
            guard let digit = Character(Unicode.Scalar(byte(offset))).hexDigitValue, value < 0x1000_0000 else {
                throw Self.error("incomplete escape in a string", at: start)
            }
            value = value << 4 | UInt32(digit)
            offset += 1
        }
        guard value <= 0x10FFFF else { throw Self.error("escape beyond the last character", at: start) }
        append(value, into: &bytes)
    }
}

extension Text {
    /// The first scalar and the offset after it, where this text was cut from `start` of a longer one.
    fileprivate func firstScalar(at start: Int) -> (Unicode.Scalar, Int) {
        let (scalar, next) = scalar(at: 0)
        return (scalar, start + next)
    }
}
