/// A parsed pattern.
indirect enum PatternNode {
    enum Greed { case greedy, lazy, possessive }
    enum Assertion: Sendable {
        case textStart, textEnd, lineStart, lineEnd, wordBoundary, notWordBoundary, beforeFinalNewline
    }

    case empty
    case scalar(PatternClass)
    case sequence([PatternNode])
    case alternatives([PatternNode])
    case repeated(PatternNode, least: Int, most: Int?, greed: Greed)
    case lookahead(PatternNode, isNegated: Bool)
    case lookbehind(PatternNode, isNegated: Bool)
    case atomic(PatternNode)
    case assertion(Assertion)

    /// Whether it can match nothing at all.
    var isNullable: Bool {
        switch self {
        case .empty, .lookahead, .lookbehind, .assertion: true
        case .scalar: false
        case .sequence(let parts): parts.allSatisfy(\.isNullable)
        case .alternatives(let parts): parts.contains(where: \.isNullable)
        case .repeated(let part, let least, _, _): least == 0 || part.isNullable
        case .atomic(let part): part.isNullable
        }
    }

    /// The number of scalars that it matches, where that is fixed.
    var fixedLength: Int? {
        switch self {
        case .empty, .lookahead, .lookbehind, .assertion: return 0
        case .scalar: return 1
        case .sequence(let parts):
            var sum = 0
            for part in parts {
                guard let length = part.fixedLength else { return nil }
                sum += length
            }
            return sum
        case .alternatives(let parts):
            guard let first = parts.first?.fixedLength, parts.allSatisfy({ $0.fixedLength == first }) else {
                return nil
            }
            return first
        case .repeated(let part, let least, let most, _):
            guard least == most, let length = part.fixedLength else { return nil }
            return length * least
        case .atomic(let part): return part.fixedLength
        }
    }
}
