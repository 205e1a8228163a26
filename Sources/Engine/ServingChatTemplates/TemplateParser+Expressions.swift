/// Expressions, from the loosest binding operator to the tightest.
extension TemplateParser {
    private func make(_ kind: Expression.Kind, at offset: Int32, above depth: Int32) throws(Failure) -> Expression {
        guard depth < ChatTemplateLimits.expressionDepth else {
            throw Failure(.limit, "expression too long", line: -1 - Int(offset))
        }
        return Expression(kind: kind, offset: offset, depth: depth + 1)
    }

    private func depth(_ expressions: [Expression]) -> Int32 { expressions.map(\.depth).max() ?? 0 }

    mutating func expression(withConditional: Bool = true) throws(Failure) -> Expression {
        try enter()
        defer { nesting -= 1 }
        return withConditional ? try conditional() : try or()
    }

    func isTupleEnd(endsBefore end: String?) -> Bool {
        switch token.kind {
        case .variableEnd, .blockEnd, .symbol(.closeParen): true
        case .name(let name): name == end
        default: false
        }
    }

    /// An expression, or several with commas between as a tuple.
    mutating func tuple(
        withConditional: Bool = true, endsBefore end: String? = nil, inParentheses: Bool = false
    ) throws(Failure) -> Expression {
        let start = offset
        var elements: [Expression] = []
        var isTuple = false
        while !isTupleEnd(endsBefore: end) {
            elements.append(try expression(withConditional: withConditional))
            guard take(.comma) else { break }
            isTuple = true
        }
        if !isTuple {
            if let only = elements.first { return only }
            guard inParentheses else { throw error("expected an expression, found \(token.description)") }
        }
        return try make(.tuple(elements), at: start, above: depth(elements))
    }

    private mutating func conditional() throws(Failure) -> Expression {
        let start = offset
        let hasSoft = isSoft
        let first = position
        var value = try or()
        while isName("if") {
            if !hasSoft, !isSoft {
                // An unknown filter left of `if` is only an error when it is reached, so read that part again.
                position = first
                isSoft = true
                defer { isSoft = false }
                return try conditional()
            }
            advance()
            let test = try or()
            let otherwise = take(name: "else") ? try nestedConditional() : nil
            let depth = max(value.depth, test.depth, otherwise?.depth ?? 0)
            value = try make(
                .conditional(test: test, then: value, otherwise: otherwise), at: start, above: depth)
        }
        return value
    }

    private mutating func nestedConditional() throws(Failure) -> Expression {
        try enter()
        defer { nesting -= 1 }
        return try conditional()
    }

    private mutating func or() throws(Failure) -> Expression {
        var left = try and()
        while isName("or") {
            let start = offset
            advance()
            let right = try and()
            left = try make(.or(left, right), at: start, above: max(left.depth, right.depth))
        }
        return left
    }

    private mutating func and() throws(Failure) -> Expression {
        var left = try not()
        while isName("and") {
            let start = offset
            advance()
            let right = try not()
            left = try make(.and(left, right), at: start, above: max(left.depth, right.depth))
        }
        return left
    }

    private mutating func not() throws(Failure) -> Expression {
        guard isName("not") else { return try comparison() }
        let start = offset
        advance()
        try enter()
        defer { nesting -= 1 }
        let operand = try not()
        return try make(.not(operand), at: start, above: operand.depth)
    }

    private mutating func comparisonOperator() -> ComparisonOperator? {
        switch token.kind {
        case .symbol(let symbol):
            guard let found = ComparisonOperator(rawValue: symbol.rawValue) else { return nil }
            advance()
            return found
        case .name("in"):
            advance()
            return .within
        case .name("not") where peek().kind == .name("in"):
            advance()
            advance()
            return .notWithin
        default: return nil
        }
    }

    private mutating func comparison() throws(Failure) -> Expression {
        let first = try sum()
        var operands: [(ComparisonOperator, Expression)] = []
        let start = offset
        while let found = comparisonOperator() { operands.append((found, try sum())) }
        guard !operands.isEmpty else { return first }
        return try make(
            .comparison(first, operands), at: start, above: max(first.depth, depth(operands.map(\.1))))
    }

    private mutating func binary(
        _ symbols: [TemplateToken.Symbol], _ operand: (inout TemplateParser) throws(Failure) -> Expression
    ) throws(Failure) -> Expression {
        var left = try operand(&self)
        while case .symbol(let symbol) = token.kind, symbols.contains(symbol),
            let found = BinaryOperator(rawValue: symbol.rawValue)
        {
            let start = offset
            advance()
            let right = try operand(&self)
            left = try make(.binary(found, left, right), at: start, above: max(left.depth, right.depth))
        }
        return left
    }

