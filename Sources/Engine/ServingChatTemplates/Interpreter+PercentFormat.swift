/// Python's `format % values`.
private struct PercentFormatter {
    let interpreter: Interpreter
    let format: Text
    let values: Value
    var offset = 0
    var nextArgument = 0
    var result = Text()

    private var byte: UInt8 { offset < format.bytes.count ? format.bytes[offset] : 0 }

    mutating func run() throws(Failure) -> Text {
        var literal = 0
        while offset < format.bytes.count {
            guard byte == UInt8(ascii: "%") else {
                offset += 1
                continue
            }
            result.append(Text(format.bytes[literal..<offset]))
            offset += 1
            try directive()
            literal = offset
            try interpreter.spend(bytes: result.bytes.count < interpreter.limits.outputBytes ? 32 : .max)
        }
        result.append(Text(format.bytes[min(literal, offset)...]))
        try checkAllUsed()
        return result
    }

    private func checkAllUsed() throws(Failure) {
        switch values {
        case .tuple(let list) where nextArgument >= list.elements.count: return
        case .dictionary, .list, .range, .view: return
        case .undefined: return
        default:
            guard nextArgument == 1, !isTuple else {
                throw Failure(.type, "not all arguments converted during string formatting")
            }
        }
    }

    private var isTuple: Bool { if case .tuple = values { true } else { false } }

    private mutating func argument() throws(Failure) -> Value {
        defer { nextArgument += 1 }
        if case .tuple(let list) = values {
            guard nextArgument < list.elements.count else {
                throw Failure(.type, "not enough arguments for format string")
            }
            return list.elements[nextArgument]
        }
        guard nextArgument == 0 else { throw Failure(.type, "not enough arguments for format string") }
        return values
    }

    private mutating func mapped() throws(Failure) -> Value? {
        guard byte == UInt8(ascii: "(") else { return nil }
        guard case .dictionary(let dictionary) = values else { throw Failure(.type, "format requires a mapping") }
        offset += 1
        let start = offset
        var depth = 1
        while offset < format.bytes.count {
            if byte == UInt8(ascii: "(") { depth += 1 }
            if byte == UInt8(ascii: ")") { depth -= 1 }
            if depth == 0 { break }
            offset += 1
        }
        guard depth == 0 else { throw Failure(.value, "incomplete format key") }
        let name = Text(format.bytes[start..<offset])
        offset += 1
        guard let value = dictionary[name] else { throw Failure(.value, "no value for \(name.quoted.string)") }
        return value
    }

    private mutating func number() throws(Failure) -> Int? {
        if byte == UInt8(ascii: "*") {
            offset += 1
            guard let value = try argument().integer else { throw Failure(.type, "* wants int") }
            guard abs(value) <= NumberFormat.largest else { throw Failure(.limit, "field too wide") }
            return value
        }
        var value: Int?
        while byte &- 0x30 < 10 {
            value = (value ?? 0) * 10 + Int(byte - 0x30)
            offset += 1
            guard value ?? 0 <= NumberFormat.largest else { throw Failure(.limit, "field too wide") }
        }
        return value
    }

    private mutating func directive() throws(Failure) {
        let named = try mapped()
        var layout = NumberFormat()
        while "-+ 0#".utf8.contains(byte) {
            switch byte {
            case UInt8(ascii: "-"): layout.alignment = "<"
            case UInt8(ascii: "+"): layout.sign = "+"
            case UInt8(ascii: " "): layout.sign = layout.sign ?? " "
            case UInt8(ascii: "0"): layout.fill = "0"
            default: layout.isAlternate = true
            }
            offset += 1
        }
        if let width = try number() {
            layout.width = abs(width)
            if width < 0 { layout.alignment = "<" }
        }
        if byte == UInt8(ascii: ".") {
            offset += 1
            layout.precision = max(try number() ?? 0, 0)
        }
        if "hlL".utf8.contains(byte) { offset += 1 }
        guard offset < format.bytes.count else { throw Failure(.value, "incomplete format") }
        let (conversion, next) = format.scalar(at: offset)
        offset = next
        if conversion == "%" { return result.append("%" as Unicode.Scalar) }
        let value: Value
        if let named { value = named } else { value = try argument() }
        if layout.alignment == "<" { layout.fill = " " }
        result.append(try convert(value, Character(conversion), layout))
    }

