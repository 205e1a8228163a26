/// Builds the tree of a template from its tokens: statements here, expressions in the extension.
struct TemplateParser {
    var tokens: [TemplateToken]
    var position = 0
    /// Names of variables; expressions hold positions in this list.
    private(set) var names: [Text] = []
    private var idOfName: [Text: Int] = [:]
    var nesting = 0
    /// Inside a branch, where an unknown filter or test is only an error when it is reached.
    var isSoft = false
    private var loopDepth = 0
    /// For each open macro, whether its body spoke of `caller`, `kwargs` and `varargs`.
    private var macroUses: [(caller: Bool, keywords: Bool, varargs: Bool)] = []

    init(tokens: [TemplateToken]) { self.tokens = tokens }

    mutating func parse() throws(Failure) -> [Statement] {
        let statements = try statements(until: [])
        guard token.kind == .end else { throw error("unexpected \(token.description)") }
        return statements
    }

    // MARK: Tokens

    var token: TemplateToken { tokens[position] }
    var offset: Int32 { Int32(clamping: token.offset) }

    func peek(_ distance: Int = 1) -> TemplateToken { tokens[min(position + distance, tokens.count - 1)] }

    mutating func advance() { if position < tokens.count - 1 { position += 1 } }

    func isName(_ name: String) -> Bool {
        if case .name(let found) = token.kind { found == name } else { false }
    }

    func isSymbol(_ symbol: TemplateToken.Symbol) -> Bool { token.kind == .symbol(symbol) }

    mutating func take(_ symbol: TemplateToken.Symbol) -> Bool {
        guard isSymbol(symbol) else { return false }
        advance()
        return true
    }

    mutating func take(name: String) -> Bool {
        guard isName(name) else { return false }
        advance()
        return true
    }

    mutating func expect(_ kind: TemplateToken.Kind, _ description: String) throws(Failure) {
        guard token.kind == kind else { throw error("expected \(description), found \(token.description)") }
        advance()
    }

    mutating func expect(_ symbol: TemplateToken.Symbol) throws(Failure) {
        try expect(.symbol(symbol), "'\(symbol.rawValue)'")
    }

    mutating func expectName() throws(Failure) -> String {
        guard case .name(let name) = token.kind else {
            throw error("expected a name, found \(token.description)")
        }
        advance()
        return name
    }

    func error(_ message: String, at offset: Int? = nil) -> Failure {
        TemplateLexer.error(message, at: offset ?? token.offset)
    }

    mutating func id(_ name: String) -> Int {
        let key = Text(name)
        if let id = idOfName[key] { return id }
        idOfName[key] = names.count
        names.append(key)
        return names.count - 1
    }

    /// The number of a name that is read.
    mutating func reference(_ name: String) -> Int {
        for index in macroUses.indices {
            if name == "caller" { macroUses[index].caller = true }
            if name == "kwargs" { macroUses[index].keywords = true }
            if name == "varargs" { macroUses[index].varargs = true }
        }
        return id(name)
    }

    mutating func enter() throws(Failure) {
        nesting += 1
        guard nesting <= ChatTemplateLimits.nesting else {
            throw Failure(.limit, "template nested too deeply", line: -1 - token.offset)
        }
    }

    // MARK: Statements

    /// Statements up to a tag whose name is in `ends`; that name is the current token afterwards.
    mutating func statements(until ends: [String]) throws(Failure) -> [Statement] {
        try enter()
        defer { nesting -= 1 }
        var body: [Statement] = []
        while true {
            let start = offset
            switch token.kind {
            case .data(let text):
                body.append(Statement(kind: .text(text.bytes), offset: start))
                advance()
            case .variableBegin:
                advance()
                let value = try tuple()
                try expect(.variableEnd, "}}")
                body.append(Statement(kind: .output(value), offset: start))
            case .blockBegin:
                advance()
                if case .name(let name) = token.kind, ends.contains(name) { return body }
                let kinds = try statement()
                for kind in kinds { body.append(Statement(kind: kind, offset: start)) }
                try expect(.blockEnd, "%}")
            case .end:
                guard ends.isEmpty else {
                    throw error("template ends where \(ends.joined(separator: " or ")) was expected")
                }
                return body
            default:
                throw error("unexpected \(token.description)")
            }
        }
    }

