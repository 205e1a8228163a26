import Glibc

/// Layout of one value as Python's `%` operator and `format` have it.
struct NumberFormat {
    var fill: Unicode.Scalar = " "
    /// `<`, `>`, `^`, `=`; nil for the default of the type.
    var alignment: Unicode.Scalar?
    /// `+` or a space before numbers that are not negative.
    var sign: Unicode.Scalar?
    var isAlternate = false
    var groupsWith: Unicode.Scalar?
    var width = 0
    var precision: Int?

    /// Widest field and most digits; Python has no such bound.
    static let largest = 10_000

    /// C's `printf` of a double, whose rounding is exact as Python's is.
    static func digits(_ value: Double, _ conversion: Character, precision: Int) -> String {
        let format = "%." + String(min(max(precision, 0), largest)) + String(conversion)
        let needed = withVaList([value]) { vsnprintf(nil, 0, format, $0) }
        guard needed > 0 else { return "" }
        var buffer = [UInt8](repeating: 0, count: Int(needed) + 1)
        _ = buffer.withUnsafeMutableBytes { bytes in
            withVaList([value]) {
                vsnprintf(bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, format, $0)
            }
        }
        return String(decoding: buffer.dropLast(), as: UTF8.self)
    }

    /// Digits of a float without its sign.
    func digits(of value: Double, _ conversion: Character) -> String {
        let magnitude = value.magnitude
        if !magnitude.isFinite {
            let text = magnitude.isNaN ? "nan" : "inf"
            return conversion.isUppercase ? text.uppercased() : text
        }
        if conversion == "%" { return Self.digits(magnitude * 100, "f", precision: precision ?? 6) + "%" }
        var digits = Self.digits(magnitude, conversion, precision: precision ?? 6)
        if isAlternate, precision == 0, !digits.contains(".") { digits += "." }
        return digits
    }

    /// Puts sign, prefix and digits together in the field.
    func laidOut(isNegative: Bool, prefix: String = "", digits: String) -> Text {
        let sign = isNegative ? "-" : self.sign.map { String(Character($0)) } ?? ""
        let head = Text(sign + prefix)
        let body = Text(grouped(digits))
        let missing = width - head.count - body.count
        guard missing > 0 else { return head + body }
        if alignment == "=" { return head + Text(repeating: fill, count: missing) + body }
        return aligned(head + body, default: ">")
    }

    func aligned(_ text: Text, default standard: Unicode.Scalar) -> Text {
        let missing = width - text.count
        guard missing > 0 else { return text }
        let left =
            switch alignment ?? standard {
            case "<": 0
            case "^": missing / 2
            default: missing
            }
        return Text(repeating: fill, count: left) + text + Text(repeating: fill, count: missing - left)
    }

    private func grouped(_ digits: String) -> String {
        guard let groupsWith else { return digits }
        let whole = digits.prefix { $0.isNumber }
        var result = ""
        for (position, digit) in whole.enumerated() {
            if position > 0, (whole.count - position) % 3 == 0 { result.unicodeScalars.append(groupsWith) }
            result.append(digit)
        }
        return result + digits.dropFirst(whole.count)
    }
}

extension Interpreter {
    func applyNumber(_ filter: TemplateFilter, to value: Value, _ values: [Value?]) throws(Failure) -> Value {
        switch filter {
        case .abs:
            if let integer = value.integer {
                return integer < 0 ? try Value.arithmetic(.subtract, .integer(0), .integer(integer)) : .integer(integer)
            }
            if case .float(let number) = value { return .float(number.magnitude) }
            throw Failure(.type, "bad operand type for abs(): '\(value.typeName)'")
        case .int: return try int(value, values)
        case .float: return try Interpreter.pythonFloat(value).map { .float($0) } ?? values[0] ?? .float(0)
        case .round: return try round(value, values)
        default: throw Failure(.unsupported, "the filter \(filter.rawValue) is not supported in chat templates")
        }
    }

    /// Python's `float(value)`; nil where it would be a TypeError or ValueError.
    static func pythonFloat(_ value: Value) throws(Failure) -> Double? {
        if case .undefined(let undefined) = value { throw undefined.failure }
        guard let text = value.string else { return value.double }
        let digits = text.stripped().lowercased.string
        let unsigned = digits.drop { $0 == "+" || $0 == "-" }
        if ["inf", "infinity", "nan"].contains(unsigned), digits.count - unsigned.count < 2 { return Double(digits) }
        let allowed = digits.utf8.allSatisfy { $0 &- 0x30 < 10 || "+-.e_".utf8.contains($0) }
        guard allowed, !digits.hasPrefix("_"), !digits.hasSuffix("_"), !digits.contains("__") else { return nil }
        var plain = digits.replacing("_", with: "")
        if plain.hasPrefix("."), plain.count > 1 { plain = "0" + plain }
        if plain.hasSuffix("."), plain.count > 1 { plain += "0" }
        if let whole = plain.firstRange(of: ".e"), whole.lowerBound > plain.startIndex {
            plain = plain.replacing(".e", with: "e")
        }
        return Double(plain.replacing("-.", with: "-0.").replacing("+.", with: "+0."))
    }

