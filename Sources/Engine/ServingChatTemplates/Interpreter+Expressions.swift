extension Interpreter {
    func evaluate(_ expression: Expression) throws(Failure) -> Value {
        try step()
        switch expression.kind {
        case .literal(let literal): return Interpreter.value(of: literal)
        case .name(let id): return lookup(id)
        case .attribute(let object, let name):
            let object = try evaluate(object)
            offset = Int(expression.offset)
            return try attribute(name, of: object)
        case .item(let object, let key):
            let object = try evaluate(object)
            let key = try evaluate(key)
            offset = Int(expression.offset)
            return try item(key, of: object)
        case .binary(let symbol, let left, let right):
            let left = try evaluate(left)
            let right = try evaluate(right)
            offset = Int(expression.offset)
            return try operate(symbol, left, right)
        case .filter(let value, let call): return try apply(call, to: try evaluate(value))
        case .test, .not, .and, .or, .comparison, .conditional: return try evaluateLogic(expression)
        default: return try evaluateOther(expression)
        }
    }

    private static func value(of literal: Expression.Literal) -> Value {
        switch literal {
        case .none: .none
        case .bool(let value): .bool(value)
        case .integer(let value): .integer(value)
        case .float(let value): .float(value)
        case .string(let text): .string(text)
        }
    }

    private func evaluateLogic(_ expression: Expression) throws(Failure) -> Value {
        switch expression.kind {
        case .test(let value, let call):
            let value = try evaluate(value)
            guard let test = call.test else { throw Failure(.syntax, "no test named '\(call.name)'") }
            let arguments = try evaluate(call.arguments)
            offset = Int(expression.offset)
            return .bool(try self.test(test, value, arguments))
        case .not(let operand): return .bool(!(try evaluate(operand).isTruthy))
        case .and(let left, let right):
            let left = try evaluate(left)
            return left.isTruthy ? try evaluate(right) : left
        case .or(let left, let right):
            let left = try evaluate(left)
            return left.isTruthy ? left : try evaluate(right)
        case .comparison(let first, let operands): return try compare(first, operands, at: Int(expression.offset))
        case .conditional(let test, let value, let otherwise):
            if try evaluate(test).isTruthy { return try evaluate(value) }
            if let otherwise { return try evaluate(otherwise) }
            return .undefined(
                UndefinedValue("the inline if-expression evaluated to false and no else section was defined."))
        default: return .none
        }
    }

    private func evaluateOther(_ expression: Expression) throws(Failure) -> Value {
        switch expression.kind {
        case .tuple(let elements):
            try spend(elements.count)
            return .tuple(try ListValue(try evaluate(elements)))
        case .list(let elements): return try list(try evaluate(elements))
        case .dictionary(let members):
            let dictionary = DictionaryValue()
            for member in members { try dictionary.set(try evaluate(member.key), try evaluate(member.value)) }
            return .dictionary(dictionary)
        case .slice(let object, let start, let stop, let step):
            let object = try evaluate(object)
            let bounds = (try bound(start), try bound(stop), try bound(step))
            offset = Int(expression.offset)
            return try slice(object, bounds.0, bounds.1, bounds.2)
        case .call(let callee, let arguments):
            let callee = try evaluate(callee)
            let arguments = try evaluate(arguments)
            offset = Int(expression.offset)
            return try call(callee, arguments)
        case .negative(let operand), .positive(let operand): return try signed(expression, operand)
        case .concatenation(let parts):
            var result = Text()
            for part in parts {
                let part = try text(try evaluate(part))
                try spend(bytes: result.bytes.count + part.bytes.count)
                result.append(part)
            }
            return .string(result)
        default: return .none
        }
    }

    private func evaluate(_ expressions: [Expression]) throws(Failure) -> [Value] {
        var values: [Value] = []
        values.reserveCapacity(expressions.count)
        for expression in expressions { values.append(try evaluate(expression)) }
        return values
    }

    func evaluate(_ arguments: Arguments) throws(Failure) -> CallArguments {
        var values = CallArguments(try evaluate(arguments.positional))
        for keyword in arguments.keywords { values.keywords.append((keyword.name, try evaluate(keyword.value))) }
        if let star = arguments.star { values.positional += try elements(of: try evaluate(star)) }
        if let doubleStar = arguments.doubleStar {
            guard case .dictionary(let dictionary) = try evaluate(doubleStar) else {
                throw Failure(.type, "argument after ** must be a mapping")
            }
            for (key, value) in zip(dictionary.keys, dictionary.values) {
                guard let name = key.string else { throw Failure(.type, "keywords must be strings") }
                guard !values.keywords.contains(where: { $0.name == name }) else {
                    throw Failure(.type, "got multiple values for keyword argument \(name.quoted.string)")
                }
                values.keywords.append((name, value))
            }
        }
        return values
    }

    private func signed(_ expression: Expression, _ operand: Expression) throws(Failure) -> Value {
        let value = try evaluate(operand)
        offset = Int(expression.offset)
        var isNegative = false
        if case .negative = expression.kind { isNegative = true }
        if let integer = value.integer {
            return isNegative ? try Value.arithmetic(.subtract, .integer(0), .integer(integer)) : .integer(integer)
        }
        if case .float(let number) = value { return .float(isNegative ? -number : number) }
        if case .undefined(let undefined) = value { throw undefined.failure }
        throw Failure(.type, "bad operand type for unary \(isNegative ? "-" : "+"): '\(value.typeName)'")
    }

    // MARK: Comparison

    private func compare(
        _ first: Expression, _ operands: [(ComparisonOperator, Expression)], at position: Int
    ) throws(Failure) -> Value {
        var left = try evaluate(first)
        for (comparison, operand) in operands {
            let right = try evaluate(operand)
            offset = position
            guard try holds(comparison, left, right) else { return .bool(false) }
            left = right
        }
        return .bool(true)
    }

    func holds(_ comparison: ComparisonOperator, _ left: Value, _ right: Value) throws(Failure) -> Bool {
        try spend(left.comparisonCost)
        switch comparison {
        case .equal: return try Value.areEqual(left, right)
        case .notEqual: return !(try Value.areEqual(left, right))
        case .within: return try isMember(left, of: right)
        case .notWithin: return !(try isMember(left, of: right))
        default: return try Value.isOrdered(left, right, by: comparison)
        }
    }

    private func isMember(_ value: Value, of container: Value) throws(Failure) -> Bool {
        switch container {
        case .string(let text):
            guard let needle = value.string else {
                if case .undefined = value {
                    throw Failure(.type, "'in <string>' requires string as left operand, not Undefined")
                }
                throw Failure(.type, "'in <string>' requires string as left operand, not \(value.typeName)")
            }
            try spend(text.bytes.count / 32)
            return text.contains(needle)
        case .dictionary(let dictionary): return try dictionary[value] != nil
        case .view(let view) where view.kind == .keys: return try view.dictionary[value] != nil
        case .iterator(let iterator):
            while let element = try iterator.next() {
                try spend(1)
                if try Value.areEqual(element, value) { return true }
            }
            return false
        case .undefined: return false
        default:
            guard isIterable(container) else {
                throw Failure(.type, "argument of type '\(container.typeName)' is not iterable")
            }
            for element in try elements(of: container) {
                try spend(value.comparisonCost)
                if try Value.areEqual(element, value) { return true }
            }
            return false
        }
    }

    // MARK: Arithmetic

    func operate(_ symbol: BinaryOperator, _ left: Value, _ right: Value) throws(Failure) -> Value {
        switch (symbol, left, right) {
        case (.add, .string(let left), .string(let right)):
            try spend(bytes: left.bytes.count + right.bytes.count)
            guard left.isMarkup || right.isMarkup else { return .string(left + right) }
            return .string((left.escaped + right.escaped).marked(true))
        case (.add, .list(let left), .list(let right)): return try list(left.elements + right.elements)
        case (.add, .tuple(let left), .tuple(let right)):
            try spend(left.elements.count + right.elements.count)
            return .tuple(try ListValue(left.elements + right.elements))
        case (.modulo, .string(let format), _): return try percentFormat(format, right)
        case (.multiply, _, _): return try multiply(left, right)
        default: return try Value.arithmetic(symbol, left, right)
        }
    }

    private func multiply(_ left: Value, _ right: Value) throws(Failure) -> Value {
        if let product = try repeated(left, right) { return product }
        if let product = try repeated(right, left) { return product }
        return try Value.arithmetic(.multiply, left, right)
    }

    private func repeated(_ value: Value, _ times: Value) throws(Failure) -> Value? {
        guard let times = times.integer.map({ max($0, 0) }) else { return nil }
        switch value {
        case .string(let text):
            let (bytes, overflow) = text.bytes.count.multipliedReportingOverflow(by: times)
            try spend(bytes: overflow ? .max : bytes)
            var result: [UInt8] = []
            result.reserveCapacity(bytes)
            if !text.isEmpty { for _ in 0..<times { result.append(contentsOf: text.bytes) } }
            return .string(Text(bytes: result, isMarkup: text.isMarkup))
        case .list(let list), .tuple(let list):
            let (count, overflow) = list.elements.count.multipliedReportingOverflow(by: times)
            try spend(overflow ? .max : count)
            var elements: [Value] = []
            elements.reserveCapacity(count)
            if !list.elements.isEmpty { for _ in 0..<times { elements += list.elements } }
            let product = try ListValue(elements)
            if case .list = value { return .list(product) }
            return .tuple(product)
        default: return nil
        }
    }

    // MARK: Sequences

    func isIterable(_ value: Value) -> Bool {
        switch value {
        case .undefined, .string, .list, .tuple, .dictionary, .view, .range, .iterator, .loop: true
        default: false
        }
    }

    /// The elements of anything that can be iterated; empties an iterator.
    func elements(of value: Value) throws(Failure) -> [Value] {
        switch value {
        case .undefined: return []
        case .list(let list), .tuple(let list): return list.elements
        case .string(let text):
            try spend(text.count)
            return text.elements.map { .string($0) }
        case .dictionary(let dictionary): return dictionary.keys
        case .view(let view):
            try spend(view.dictionary.count)
            return try view.elements
        case .range(let range):
            try spend(range.count)
            return range.elements
        case .iterator(let iterator):
            var elements: [Value] = []
            while let element = try iterator.next() {
                try spend(1)
                elements.append(element)
            }
            return elements
        default: throw Failure(.type, "'\(value.typeName)' object is not iterable")
        }
    }

    func iterator(over value: Value) throws(Failure) -> ValueIterator {
        if case .iterator(let iterator) = value { return iterator }
        return ValueIterator(try elements(of: value))
    }

    /// Python's `len`; nil where there is none.
    func length(of value: Value) throws(Failure) -> Int? {
        switch value {
        case .undefined: 0
        case .string(let text): text.count
        case .list(let list), .tuple(let list): list.elements.count
        case .dictionary(let dictionary): dictionary.count
        case .view(let view): view.dictionary.count
        case .range(let range): range.count
        case .loop(let loop): try loop.length()
        default: nil
        }
    }

    private func bound(_ expression: Expression?) throws(Failure) -> Value {
        try expression.map(evaluateBound) ?? .none
    }

    private func evaluateBound(_ expression: Expression) throws(Failure) -> Value { try evaluate(expression) }

    private func slice(_ object: Value, _ start: Value, _ stop: Value, _ step: Value) throws(Failure) -> Value {
        if case .undefined(let undefined) = object { throw undefined.failure }
        guard let count = try length(of: object) else {
            throw Failure(.type, "'\(object.typeName)' object is not subscriptable")
        }
        guard [start, stop, step].allSatisfy({ $0.isNone || $0.integer != nil }) else {
            throw Failure(.type, "slice indices must be integers or None")
        }
        let resolved = try ResolvedSlice(start: start.integer, stop: stop.integer, step: step.integer, count: count)
        switch object {
        case .string(let text): return try made(text[resolved])
        case .list(let list): return try self.list(resolved.positions.map { list.elements[$0] })
        case .tuple(let list):
            try spend(list.elements.count)
            return .tuple(try ListValue(resolved.positions.map { list.elements[$0] }))
        case .range(let range):
            return .range(
                try RangeValue(
                    start: range.start + resolved.start * range.step, stop: range.start + resolved.stop * range.step,
                    step: range.step * resolved.step))
        default: throw Failure(.type, "'\(object.typeName)' object cannot be sliced")
        }
    }
}

extension Value {
    /// Steps that comparing the value may take.
    var comparisonCost: Int { if case .string(let text) = self { text.bytes.count / 32 } else { size } }
}