    private mutating func sum() throws(Failure) -> Expression {
        try binary([.add, .sub]) { (parser) throws(Failure) in try parser.concatenation() }
    }

    private mutating func concatenation() throws(Failure) -> Expression {
        let start = offset
        var parts = [try product()]
        while take(.tilde) { parts.append(try product()) }
        return parts.count == 1 ? parts[0] : try make(.concatenation(parts), at: start, above: depth(parts))
    }

    private mutating func product() throws(Failure) -> Expression {
        try binary([.mul, .div, .floorDiv, .mod]) { (parser) throws(Failure) in try parser.power() }
    }

    /// Unlike Python's, Jinja's `**` groups from the left.
    private mutating func power() throws(Failure) -> Expression {
        try binary([.pow]) { (parser) throws(Failure) in try parser.unary() }
    }

    private mutating func unary(withFilter: Bool = true) throws(Failure) -> Expression {
        let start = offset
        var value: Expression
        if isSymbol(.sub) || isSymbol(.add) {
            let isNegative = isSymbol(.sub)
            advance()
            try enter()
            defer { nesting -= 1 }
            let operand = try unary(withFilter: false)
            value = try make(isNegative ? .negative(operand) : .positive(operand), at: start, above: operand.depth)
        } else {
            value = try primary()
        }
        value = try postfix(value)
        return withFilter ? try filtered(value) : value
    }

    private mutating func primary() throws(Failure) -> Expression {
        let start = offset
        switch token.kind {
        case .name(let name):
            advance()
            switch name {
            case "true", "True": return try make(.literal(.bool(true)), at: start, above: 0)
            case "false", "False": return try make(.literal(.bool(false)), at: start, above: 0)
            case "none", "None": return try make(.literal(.none), at: start, above: 0)
            default: return try make(.name(reference(name)), at: start, above: 0)
            }
        case .string(var text):
            advance()
            while case .string(let more) = token.kind {
                text.append(more)
                advance()
            }
            return try make(.literal(.string(text)), at: start, above: 0)
        case .integer(let value):
            advance()
            return try make(.literal(.integer(value)), at: start, above: 0)
        case .float(let value):
            advance()
            return try make(.literal(.float(value)), at: start, above: 0)
        case .symbol(.openParen):
            advance()
            let value = try tuple(inParentheses: true)
            try expect(.closeParen)
            return value
        case .symbol(.openBracket): return try list()
        case .symbol(.openBrace): return try dictionary()
        default: throw error("unexpected \(token.description)")
        }
    }

    private mutating func list() throws(Failure) -> Expression {
        let start = offset
        advance()
        var elements: [Expression] = []
        while !isSymbol(.closeBracket) {
            elements.append(try expression())
            guard take(.comma) else { break }
        }
        try expect(.closeBracket)
        return try make(.list(elements), at: start, above: depth(elements))
    }

    private mutating func dictionary() throws(Failure) -> Expression {
        let start = offset
        advance()
        var members: [(key: Expression, value: Expression)] = []
        var depth: Int32 = 0
        while !isSymbol(.closeBrace) {
            let key = try expression()
            try expect(.colon)
            let value = try expression()
            depth = max(depth, key.depth, value.depth)
            members.append((key, value))
            guard take(.comma) else { break }
        }
        try expect(.closeBrace)
        return try make(.dictionary(members), at: start, above: depth)
    }

    private mutating func postfix(_ start: Expression) throws(Failure) -> Expression {
        var value = start
        while true {
            if isSymbol(.dot) {
                value = try attribute(of: value)
            } else if isSymbol(.openBracket) {
                value = try subscripted(value)
            } else if isSymbol(.openParen) {
                value = try call(value)
            } else {
                return value
            }
        }
    }

    private mutating func attribute(of value: Expression) throws(Failure) -> Expression {
        let start = offset
        advance()
        defer { advance() }
        switch token.kind {
        case .name(let name): return try make(.attribute(value, Text(name)), at: start, above: value.depth)
        case .integer(let number):
            let key = try make(.literal(.integer(number)), at: start, above: 0)
            return try make(.item(value, key), at: start, above: value.depth)
        default: throw error("expected a name or number after '.'")
        }
    }

    private mutating func subscripted(_ value: Expression) throws(Failure) -> Expression {
        let start = offset
        advance()
        let first = isSymbol(.colon) || isSymbol(.closeBracket) ? nil : try expression()
        if take(.colon) { return try slice(of: value, from: first, at: start) }
        var keys = first.map { [$0] } ?? []
        while !isSymbol(.closeBracket) {
            try expect(.comma)
            keys.append(try expression())
            guard !isSymbol(.colon) else { throw error("slices cannot be combined with commas") }
        }
        advance()
        let key = keys.count == 1 ? keys[0] : try make(.tuple(keys), at: start, above: depth(keys))
        return try make(.item(value, key), at: start, above: max(value.depth, key.depth))
    }