    /// The body of a tag, with the tag that ends it consumed but for its closing delimiter; returns that tag's name.
    mutating func body(until ends: String..., soft: Bool = false) throws(Failure) -> ([Statement], end: String) {
        _ = take(.colon)
        try expect(.blockEnd, "%}")
        let wasSoft = isSoft
        isSoft = soft
        defer { isSoft = wasSoft }
        let body = try statements(until: ends)
        return (body, try expectName())
    }

    private mutating func statement() throws(Failure) -> [Statement.Kind] {
        let start = token.offset
        switch try expectName() {
        case "if": return [try condition()]
        case "for": return [try loop()]
        case "set": return [try set()]
        case "macro": return [try macro()]
        case "call": return [try callBlock()]
        case "filter":
            let filters = try filterChain(startsInline: true)
            return [.filter(filters, try body(until: "endfilter").0)]
        case "with": return [try with()]
        case "print": return try print()
        case "block": return [try block()]
        case "generation": return [.scope(try functionBody("endgeneration"), seesLocals: true)]
        case "autoescape": return [try autoescape(at: start)]
        case "break", "continue":
            guard loopDepth > 0 else { throw error("break or continue outside a loop", at: start) }
            return [tokens[position - 1].kind == .name("break") ? .leaveLoop : .nextIteration]
        case let name where ["include", "import", "from", "extends", "do", "trans", "debug"].contains(name):
            throw Failure(.unsupported, "the tag '\(name)' is not supported in chat templates", line: -1 - start)
        case let name: throw error("unknown tag '\(name)'", at: start)
        }
    }

    private mutating func condition() throws(Failure) -> Statement.Kind {
        var branches: [(test: Expression, body: [Statement])] = []
        var end = "elif"
        while end == "elif" {
            let test = try softly { (parser) throws(Failure) in try parser.tuple(withConditional: false) }
            let body: [Statement]
            (body, end) = try self.body(until: "elif", "else", "endif", soft: true)
            branches.append((test, body))
        }
        guard end == "else" else { return .condition(branches, otherwise: []) }
        return .condition(branches, otherwise: try body(until: "endif", soft: true).0)
    }

    mutating func softly<T>(_ parse: (inout TemplateParser) throws(Failure) -> T) throws(Failure) -> T {
        let wasSoft = isSoft
        isSoft = true
        defer { isSoft = wasSoft }
        return try parse(&self)
    }

    private mutating func loop() throws(Failure) -> Statement.Kind {
        let start = token.offset
        let target = try target(endsBefore: "in")
        guard !binds(target, "loop") else { throw error("the loop variable cannot be called loop", at: start) }
        guard take(name: "in") else { throw error("expected 'in', found \(token.description)") }
        let sequence = try tuple(withConditional: false, endsBefore: "recursive")
        let filter = take(name: "if") ? try expression() : nil
        let isRecursive = take(name: "recursive")
        loopDepth += 1
        let (body, end) = try body(until: "endfor", "else")
        loopDepth -= 1
        let otherwise = end == "else" ? try self.body(until: "endfor").0 : []
        return .loop(
            LoopNode(
                target: target, sequence: sequence, filter: filter, isRecursive: isRecursive, body: body,
                otherwise: otherwise))
    }

    private func binds(_ target: Target, _ name: Text) -> Bool {
        switch target {
        case .name(let id): names[id] == name
        case .attribute: false
        case .tuple(let targets): targets.contains { binds($0, name) }
        }
    }

    private mutating func set() throws(Failure) -> Statement.Kind {
        let target = try target(withNamespace: true)
        if take(.assign) { return .set(target, try tuple()) }
        let filters = try filterChain(startsInline: false)
        return .setBlock(target, filters, try body(until: "endset").0)
    }

    private mutating func with() throws(Failure) -> Statement.Kind {
        var bindings: [(target: Target, value: Expression)] = []
        while token.kind != .blockEnd {
            if !bindings.isEmpty { try expect(.comma) }
            let target = try target()
            try expect(.assign)
            bindings.append((target, try expression()))
        }
        return .with(bindings, try body(until: "endwith").0)
    }

    private mutating func print() throws(Failure) -> [Statement.Kind] {
        var outputs: [Statement.Kind] = []
        while token.kind != .blockEnd {
            if !outputs.isEmpty { try expect(.comma) }
            outputs.append(.output(try expression()))
        }
        return outputs
    }