    private func convert(_ value: Value, _ conversion: Character, _ layout: NumberFormat) throws(Failure) -> Text {
        var layout = layout
        switch conversion {
        case "s", "r", "a", "c": return try text(value, conversion, layout)
        case "d", "i", "u", "o", "x", "X":
            if layout.fill == "0" { layout.alignment = "=" }
            return try integer(value, conversion, layout)
        case "e", "E", "f", "F", "g", "G":
            if case .undefined(let undefined) = value { throw undefined.failure }
            guard let number = value.double else {
                throw Failure(.type, "must be real number, not \(value.typeName)")
            }
            if layout.fill == "0" { layout.alignment = "=" }
            return layout.laidOut(isNegative: number.sign == .minus, digits: layout.digits(of: number, conversion))
        default: throw Failure(.value, "unsupported format character '\(conversion)'")
        }
    }

    private func text(_ value: Value, _ conversion: Character, _ layout: NumberFormat) throws(Failure) -> Text {
        var layout = layout
        layout.fill = " "
        var text: Text
        switch conversion {
        case "s": text = try interpreter.text(value)
        case "c":
            if let code = value.integer {
                guard let scalar = UInt32(exactly: code).flatMap(Unicode.Scalar.init) else {
                    throw Failure(.value, "%c arg not in range(0x110000)")
                }
                text = Text(CollectionOfOne(scalar))
            } else {
                guard let string = value.string, string.count == 1 else {
                    throw Failure(.type, "%c requires int or char")
                }
                text = string
            }
        default:
            text = try value.representation(byteLimit: interpreter.limits.outputBytes)
            if conversion == "a" { text = Text.asciiRepresentation(text) }
        }
        if let precision = layout.precision, conversion != "c" { text = text[0..<min(precision, text.count)] }
        return layout.aligned(text.plain, default: ">")
    }

    private func integer(_ value: Value, _ conversion: Character, _ layout: NumberFormat) throws(Failure) -> Text {
        if case .undefined(let undefined) = value, !"oxX".contains(conversion) { throw undefined.failure }
        var whole = value.integer
        if whole == nil, case .float(let number) = value, "diu".contains(conversion) {
            guard let truncated = Int(exactly: number.rounded(.towardZero)) else {
                throw Failure(.value, "cannot convert float \(number.pythonText) to integer")
            }
            whole = truncated
        }
        guard let whole else {
            throw Failure(.type, "%\(conversion) format: a number is required, not \(value.typeName)")
        }
        let radix = conversion == "o" ? 8 : conversion == "x" || conversion == "X" ? 16 : 10
        var digits = String(whole.magnitude, radix: radix, uppercase: conversion == "X")
        if let precision = layout.precision, digits.count < precision {
            digits = String(repeating: "0", count: precision - digits.count) + digits
        }
        let prefix = layout.isAlternate && radix != 10 ? "0\(conversion)" : ""
        return layout.laidOut(isNegative: whole < 0, prefix: prefix, digits: digits)
    }
}

extension Interpreter {
    func percentFormat(_ format: Text, _ values: Value) throws(Failure) -> Value {
        var formatter = PercentFormatter(interpreter: self, format: format, values: values)
        return try made(try formatter.run().marked(format.isMarkup))
    }
}

extension Text {
    /// A `repr` with what is beyond ASCII as escapes.
    static func asciiRepresentation(_ text: Text) -> Text {
        var result = Text()
        for scalar in text.scalars {
            if scalar.isASCII { result.append(scalar) } else { result.append(Text(numericEscape(scalar.value))) }
        }
        return result
    }
}