    private func int(_ value: Value, _ values: [Value?]) throws(Failure) -> Value {
        let fallback = values[0] ?? .integer(0)
        if let integer = value.integer { return .integer(integer) }
        if let text = value.string {
            let base = try values[1].map { (value) throws(Failure) in try requireInteger(value, "int") } ?? 10
            if let integer = Interpreter.pythonInteger(text, base: base) { return .integer(integer) }
        }
        guard let number = try Interpreter.pythonFloat(value) else { return fallback }
        guard number.isFinite else {
            // Only text gets the default for infinity.
            if value.string != nil || number.isNaN { return fallback }
            throw Failure(.value, "cannot convert float infinity to integer")
        }
        guard let integer = Int(exactly: number.rounded(.towardZero)) else {
            throw Failure(.value, "number does not fit in 64 bits")
        }
        return .integer(integer)
    }

    private static func pythonInteger(_ text: Text, base: Int) -> Int? {
        guard base == 0 || (2...36).contains(base) else { return nil }
        var digits = Substring(text.stripped().string.lowercased())
        let isNegative = digits.hasPrefix("-")
        if isNegative || digits.hasPrefix("+") { digits = digits.dropFirst() }
        var radix = base == 0 ? 10 : base
        for (prefix, value) in [("0x", 16), ("0o", 8), ("0b", 2)] where digits.hasPrefix(prefix) {
            guard base == 0 || base == value else { continue }
            digits = digits.dropFirst(2)
            if digits.hasPrefix("_") { digits = digits.dropFirst() }
            radix = value
        }
        guard let first = digits.first, first != "+", first != "-", first != "_", digits.last != "_",
            !digits.contains("__")
        else { return nil }
        let decimal = digits.replacing("_", with: "").unicodeScalars.map { scalar in
            guard scalar.isPythonDecimal, let value = scalar.properties.numericValue else {
                return String(Character(scalar))
            }
            return String(Int(value))
        }.joined()
        return Int((isNegative ? "-" : "") + decimal, radix: radix)
    }

    private func round(_ value: Value, _ values: [Value?]) throws(Failure) -> Value {
        let precision = try values[0].map { (value) throws(Failure) in try requireInteger(value, "round") } ?? 0
        let method = try values[1].map { (value) throws(Failure) in try requireText(value, "round") } ?? "common"
        guard ["common", "ceil", "floor"].contains(method) else {
            throw Failure(.value, "method must be common, ceil or floor")
        }
        if case .undefined(let undefined) = value { throw undefined.failure }
        guard let number = value.double else {
            throw Failure(.type, "type \(value.typeName) doesn't define __round__ method")
        }
        guard abs(precision) <= 400 else { throw Failure(.limit, "precision beyond 400 digits") }
        if method == "common" {
            if let integer = value.integer { return .integer(try roundedInteger(integer, precision)) }
            guard number.isFinite else { return value }
            if precision >= 0 {
                return .float(Double(NumberFormat.digits(number, "f", precision: precision)) ?? number)
            }
            let scale = pow(10, Double(-precision))
            return .float((number / scale).rounded(.toNearestOrEven) * scale)
        }
        let scale = pow(10, Double(precision))
        let scaled = number * scale
        guard scaled.isFinite else { throw Failure(.value, "cannot convert float infinity or NaN to integer") }
        return .float(scaled.rounded(method == "ceil" ? .up : .down) / scale)
    }

    private func roundedInteger(_ value: Int, _ precision: Int) throws(Failure) -> Int {
        guard precision < 0 else { return value }
        guard precision > -19 else { return 0 }
        var scale = 1
        for _ in 0..<(-precision) { scale *= 10 }
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: scale)
        let doubled = remainder.magnitude * 2
        let isUp = doubled > scale.magnitude || (doubled == scale.magnitude && !quotient.isMultiple(of: 2))
        let (result, overflow) = (quotient + (isUp ? value.signum() : 0)).multipliedReportingOverflow(by: scale)
        guard !overflow else { throw Failure(.value, "number does not fit in 64 bits") }
        return result
    }
}
