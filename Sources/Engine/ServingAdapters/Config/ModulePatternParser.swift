indirect enum ModulePatternNode {
    case byte(ByteSet)
    case start
    case end
    /// Between a letter, digit or `_` and anything else.
    case boundary
    case sequence([ModulePatternNode])
    case alternatives([ModulePatternNode])
    /// No upper bound for nil.
    case repeated(ModulePatternNode, Int, Int?)
}

/// Reads the syntax of ``ModulePattern``. All methods give nil for what they do not know.
struct ModulePatternParser {
    private let text: [UInt8]
    private var position = 0
    private var depth = 0

    private static let depthLimit = 32
    private static let repeatLimit = 64

    init(_ source: String) { text = Array(source.utf8) }

    mutating func parse() -> ModulePatternNode? {
        guard let node = alternatives(), position == text.count else { return nil }
        return node
    }

    private var next: UInt8? { position < text.count ? text[position] : nil }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        position += 1
        return true
    }

    private mutating func alternatives() -> ModulePatternNode? {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.depthLimit else { return nil }
        var parts: [ModulePatternNode] = []
        repeat {
            guard let part = sequence() else { return nil }
            parts.append(part)
        } while take(UInt8(ascii: "|"))
        return parts.count == 1 ? parts[0] : .alternatives(parts)
    }

    private mutating func sequence() -> ModulePatternNode? {
        var parts: [ModulePatternNode] = []
        while let byte = next, byte != UInt8(ascii: "|"), byte != UInt8(ascii: ")") {
            guard let atom = atom(), let part = repeated(atom) else { return nil }
            parts.append(part)
        }
        return .sequence(parts)
    }

    private mutating func repeated(_ part: ModulePatternNode) -> ModulePatternNode? {
        let least: Int
        let most: Int?
        switch next {
        case UInt8(ascii: "*"): (least, most) = (0, nil)
        case UInt8(ascii: "+"): (least, most) = (1, nil)
        case UInt8(ascii: "?"): (least, most) = (0, 1)
        case UInt8(ascii: "{"):
            guard let bounds = bounds() else { return nil }
            (least, most) = bounds
        default: return part
        }
        position += 1
        // Greed does not change whether the whole name matches.
        _ = take(UInt8(ascii: "?"))
        switch next {
        case UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "?"), UInt8(ascii: "{"): return nil
        default: return .repeated(part, least, most)
        }
    }

    /// `{m}`, `{m,}` or `{m,n}`; stops before the closing brace.
    private mutating func bounds() -> (Int, Int?)? {
        position += 1
        guard let least = number() else { return nil }
        var most: Int? = least
        if take(UInt8(ascii: ",")) {
            most = nil
            if next != UInt8(ascii: "}") {
                guard let number = number(), number >= least else { return nil }
                most = number
            }
        }
        return next == UInt8(ascii: "}") ? (least, most) : nil
    }

    private mutating func number() -> Int? {
        var value: Int?
        while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
            value = (value ?? 0) * 10 + Int(byte - UInt8(ascii: "0"))
            guard let value, value <= Self.repeatLimit else { return nil }
            position += 1
        }
        return value
    }

    private mutating func atom() -> ModulePatternNode? {
        guard let byte = next else { return nil }
        position += 1
        switch byte {
        case UInt8(ascii: "."): return .byte(ByteSet.of(CollectionOfOne(UInt8(ascii: "\n"))).inverted)
        case UInt8(ascii: "^"): return .start
        case UInt8(ascii: "$"): return .end
        case UInt8(ascii: "("):
            if take(UInt8(ascii: "?")) { guard take(UInt8(ascii: ":")) else { return nil } }
            guard let node = alternatives(), take(UInt8(ascii: ")")) else { return nil }
            return node
        case UInt8(ascii: "["): return set().map { .byte($0) }
        case UInt8(ascii: "\\"): return take(UInt8(ascii: "b")) ? .boundary : escape().map { .byte($0) }
        case UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "?"), UInt8(ascii: "{"): return nil
        default: return .byte(.of(CollectionOfOne(byte)))
        }
    }

    private mutating func escape() -> ByteSet? {
        guard let byte = next else { return nil }
        position += 1
        switch byte {
        case UInt8(ascii: "d"): return .digits
        case UInt8(ascii: "D"): return ByteSet.digits.inverted
        case UInt8(ascii: "w"): return .letters
        case UInt8(ascii: "W"): return ByteSet.letters.inverted
        case UInt8(ascii: "s"): return .spaces
        case UInt8(ascii: "S"): return ByteSet.spaces.inverted
        default: return ByteSet.letters.contains(byte) ? nil : .of(CollectionOfOne(byte))
        }
    }

    private mutating func set() -> ByteSet? {
        let isInverted = take(UInt8(ascii: "^"))
        var set = ByteSet()
        var isFirst = true
        while let byte = next, byte != UInt8(ascii: "]") || isFirst {
            isFirst = false
            position += 1
            if byte == UInt8(ascii: "\\") {
                guard let escaped = escape() else { return nil }
                set.formUnion(escaped)
            } else if next == UInt8(ascii: "-"), position + 1 < text.count, text[position + 1] != UInt8(ascii: "]") {
                let last = text[position + 1]
                guard last >= byte, last != UInt8(ascii: "\\") else { return nil }
                position += 2
                set.insert(byte...last)
            } else {
                set.insert(CollectionOfOne(byte))
            }
        }
        guard take(UInt8(ascii: "]")) else { return nil }
        return isInverted ? set.inverted : set
    }
}
