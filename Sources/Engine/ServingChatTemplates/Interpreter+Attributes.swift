extension Interpreter {
    /// `object.name`: what the object has under that name, else its element under it, else undefined.
    func attribute(_ name: Text, of object: Value) throws(Failure) -> Value {
        if case .undefined(let undefined) = object {
            guard Interpreter.hiddenAttributes.contains(name.string) else { throw undefined.failure }
            return unsafe(name.string, of: object)
        }
        if let value = try ownAttribute(name, of: object) { return value }
        if case .dictionary(let dictionary) = object, let value = dictionary[name] { return value }
        return .undefined(
            UndefinedValue("\(Text(object.objectName).quoted.string) has no attribute \(name.quoted.string)"))
    }

    /// `object[key]`: the element under that key, else for a text what the object has under that name, else undefined.
    func item(_ key: Value, of object: Value) throws(Failure) -> Value {
        switch object {
        case .undefined(let undefined): throw undefined.failure
        case .dictionary(let dictionary):
            if let value = (try? dictionary[key]) ?? nil { return value }
        case .list(let list), .tuple(let list):
            if let position = Interpreter.position(key, count: list.elements.count) { return list.elements[position] }
        case .string(let text):
            if let position = Interpreter.position(key, count: text.count) {
                if !text.isASCII { try spend(text.bytes.count / 32) }
                return .string(text[position..<(position + 1)])
            }
        case .range(let range):
            if let position = Interpreter.position(key, count: range.count) { return .integer(range[position]) }
        default: break
        }
        if let name = key.string, let value = try ownAttribute(name, of: object) { return value }
        let shown = (try? key.representation(byteLimit: 1000).string) ?? "that"
        if key.string != nil {
            return .undefined(UndefinedValue("'\(object.objectName)' has no attribute \(shown)"))
        }
        return .undefined(UndefinedValue("\(object.objectName) has no element \(shown)"))
    }

    private static func position(_ key: Value, count: Int) -> Int? {
        guard let integer = key.integer else { return nil }
        let position = integer < 0 ? integer &+ count : integer
        return position >= 0 && position < count ? position : nil
    }

    /// What Python's `getattr` finds, less what the sandbox hides; nil where there is nothing.
    private func ownAttribute(_ name: Text, of object: Value) throws(Failure) -> Value? {
        if case .namespace(let namespace) = object { return namespace[name] }
        let word = name.string
        if word.hasPrefix("__"), word.hasSuffix("__"), Interpreter.hiddenAttributes.contains(word) {
            return unsafe(word, of: object)
        }
        switch object {
        case .string: return StringMethod(rawValue: word).map { _ in .method(MethodValue(object, word)) }
        case .dictionary(let dictionary):
            switch word {
            case "get", "copy", "keys", "values", "items", "fromkeys":
                return .method(MethodValue(.dictionary(dictionary), word))
            case "pop", "popitem", "update", "setdefault", "clear": return unsafe(word, of: object)
            default: return nil
            }
        case .list:
            switch word {
            case "count", "index", "copy": return .method(MethodValue(object, word))
            case "append", "extend", "insert", "pop", "remove", "clear", "sort", "reverse":
                return unsafe(word, of: object)
            default: return nil
            }
        case .tuple(let list):
            if list.isGroup, word == "grouper" { return list.elements[0] }
            if list.isGroup, word == "list" { return list.elements[1] }
            return word == "count" || word == "index" ? .method(MethodValue(object, word)) : nil
        case .loop(let loop): return try loop.attribute(word)
        default: return otherAttribute(word, of: object)
        }
    }

    private static let hiddenAttributes: Set<String> = [
        "__class__", "__init__", "__dict__", "__doc__", "__len__", "__getitem__", "__iter__", "__eq__", "__str__",
        "__repr__", "__hash__", "__module__", "__call__", "__add__", "__contains__", "__getattribute__", "__new__",
        "__subclasshook__", "__reduce__", "__format__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__dir__",
    ]

    private func unsafe(_ name: String, of object: Value) -> Value {
        .undefined(
            UndefinedValue(
                "access to attribute '\(name)' of '\(object.typeName)' object is unsafe.", code: .security))
    }

    private func otherAttribute(_ name: String, of object: Value) -> Value? {
        switch (object, name) {
        case (.integer, "real"), (.integer, "numerator"), (.bool, "real"), (.bool, "numerator"):
            return object.integer.map { .integer($0) }
        case (.integer, "imag"), (.bool, "imag"): return .integer(0)
        case (.integer, "denominator"), (.bool, "denominator"): return .integer(1)
        case (.float, "real"): return object
        case (.float, "imag"): return .float(0)
        case (.float, "is_integer"), (.integer, "bit_length"), (.bool, "bit_length"), (.range, "count"),
            (.range, "index"), (.cycler, "next"), (.cycler, "reset"):
            return .method(MethodValue(object, name))
        case (.range(let range), "start"): return .integer(range.start)
        case (.range(let range), "stop"): return .integer(range.stop)
        case (.range(let range), "step"): return .integer(range.step)
        case (.cycler(let cycler), "current"): return cycler.items[cycler.position]
        case (.joiner(let joiner), "sep"): return joiner.separator
        case (.macro(let macro), "name"): return macro.node.name.map { .string($0) } ?? Value.none
        case (.macro(let macro), "catch_kwargs"): return .bool(macro.node.usesKeywords)
        case (.macro(let macro), "catch_varargs"): return .bool(macro.node.usesVarargs)
        case (.macro(let macro), "caller"): return .bool(macro.node.usesCaller)
        case (.macro(let macro), "arguments"):
            return (try? ListValue(macro.node.parameters.map { .string($0.name) })).map { .tuple($0) }
        default: return nil
        }
    }
}
