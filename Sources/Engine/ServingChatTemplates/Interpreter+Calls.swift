extension Interpreter {
    func call(_ callee: Value, _ arguments: CallArguments) throws(Failure) -> Value {
        switch callee {
        case .undefined(let undefined): throw undefined.failure
        case .macro(let macro): return try call(macro, arguments)
        case .function(let function): return try call(function, arguments)
        case .method(let method): return try call(method, arguments)
        case .loop(let loop):
            let values = try arguments.bound(to: ["iterable"], of: "loop()", required: 1)
            return try recurse(loop, over: values[0] ?? .none)
        case .joiner(let joiner):
            _ = try arguments.bound(to: [], of: "joiner()")
            defer { joiner.isUsed = true }
            return joiner.isUsed ? joiner.separator : .string("")
        default: throw Failure(.type, "'\(callee.typeName)' object is not callable")
        }
    }

    private func call(_ function: GlobalFunction, _ arguments: CallArguments) throws(Failure) -> Value {
        switch function {
        case .range: return try range(arguments)
        case .dict: return .dictionary(try dictionary(arguments))
        case .namespace:
            let namespace = NamespaceValue()
            let initial = try dictionary(arguments)
            for (key, value) in zip(initial.keys, initial.values) {
                guard let name = key.string else { throw Failure(.type, "attribute name must be string") }
                namespace[name] = value
            }
            register(namespace)
            return .namespace(namespace)
        case .cycler:
            guard !arguments.positional.isEmpty else {
                throw Failure(.value, "at least one item has to be provided")
            }
            _ = try CallArguments([], keywords: arguments.keywords).bound(to: [], of: "cycler()")
            try Value.checkDepth(arguments.positional.map(\.depth).max() ?? 0)
            return .cycler(CyclerValue(arguments.positional))
        case .joiner:
            let separator = try arguments.bound(to: ["sep"], of: "joiner()")[0] ?? .string(", ")
            return .joiner(JoinerValue(separator))
        case .raiseException:
            let message = try arguments.bound(to: ["message"], of: "raise_exception()", required: 1)[0] ?? .none
            throw Failure(.raised, try text(message).string)
        case .strftimeNow:
            let format = try arguments.bound(to: ["format"], of: "strftime_now()", required: 1)[0] ?? .none
            guard let format = format.string else {
                throw Failure(.type, "strftime() argument 1 must be str, not \(format.typeName)")
            }
            guard format.bytes.count <= ChatTemplateLimits.dateFormatBytes else {
                throw Failure(.limit, "date format longer than \(ChatTemplateLimits.dateFormatBytes) bytes")
            }
            return try made(Text(now.formatted(format.string)))
        case .lipsum: throw Failure(.unsupported, "lipsum is not supported in chat templates")
        }
    }

    private func range(_ arguments: CallArguments) throws(Failure) -> Value {
        guard arguments.keywords.isEmpty, (1...3).contains(arguments.positional.count) else {
            throw Failure(.type, "range expected 1 to 3 positional arguments")
        }
        var bounds: [Int] = []
        for value in arguments.positional {
            guard let bound = value.integer else {
                if case .undefined(let undefined) = value, undefined.code == .security { throw undefined.failure }
                throw Failure(.type, "'\(value.typeName)' object cannot be interpreted as an integer")
            }
            bounds.append(bound)
        }
        return .range(
            try RangeValue(
                start: bounds.count > 1 ? bounds[0] : 0, stop: bounds.count > 1 ? bounds[1] : bounds[0],
                step: bounds.count > 2 ? bounds[2] : 1))
    }

    /// Python's `dict(mapping or pairs, **keywords)`.
    private func dictionary(_ arguments: CallArguments) throws(Failure) -> DictionaryValue {
        guard arguments.positional.count <= 1 else { throw Failure(.type, "dict expected at most 1 argument") }
        let result = DictionaryValue()
        if let first = arguments.positional.first {
            if case .dictionary(let other) = first {
                try spend(other.count)
                for (key, value) in zip(other.keys, other.values) { try result.set(key, value) }
            } else {
                for pair in try elements(of: first) {
                    let members = try elements(of: pair)
                    guard members.count == 2 else {
                        throw Failure(.value, "dictionary update sequence element has length \(members.count)")
                    }
                    try result.set(members[0], members[1])
                }
            }
        }
        for (name, value) in arguments.keywords { try result.set(.string(name), value) }
        return result
    }

    // MARK: Methods

    private func call(_ method: MethodValue, _ arguments: CallArguments) throws(Failure) -> Value {
        switch method.receiver {
        case .string(let text):
            guard let name = StringMethod(rawValue: method.name) else { return .none }
            return try call(name, on: text, arguments)
        case .dictionary(let dictionary): return try call(method.name, on: dictionary, arguments)
        case .loop(let loop):
            guard method.name == "cycle" else { return .bool(try loop.changed(arguments.positional)) }
            guard !arguments.positional.isEmpty else { throw Failure(.type, "no items for cycling given") }
            return arguments.positional[max(loop.index0, 0) % arguments.positional.count]
        case .cycler(let cycler):
            defer { cycler.position = method.name == "next" ? (cycler.position + 1) % cycler.items.count : 0 }
            return method.name == "next" ? cycler.items[cycler.position] : .none
        case .float(let number): return .bool(number == number.rounded() && number.isFinite)
        case .integer(let number): return .integer(Int.bitWidth - number.magnitude.leadingZeroBitCount)
        case .bool(let value): return .integer(value ? 1 : 0)
        default: return try callSequence(method, arguments)
        }
    }

    private func callSequence(_ method: MethodValue, _ arguments: CallArguments) throws(Failure) -> Value {
        if method.name == "copy" { return method.receiver }
        let wanted = try arguments.bound(to: ["value"], of: "\(method.name)()", required: 1)[0] ?? .none
        let elements = try elements(of: method.receiver)
        var count = 0
        for (position, element) in elements.enumerated() {
            try spend(wanted.comparisonCost)
            guard try Value.areEqual(element, wanted) else { continue }
            if method.name == "index" { return .integer(position) }
            count += 1
        }
        guard method.name == "count" else { throw Failure(.value, "value is not in the sequence") }
        return .integer(count)
    }

    private func call(
        _ name: String, on dictionary: DictionaryValue, _ arguments: CallArguments
    ) throws(Failure) -> Value {
        if let kind = DictionaryView.Kind(rawValue: name) {
            _ = try arguments.bound(to: [], of: "\(name)()")
            return .view(DictionaryView(kind, of: dictionary))
        }
        switch name {
        case "get":
            guard arguments.keywords.isEmpty, (1...2).contains(arguments.positional.count) else {
                throw Failure(.type, "get expected 1 or 2 positional arguments")
            }
            let fallback = arguments.positional.count > 1 ? arguments.positional[1] : Value.none
            return try dictionary[arguments.positional[0]] ?? fallback
        case "fromkeys":
            let values = try arguments.bound(to: ["iterable", "value"], of: "fromkeys()", required: 1)
            let result = DictionaryValue()
            for key in try elements(of: values[0] ?? .none) { try result.set(key, values[1] ?? .none) }
            return .dictionary(result)
        default: return .dictionary(dictionary)
        }
    }
}
