/// One token of a template.
struct TemplateToken: Sendable {
    enum Kind: Sendable, Equatable {
        case data(Text)
        case variableBegin, variableEnd, blockBegin, blockEnd
        case name(String)
        case string(Text)
        case integer(Int)
        case float(Double)
        case symbol(Symbol)
        case end
    }

    enum Symbol: String, Sendable {
        case add = "+", sub = "-", div = "/", floorDiv = "//", mul = "*", mod = "%", pow = "**", tilde = "~"
        case openBracket = "[", closeBracket = "]", openParen = "(", closeParen = ")"
        case openBrace = "{", closeBrace = "}"
        case equal = "==", notEqual = "!=", greater = ">", greaterOrEqual = ">=", less = "<", lessOrEqual = "<="
        case assign = "=", dot = ".", colon = ":", pipe = "|", comma = ",", semicolon = ";"
    }

    let kind: Kind
    /// Byte offset in the source.
    let offset: Int

    var description: String {
        switch kind {
        case .data: "text"
        case .variableBegin: "{{"
        case .variableEnd: "}}"
        case .blockBegin: "{%"
        case .blockEnd: "%}"
        case .name(let name): name
        case .string: "a string"
        case .integer, .float: "a number"
        case .symbol(let symbol): symbol.rawValue
        case .end: "end of template"
        }
    }
}