    private mutating func block() throws(Failure) -> Statement.Kind {
        let name = try expectName()
        let isScoped = take(name: "scoped")
        _ = take(name: "required")
        let body = try functionBody("endblock")
        _ = take(name: name)
        return .scope(body, seesLocals: isScoped)
    }

    private mutating func autoescape(at start: Int) throws(Failure) -> Statement.Kind {
        let value = try expression()
        guard case .literal(.bool(false)) = value.kind else {
            throw Failure(.unsupported, "automatic escaping is not supported in chat templates", line: -1 - start)
        }
        return .scope(try body(until: "endautoescape").0, seesLocals: true)
    }

    /// A body that Jinja compiles to a function of its own: a loop around it cannot be left from inside.
    private mutating func functionBody(_ end: String) throws(Failure) -> [Statement] {
        let outerLoops = loopDepth
        loopDepth = 0
        defer { loopDepth = outerLoops }
        _ = take(.colon)
        try expect(.blockEnd, "%}")
        let wasSoft = isSoft
        isSoft = false
        defer { isSoft = wasSoft }
        let body = try statements(until: [end])
        advance()
        return body
    }

    // MARK: Macros

    private mutating func macro() throws(Failure) -> Statement.Kind {
        let name = try expectName()
        let parameters = try signature()
        return .macro(id(name), try macroBody(name: Text(name), parameters: parameters, end: "endmacro"))
    }

    private mutating func callBlock() throws(Failure) -> Statement.Kind {
        let parameters = isSymbol(.openParen) ? try signature() : []
        let start = token.offset
        let call = try expression()
        guard case .call(let callee, let arguments) = call.kind else { throw error("expected a call", at: start) }
        let body = try macroBody(name: nil, parameters: parameters, end: "endcall")
        return .call(body, callee: callee, arguments)
    }

    private mutating func macroBody(
        name: Text?, parameters: [MacroNode.Parameter], end: String
    ) throws(Failure) -> MacroNode {
        macroUses.append((false, false, false))
        let body = try functionBody(end)
        let uses = macroUses.removeLast()
        let hasExplicit = { (word: Text) in parameters.contains { $0.name == word } }
        return MacroNode(
            name: name, parameters: parameters, body: body, usesCaller: uses.caller && !hasExplicit("caller"),
            usesKeywords: uses.keywords && !hasExplicit("kwargs"),
            usesVarargs: uses.varargs && !hasExplicit("varargs"))
    }

    private mutating func signature() throws(Failure) -> [MacroNode.Parameter] {
        var parameters: [MacroNode.Parameter] = []
        try expect(.openParen)
        while !isSymbol(.closeParen) {
            if !parameters.isEmpty { try expect(.comma) }
            let name = try expectName()
            let value = take(.assign) ? try expression() : nil
            guard value != nil || parameters.last?.defaultValue == nil else {
                throw error("parameter without a default after one with a default")
            }
            parameters.append(MacroNode.Parameter(id: id(name), name: Text(name), defaultValue: value))
        }
        advance()
        return parameters
    }

    // MARK: Targets of assignments

    mutating func target(endsBefore end: String? = nil, withNamespace: Bool = false) throws(Failure) -> Target {
        let start = token.offset
        var targets: [Target] = []
        var isTuple = false
        repeat {
            if isTupleEnd(endsBefore: end) { break }
            targets.append(try oneTarget(withNamespace: withNamespace))
            guard isSymbol(.comma) else { break }
            isTuple = true
        } while take(.comma)
        guard isTuple || !targets.isEmpty else { throw error("expected a name to assign to", at: start) }
        return isTuple ? .tuple(targets) : targets[0]
    }

    private mutating func oneTarget(withNamespace: Bool) throws(Failure) -> Target {
        if take(.openParen) {
            try enter()
            defer { nesting -= 1 }
            var targets: [Target] = []
            var isTuple = false
            while !isSymbol(.closeParen) {
                targets.append(try oneTarget(withNamespace: false))
                guard take(.comma) else { break }
                isTuple = true
            }
            try expect(.closeParen)
            return isTuple || targets.isEmpty ? .tuple(targets) : targets[0]
        }
        let start = token.offset
        let name = try expectName()
        guard !["true", "false", "none", "True", "False", "None"].contains(name) else {
            throw error("cannot assign to \(name)", at: start)
        }
        if withNamespace, take(.dot) { return .attribute(namespace: id(name), Text(try expectName())) }
        return .name(id(name))
    }
}
