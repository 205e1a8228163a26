/// An expression of a template.
struct Expression: Sendable {
    let kind: Kind
    /// Byte offset in the source.
    let offset: Int32
    /// Height of the tree below, bounded so that walking it and freeing it cannot exhaust the stack.
    let depth: Int32

    indirect enum Kind: Sendable {
        case literal(Literal)
        case name(Int)
        case tuple([Expression])
        case list([Expression])
        case dictionary([(key: Expression, value: Expression)])
        case attribute(Expression, Text)
        case item(Expression, Expression)
        case slice(Expression, Expression?, Expression?, Expression?)
        case call(Expression, Arguments)
        case filter(Expression, FilterCall)
        case test(Expression, TestCall)
        case not(Expression)
        case negative(Expression)
        case positive(Expression)
        case binary(BinaryOperator, Expression, Expression)
        case and(Expression, Expression)
        case or(Expression, Expression)
        case comparison(Expression, [(ComparisonOperator, Expression)])
        case concatenation([Expression])
        case conditional(test: Expression, then: Expression, otherwise: Expression?)
    }

    enum Literal: Sendable {
        case none
        case bool(Bool)
        case integer(Int)
        case float(Double)
        case string(Text)
    }
}

enum BinaryOperator: String, Sendable {
    case add = "+", subtract = "-", multiply = "*", divide = "/", floorDivide = "//", modulo = "%", power = "**"
}

enum ComparisonOperator: String, Sendable {
    case equal = "==", notEqual = "!=", less = "<", lessOrEqual = "<=", greater = ">", greaterOrEqual = ">="
    case within = "in", notWithin = "not in"
}

/// What a call passes: `f(a, k=b, *c, **d)`.
struct Arguments: Sendable {
    var positional: [Expression] = []
    var keywords: [(name: Text, value: Expression)] = []
    var star: Expression?
    var doubleStar: Expression?

    var depth: Int32 {
        var depth = max(star?.depth ?? 0, doubleStar?.depth ?? 0)
        for expression in positional { depth = max(depth, expression.depth) }
        for keyword in keywords { depth = max(depth, keyword.value.depth) }
        return depth
    }
}

/// A filter by name; one that does not exist is only an error when it is reached.
struct FilterCall: Sendable {
    let filter: TemplateFilter?
    let name: String
    let arguments: Arguments
    let offset: Int32
}

struct TestCall: Sendable {
    let test: TemplateTest?
    let name: String
    let arguments: Arguments
}

/// What an assignment writes to.
indirect enum Target: Sendable {
    case name(Int)
    case attribute(namespace: Int, Text)
    case tuple([Target])
}

struct LoopNode: Sendable {
    let target: Target
    let sequence: Expression
    let filter: Expression?
    let isRecursive: Bool
    let body: [Statement]
    let otherwise: [Statement]
}

struct MacroNode: Sendable {
    struct Parameter: Sendable {
        let id: Int
        let name: Text
        let defaultValue: Expression?
    }

    let name: Text?
    let parameters: [Parameter]
    let body: [Statement]
    /// Whether the body speaks of `caller`, `kwargs`, `varargs`.
    let usesCaller: Bool
    let usesKeywords: Bool
    let usesVarargs: Bool
}

/// A statement of a template.
struct Statement: Sendable {
    let kind: Kind
    /// Byte offset in the source.
    let offset: Int32

    indirect enum Kind: Sendable {
        case text([UInt8])
        case output(Expression)
        case condition([(test: Expression, body: [Statement])], otherwise: [Statement])
        case loop(LoopNode)
        case set(Target, Expression)
        case setBlock(Target, [FilterCall], [Statement])
        case macro(Int, MacroNode)
        case call(MacroNode, callee: Expression, Arguments)
        case filter([FilterCall], [Statement])
        case with([(target: Target, value: Expression)], [Statement])
        /// A body with its own variables; a `block` sees only those of the template.
        case scope([Statement], seesLocals: Bool)
        case leaveLoop
        case nextIteration
    }
}
