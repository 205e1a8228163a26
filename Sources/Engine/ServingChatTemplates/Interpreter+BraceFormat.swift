/// Python's `str.format`, with attributes and items looked up as in templates.
private struct BraceFormatter {
    let interpreter: Interpreter
    let arguments: CallArguments
    var nextArgument = 0
    /// Whether fields were numbered by hand or automatically; the two do not mix.
    var isNumbered: Bool?

    mutating func run(_ format: Text, level: Int = 0) throws(Failure) -> Text {
        guard level < 2 else { throw Failure(.value, "Max string recursion exceeded") }
        var result = Text()
        let scalars = format.scalars
        var position = 0
        while position < scalars.count {
            let scalar = scalars[position]
            position += 1
            guard scalar == "{" || scalar == "}" else {
                result.append(scalar)
                continue
            }
            if position < scalars.count, scalars[position] == scalar {
                result.append(scalar)
                position += 1
                continue
            }
            guard scalar == "{" else { throw Failure(.value, "Single '}' encountered in format string") }
            let start = position
            var depth = 1
            while position < scalars.count {
                if scalars[position] == "{" { depth += 1 }
                if scalars[position] == "}" { depth -= 1 }
                if depth == 0 { break }
                position += 1
            }
            guard depth == 0 else { throw Failure(.value, "expected '}' before end of string") }
            result.append(try field(Array(scalars[start..<position]), level: level))
            position += 1
            try interpreter.spend(bytes: result.bytes.count < interpreter.limits.outputBytes ? 32 : .max)
        }
        return result
    }

    private mutating func field(_ scalars: [Unicode.Scalar], level: Int) throws(Failure) -> Text {
        var nameEnd = 0
        var brackets = 0
        while nameEnd < scalars.count {
            if scalars[nameEnd] == "[" { brackets += 1 }
            if scalars[nameEnd] == "]" { brackets -= 1 }
            if brackets <= 0, scalars[nameEnd] == "!" || scalars[nameEnd] == ":" { break }
            nameEnd += 1
        }
        var value = try lookup(Array(scalars[..<nameEnd]))
        var rest = scalars[nameEnd...]
        if rest.first == "!" {
            rest = rest.dropFirst()
            guard let conversion = rest.popFirst(), rest.isEmpty || rest.first == ":" else {
                throw Failure(.value, "expected ':' after conversion specifier")
            }
            switch conversion {
            case "s": value = .string(try interpreter.text(value))
            case "r": value = .string(try value.representation(byteLimit: interpreter.limits.outputBytes))
            case "a":
                let shown = try value.representation(byteLimit: interpreter.limits.outputBytes)
                value = .string(Text.asciiRepresentation(shown))
            default: throw Failure(.value, "Unknown conversion specifier")
            }
        }
        let specification = try run(Text(rest.dropFirst()), level: level + 1)
        return try format(value, specification.scalars)
    }

    private mutating func lookup(_ name: [Unicode.Scalar]) throws(Failure) -> Value {
        let firstEnd = name.firstIndex { $0 == "." || $0 == "[" } ?? name.count
        var value = try first(Text(name[..<firstEnd]))
        var position = firstEnd
        while position < name.count {
            if name[position] == "." {
                let end = name[(position + 1)...].firstIndex { $0 == "." || $0 == "[" } ?? name.count
                value = try interpreter.attribute(Text(name[(position + 1)..<end]), of: value)
                position = end
            } else if name[position] == "[" {
                guard let end = name[position...].firstIndex(of: "]") else {
                    throw Failure(.value, "Missing ']' in format string")
                }
                let key = Text(name[(position + 1)..<end])
                value = try interpreter.item(Int(key.string).map { .integer($0) } ?? .string(key), of: value)
                position = end + 1
            } else {
                throw Failure(.value, "Only '.' or '[' may follow ']' in format field specifier")
            }
        }
        return value
    }

    private mutating func first(_ name: Text) throws(Failure) -> Value {
        let isAutomatic = name.isEmpty
        guard isAutomatic || name.isNonEmptyAll({ $0.isASCII && $0.isPythonDigit }) else {
            guard let value = arguments.keywords.first(where: { $0.name == name })?.value else {
                throw Failure(.value, "no argument \(name.quoted.string)")
            }
            return value
        }
        if let isNumbered, isNumbered == isAutomatic {
            throw Failure(.value, "cannot switch between manual and automatic field numbering")
        }
        isNumbered = !isAutomatic
        let position = isAutomatic ? nextArgument : Int(name.string) ?? .max
        if isAutomatic { nextArgument += 1 }
        guard position < arguments.positional.count else {
            throw Failure(.value, "Replacement index \(position) out of range for positional args tuple")
        }
        return arguments.positional[position]
    }

    // MARK: The part after the colon