    /// The rest of `[first:stop:step]` after the first colon.
    private mutating func slice(
        of value: Expression, from first: Expression?, at offset: Int32
    ) throws(Failure) -> Expression {
        let stop = isSymbol(.colon) || isSymbol(.closeBracket) ? nil : try expression()
        var step: Expression?
        if take(.colon) { step = isSymbol(.closeBracket) ? nil : try expression() }
        try expect(.closeBracket)
        let depth = max(value.depth, self.depth([first, stop, step].compactMap { $0 }))
        return try make(.slice(value, first, stop, step), at: offset, above: depth)
    }

    private mutating func call(_ callee: Expression) throws(Failure) -> Expression {
        let start = offset
        let arguments = try arguments()
        return try make(.call(callee, arguments), at: start, above: max(callee.depth, arguments.depth))
    }

    private mutating func arguments() throws(Failure) -> Arguments {
        try expect(.openParen)
        var arguments = Arguments()
        while !isSymbol(.closeParen) {
            let isAfterDouble = arguments.doubleStar != nil
            if isSymbol(.mul) {
                guard arguments.star == nil, !isAfterDouble else { throw error("misplaced * in a call") }
                advance()
                arguments.star = try expression()
            } else if isSymbol(.pow) {
                guard !isAfterDouble else { throw error("repeated ** in a call") }
                advance()
                arguments.doubleStar = try expression()
            } else if case .name(let name) = token.kind, peek().kind == .symbol(.assign) {
                guard !isAfterDouble else { throw error("argument after **") }
                guard !arguments.keywords.contains(where: { $0.name == Text(name) }) else {
                    throw error("keyword argument repeated: \(name)")
                }
                advance()
                advance()
                arguments.keywords.append((Text(name), try expression()))
            } else {
                guard arguments.star == nil, !isAfterDouble, arguments.keywords.isEmpty else {
                    throw error("positional argument after others")
                }
                arguments.positional.append(try expression())
            }
            guard take(.comma) else { break }
        }
        try expect(.closeParen)
        return arguments
    }

    private mutating func filtered(_ start: Expression) throws(Failure) -> Expression {
        var value = start
        while true {
            if isSymbol(.pipe) {
                advance()
                let call = try filterCall()
                value = try make(
                    .filter(value, call), at: call.offset, above: max(value.depth, call.arguments.depth))
            } else if isName("is") {
                value = try test(value)
            } else if isSymbol(.openParen) {
                value = try call(value)
            } else {
                return value
            }
        }
    }

    private mutating func dottedName() throws(Failure) -> String {
        var name = try expectName()
        while take(.dot) { name += "." + (try expectName()) }
        return name
    }

    private mutating func filterCall() throws(Failure) -> FilterCall {
        let start = offset
        let name = try dottedName()
        let filter = TemplateFilter(rawValue: name)
        guard filter != nil || isSoft else { throw error("no filter named '\(name)'", at: Int(start)) }
        let arguments = isSymbol(.openParen) ? try arguments() : Arguments()
        return FilterCall(filter: filter, name: name, arguments: arguments, offset: start)
    }

    /// `|a|b(c)`; the first without its bar where it starts inline.
    mutating func filterChain(startsInline: Bool) throws(Failure) -> [FilterCall] {
        var filters: [FilterCall] = []
        if startsInline { filters.append(try filterCall()) }
        while take(.pipe) { filters.append(try filterCall()) }
        return filters
    }

    private var startsTestOperand: Bool {
        switch token.kind {
        case .name(let name): !["else", "or", "and"].contains(name)
        case .string, .integer, .float, .symbol(.openBracket), .symbol(.openBrace): true
        default: false
        }
    }

    private mutating func test(_ value: Expression) throws(Failure) -> Expression {
        let start = offset
        advance()
        let isNegated = take(name: "not")
        let name = try dottedName()
        let test = TemplateTest(rawValue: name)
        guard test != nil || isSoft else { throw error("no test named '\(name)'", at: Int(start)) }
        var arguments = Arguments()
        if isSymbol(.openParen) {
            arguments = try self.arguments()
        } else if startsTestOperand {
            guard !isName("is") else { throw error("tests cannot be chained with is") }
            arguments.positional = [try postfix(try primary())]
        }
        let call = TestCall(test: test, name: name, arguments: arguments)
        let result = try make(.test(value, call), at: start, above: max(value.depth, arguments.depth))
        return isNegated ? try make(.not(result), at: start, above: result.depth) : result
    }
}
