/// Reads the regular expressions of tokenizer.json: Oniguruma's Ruby syntax without captures, back-references and
/// calls.
struct PatternParser {
    private let pattern: [Unicode.Scalar]
    private var offset = 0
    private var ignoresCase = false
    private var dotMatchesNewline = false
    private var isExtended = false
    private var depth = 0

    private static let depthLimit = 50

    private init(_ pattern: String) { self.pattern = Array(pattern.unicodeScalars) }

    /// The pattern as a tree.
    static func parse(_ pattern: String) throws(TokenizerError) -> PatternNode {
        var parser = PatternParser(pattern)
        let node = try parser.alternatives()
        guard parser.offset == parser.pattern.count else { throw parser.error("unexpected )") }
        return node
    }

    private func error(_ reason: String) -> TokenizerError {
        let text = String(String.UnicodeScalarView(pattern.prefix(200)))
        return .invalidPattern(pattern: text, offset: offset, reason: reason)
    }

    private var current: Unicode.Scalar? { offset < pattern.count ? pattern[offset] : nil }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard current == scalar else { return false }
        offset += 1
        return true
    }

    private mutating func take(_ text: String) -> Bool {
        let scalars = Array(text.unicodeScalars)
        guard pattern[offset...].starts(with: scalars) else { return false }
        offset += scalars.count
        return true
    }

    private mutating func next() throws(TokenizerError) -> Unicode.Scalar {
        guard let scalar = current else { throw error("ends too early") }
        offset += 1
        return scalar
    }

    private mutating func alternatives() throws(TokenizerError) -> PatternNode {
        depth += 1
        guard depth <= Self.depthLimit else { throw error("nested too deeply") }
        defer { depth -= 1 }
        let flags = (ignoresCase, dotMatchesNewline, isExtended)
        defer { (ignoresCase, dotMatchesNewline, isExtended) = flags }
        var parts = [try sequence()]
        while take("|") { parts.append(try sequence()) }
        return parts.count == 1 ? parts[0] : .alternatives(parts)
    }

    private mutating func sequence() throws(TokenizerError) -> PatternNode {
        var parts: [PatternNode] = []
        while let scalar = current, scalar != "|", scalar != ")" {
            if isExtended, scalar.properties.isWhitespace {
                offset += 1
                continue
            }
            guard let atom = try atom() else { continue }
            parts.append(try repetitions(of: atom))
        }
        return parts.isEmpty ? .empty : parts.count == 1 ? parts[0] : .sequence(parts)
    }

    private mutating func repetitions(of atom: PatternNode) throws(TokenizerError) -> PatternNode {
        var node = atom
        while let scalar = current {
            let bounds: (Int, Int?)
            var isInterval = false
            switch scalar {
            case "*": bounds = (0, nil)
            case "+": bounds = (1, nil)
            case "?": bounds = (0, 1)
            case "{":
                guard let interval = interval() else { return node }
                bounds = interval
                isInterval = true
            default: return node
            }
            if !isInterval { offset += 1 }
            if let most = bounds.1, most < bounds.0 || most > 1000 { throw error("repetition out of range") }
            guard bounds.0 <= 1000 else { throw error("repetition out of range") }
            var greed = PatternNode.Greed.greedy
            // In this syntax a plus after an interval is a further repetition.
            if take("?") { greed = .lazy } else if !isInterval, take("+") { greed = .possessive }
            if bounds.1 == nil, node.isNullable { throw error("repeats what may be empty") }
            node = .repeated(node, least: bounds.0, most: bounds.1, greed: greed)
        }
        return node
    }

    /// `{n}`, `{n,}`, `{,m}` or `{n,m}`; nil, and nothing read, where the brace is literal.
    private mutating func interval() -> (Int, Int?)? {
        let start = offset
        offset += 1
        let least = number()
        var most = least
        if take(",") { most = number() } else if least == nil { offset = start }
        guard offset > start, take("}"), least != nil || most != nil else {
            offset = start
            return nil
        }
        return (least ?? 0, most)
    }

    private mutating func number() -> Int? {
        var value: Int?
        while let digit = current?.value, (48...57).contains(digit) {
            value = min((value ?? 0) * 10 + Int(digit - 48), 1_000_000)
            offset += 1
        }
        return value
    }

    private mutating func atom() throws(TokenizerError) -> PatternNode? {
        let scalar = try next()
        switch scalar {
        case "(": return try group()
        case "[": return .scalar(folded(try bracket()))
        case ".":
            return .scalar(
                PatternClass(dotMatchesNewline ? [.range(0, 0x10FFFF)] : [.range(0, 9), .range(11, 0x10FFFF)]))
        case "^": return .assertion(.lineStart)
        case "$": return .assertion(.lineEnd)
        case "\\": return try escape()
        case "*", "+", "?":
            offset -= 1
            throw error("repetition of nothing")
        default: return .scalar(folded(PatternClass([.range(scalar.value, scalar.value)])))
        }
    }

    private func folded(_ set: PatternClass) -> PatternClass { ignoresCase ? set.ignoringCase() : set }

    private mutating func group() throws(TokenizerError) -> PatternNode? {
        var wrap: (PatternNode) -> PatternNode = { $0 }
        let saved = (ignoresCase, dotMatchesNewline, isExtended)
        if take("?") {
            if take(":") {
            } else if take("=") {
                wrap = { .lookahead($0, isNegated: false) }
            } else if take("!") {
                wrap = { .lookahead($0, isNegated: true) }
            } else if take(">") {
                wrap = { .atomic($0) }
            } else if take("<=") {
                wrap = { .lookbehind($0, isNegated: false) }
            } else if take("<!") {
                wrap = { .lookbehind($0, isNegated: true) }
            } else if take("<") || take("P<") {
                while try next() != ">" {}
            } else if take("#") {
                while try next() != ")" {}
                return nil
            } else if try options() {
                // `(?i)` holds to the end of the enclosing group.
                return try alternativesToGroupEnd()
            }
        }
        let node = try alternatives()
        (ignoresCase, dotMatchesNewline, isExtended) = saved
        guard take(")") else { throw error("missing )") }
        if case .lookbehind(let inner, _) = wrap(node), inner.fixedLength == nil {
            throw error("look-behind of variable length")
        }
        return wrap(node)
    }

    /// The rest of the enclosing group after `(?i)`, alternatives included, as Oniguruma reads it.
    private mutating func alternativesToGroupEnd() throws(TokenizerError) -> PatternNode { try alternatives() }

    /// Options such as `i-m` after `(?`; true where they end with `)`, false with `:`.
    private mutating func options() throws(TokenizerError) -> Bool {
        var isOn = true
        while true {
            switch try next() {
            case "i": ignoresCase = isOn
            case "m", "s": dotMatchesNewline = isOn
            case "x": isExtended = isOn
            case "u": break
            case "-": isOn = false
            case ")": return true
            case ":": return false
            default:
                offset -= 1
                throw error("unknown group")
            }
        }
    }

    private mutating func escape() throws(TokenizerError) -> PatternNode {
        switch current {
        case "b": offset += 1; return .assertion(.wordBoundary)
        case "B": offset += 1; return .assertion(.notWordBoundary)
        case "A": offset += 1; return .assertion(.textStart)
        case "z": offset += 1; return .assertion(.textEnd)
        case "Z": offset += 1; return .assertion(.beforeFinalNewline)
        case "R":
            offset += 1
            let newline = PatternNode.sequence([
                .scalar(PatternClass([.range(13, 13)])), .scalar(PatternClass([.range(10, 10)])),
            ])
            let single = PatternClass([.range(10, 13), .range(0x85, 0x85), .range(0x2028, 0x2029)])
            return .atomic(.alternatives([newline, .scalar(single)]))
        case "1", "2", "3", "4", "5", "6", "7", "8", "9", "k", "g", "G", "K", "X", "y", "Y":
            throw error("unsupported escape")
        default: return .scalar(folded(PatternClass([try classEscape()])))
        }
    }

    /// What follows a backslash, in or out of brackets, as a class item.
    private mutating func classEscape() throws(TokenizerError) -> PatternClass.Item {
        let scalar = try next()
        switch scalar {
        case "s": return .properties(ScalarSet.space.rawValue)
        case "S": return .withoutProperties(ScalarSet.space.rawValue)
        case "d": return .properties(ScalarSet.category(.nd).rawValue)
        case "D": return .withoutProperties(ScalarSet.category(.nd).rawValue)
        case "w": return .properties(ScalarSet.word.rawValue)
        case "W": return .withoutProperties(ScalarSet.word.rawValue)
        case "h": return .nested(PatternClass([.range(48, 57), .range(65, 70), .range(97, 102)]))
        case "p", "P": return try property(isNegated: scalar == "P")
        case "n": return .range(10, 10)
        case "r": return .range(13, 13)
        case "t": return .range(9, 9)
        case "f": return .range(12, 12)
        case "v": return .range(11, 11)
        case "a": return .range(7, 7)
        case "e": return .range(27, 27)
        case "0": return .range(0, 0)
        case "x":
            if take("{") { return try hexadecimal(until: "}") }
            return try hexadecimal(digits: 2)
        case "u":
            if take("{") { return try hexadecimal(until: "}") }
            return try hexadecimal(digits: 4)
        default:
            if scalar.isASCII, scalar.properties.isAlphabetic { throw error("unknown escape") }
            return .range(scalar.value, scalar.value)
        }
    }

    private mutating func hexadecimal(digits: Int) throws(TokenizerError) -> PatternClass.Item {
        var value: UInt32 = 0
        for _ in 0..<digits {
            guard let digit = Character(try next()).hexDigitValue else { throw error("not a hexadecimal digit") }
            value = value << 4 | UInt32(digit)
        }
        return .range(value, value)
    }

    private mutating func hexadecimal(until end: Unicode.Scalar) throws(TokenizerError) -> PatternClass.Item {
        var value: UInt32 = 0
        while true {
            let scalar = try next()
            if scalar == end { break }
            guard let digit = Character(scalar).hexDigitValue, value < 0x1000_0000 else {
                throw error("not a hexadecimal number")
            }
            value = value << 4 | UInt32(digit)
        }
        return .range(value, value)
    }

    private mutating func property(isNegated: Bool) throws(TokenizerError) -> PatternClass.Item {
        var name = ""
        var isNegated = isNegated
        if take("{") {
            if take("^") { isNegated.toggle() }
            while true {
                let scalar = try next()
                if scalar == "}" { break }
                if scalar != " ", scalar != "_", scalar != "-" { name.unicodeScalars.append(scalar) }
            }
        } else {
            throw error("expected { after \\p")
        }
        if let properties = PatternProperties.named(name) {
            return isNegated ? .withoutProperties(properties.rawValue) : .properties(properties.rawValue)
        }
        guard let script = PatternProperties.script(named: name) else {
            throw error("unknown property \(name.prefix(40))")
        }
        return .nested(isNegated ? PatternClass([.nested(script)], isNegated: true) : script)
    }

    /// A bracket expression whose opening bracket has been read.
    private mutating func bracket() throws(TokenizerError) -> PatternClass {
        depth += 1
        guard depth <= Self.depthLimit else { throw error("nested too deeply") }
        defer { depth -= 1 }
        let isNegated = take("^")
        var operands: [[PatternClass.Item]] = [[]]
        var isFirst = true
        while true {
            if take("&&") {
                operands.append([])
                continue
            }
            let scalar = try next()
            if scalar == "]", !isFirst { break }
            isFirst = false
            operands[operands.count - 1].append(try bracketItem(scalar))
        }
        let rest = operands.dropFirst().map { folded(PatternClass($0)) }
        return folded(PatternClass(operands[0], isNegated: isNegated, intersections: rest))
    }

    private mutating func bracketItem(_ scalar: Unicode.Scalar) throws(TokenizerError) -> PatternClass.Item {
        if scalar == "[" {
            if take(":") { return try posixClass() }
            return .nested(try bracket())
        }
        let item: PatternClass.Item = scalar == "\\" ? try classEscape() : .range(scalar.value, scalar.value)
        guard case .range(let first, let firstEnd) = item, first == firstEnd, current == "-",
            offset + 1 < pattern.count, pattern[offset + 1] != "]"
        else { return item }
        offset += 1
        let last = try next()
        let end: PatternClass.Item
        if last == "\\" {
            end = try classEscape()
        } else if last == "[" {
            offset -= 2
            return item
        } else {
            end = .range(last.value, last.value)
        }
        guard case .range(let last, let lastEnd) = end, last == lastEnd else {
            // `a-\s`: the hyphen is literal.
            return .nested(PatternClass([item, .range(0x2D, 0x2D), end]))
        }
        guard first <= last else { throw error("range out of order") }
        return .range(first, last)
    }

    private mutating func posixClass() throws(TokenizerError) -> PatternClass.Item {
        let isNegated = take("^")
        var name = ""
        while true {
            let scalar = try next()
            if scalar == ":" { break }
            name.unicodeScalars.append(scalar)
        }
        guard take("]"), let properties = PatternProperties.named(name) else {
            throw error("unknown class \(name.prefix(40))")
        }
        return isNegated ? .withoutProperties(properties.rawValue) : .properties(properties.rawValue)
    }
}