    private func format(_ value: Value, _ specification: [Unicode.Scalar]) throws(Failure) -> Text {
        guard !specification.isEmpty else { return try interpreter.text(value) }
        let (layout, type) = try NumberFormat.parse(specification)
        switch value {
        case .string(let text):
            guard type == nil || type == "s", layout.sign == nil, layout.alignment != "=" else {
                throw Failure(.value, "Unknown format code for object of type 'str'")
            }
            let cut = layout.precision.map { text[0..<min($0, text.count)] } ?? text
            return layout.aligned(cut.plain, default: "<")
        case .integer(let number): return try integer(number, layout, type)
        case .bool(let flag): return try integer(flag ? 1 : 0, layout, type)
        case .float(let number): return try float(number, layout, type)
        default:
            throw Failure(.type, "unsupported format string passed to \(value.typeName).__format__")
        }
    }

    private func integer(_ value: Int, _ layout: NumberFormat, _ type: Character?) throws(Failure) -> Text {
        switch type {
        case "e", "E", "f", "F", "g", "G", "%": return try float(Double(value), layout, type)
        case "c":
            guard let scalar = UInt32(exactly: value).flatMap(Unicode.Scalar.init) else {
                throw Failure(.value, "%c arg not in range(0x110000)")
            }
            return layout.aligned(Text(CollectionOfOne(scalar)), default: "<")
        case nil, "d", "n", "x", "X", "o", "b":
            guard layout.precision == nil else {
                throw Failure(.value, "Precision not allowed in integer format specifier")
            }
            let radix = type == "x" || type == "X" ? 16 : type == "o" ? 8 : type == "b" ? 2 : 10
            let digits = String(value.magnitude, radix: radix, uppercase: type == "X")
            let prefix = layout.isAlternate && radix != 10 ? "0\(type ?? "x")" : ""
            return layout.laidOut(isNegative: value < 0, prefix: prefix, digits: digits)
        default: throw Failure(.value, "Unknown format code for object of type 'int'")
        }
    }

    private func float(_ value: Double, _ layout: NumberFormat, _ type: Character?) throws(Failure) -> Text {
        let isNegative = value.sign == .minus
        switch type {
        case nil:
            guard let precision = layout.precision else {
                return layout.laidOut(isNegative: isNegative, digits: value.magnitude.pythonText)
            }
            var digits = NumberFormat.digits(value.magnitude, "g", precision: max(precision, 1))
            if value.isFinite, !digits.contains("."), !digits.contains("e") { digits += ".0" }
            return layout.laidOut(isNegative: isNegative, digits: digits)
        case "e", "E", "f", "F", "g", "G", "%", "n":
            let conversion = type == "n" ? "g" : type ?? "g"
            return layout.laidOut(isNegative: isNegative, digits: layout.digits(of: value, conversion))
        default: throw Failure(.value, "Unknown format code for object of type 'float'")
        }
    }
}

extension NumberFormat {
    /// `[[fill]align][sign][#][0][width][grouping][.precision][type]`
    static func parse(_ text: [Unicode.Scalar]) throws(Failure) -> (NumberFormat, type: Character?) {
        var layout = NumberFormat()
        var rest = text[...]
        let alignments: Set<Unicode.Scalar> = ["<", ">", "^", "="]
        if rest.count > 1, alignments.contains(rest[rest.startIndex + 1]) {
            layout.fill = rest[rest.startIndex]
            layout.alignment = rest[rest.startIndex + 1]
            rest = rest.dropFirst(2)
        } else if let first = rest.first, alignments.contains(first) {
            layout.alignment = first
            rest = rest.dropFirst()
        }
        if let sign = rest.first, sign == "+" || sign == "-" || sign == " " {
            layout.sign = sign == "-" ? nil : sign
            rest = rest.dropFirst()
        }
        if rest.first == "#" {
            layout.isAlternate = true
            rest = rest.dropFirst()
        }
        if rest.first == "0" {
            if layout.alignment == nil { (layout.fill, layout.alignment) = ("0", "=") }
            rest = rest.dropFirst()
        }
        layout.width = try number(&rest) ?? 0
        if let separator = rest.first, separator == "," || separator == "_" {
            layout.groupsWith = separator
            rest = rest.dropFirst()
        }
        if rest.first == "." {
            rest = rest.dropFirst()
            guard let precision = try number(&rest) else { throw Failure(.value, "Format specifier missing precision") }
            layout.precision = precision
        }
        let type = rest.popFirst().map { Character($0) }
        guard rest.isEmpty else { throw Failure(.value, "Invalid format specifier") }
        return (layout, type)
    }

    private static func number(_ rest: inout ArraySlice<Unicode.Scalar>) throws(Failure) -> Int? {
        var value: Int?
        while let digit = rest.first, digit.isASCII, digit.isPythonDigit {
            value = (value ?? 0) * 10 + Int(digit.value - 0x30)
            rest = rest.dropFirst()
            guard value ?? 0 <= largest else { throw Failure(.limit, "field too wide") }
        }
        return value
    }
}

extension Interpreter {
    func braceFormat(_ format: Text, _ arguments: CallArguments) throws(Failure) -> Value {
        var formatter = BraceFormatter(interpreter: self, arguments: arguments)
        return try made(try formatter.run(format).marked(format.isMarkup))
    }
}
