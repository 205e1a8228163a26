/// The filters of Jinja, by name.
enum TemplateFilter: String, CaseIterable {
    case abs, attr, batch, capitalize, center, count, d, dictsort, e, escape, filesizeformat, first, float, forceescape
    case format, groupby, indent, int, items, join, last, length, list, lower, map, max, min, pprint, random, reject
    case rejectattr, replace, reverse, round, safe, select, selectattr, slice, sort, string, striptags, sum, title
    case tojson, trim, truncate, unique, upper, urlencode, urlize, wordcount, wordwrap, xmlattr
    case defaultValue = "default"

    /// The names of what follows the filtered value; nil where the filter reads its arguments itself.
    fileprivate var parameters: [Text]? {
        switch self {
        case .attr: ["name"]
        case .batch: ["linecount", "fill_with"]
        case .center: ["width"]
        case .d, .defaultValue: ["default_value", "boolean"]
        case .dictsort: ["case_sensitive", "by", "reverse"]
        case .filesizeformat: ["binary"]
        case .float: ["default"]
        case .groupby: ["attribute", "default", "case_sensitive"]
        case .indent: ["width", "first", "blank"]
        case .int: ["default", "base"]
        case .join: ["d", "attribute"]
        case .max, .min, .unique: ["case_sensitive", "attribute"]
        case .replace: ["old", "new", "count"]
        case .round: ["precision", "method"]
        case .slice: ["slices", "fill_with"]
        case .sort: ["reverse", "case_sensitive", "attribute"]
        case .sum: ["attribute", "start"]
        case .tojson: ["ensure_ascii", "indent", "separators", "sort_keys"]
        case .trim: ["chars"]
        case .truncate: ["length", "killwords", "end", "leeway"]
        case .wordwrap: ["width", "break_long_words", "wrapstring", "break_on_hyphens"]
        case .xmlattr: ["autospace"]
        case .format, .map, .select, .reject, .selectattr, .rejectattr: nil
        default: []
        }
    }

    fileprivate var requiredCount: Int {
        switch self {
        case .attr, .batch, .groupby, .slice: 1
        case .replace: 2
        default: 0
        }
    }
}

extension Interpreter {
    func apply(_ call: FilterCall, to value: Value) throws(Failure) -> Value {
        guard let filter = call.filter else { throw Failure(.syntax, "no filter named '\(call.name)'") }
        let arguments = try evaluate(call.arguments)
        offset = Int(call.offset)
        return try apply(filter, to: value, arguments)
    }

    func apply(_ filter: TemplateFilter, to value: Value, _ arguments: CallArguments) throws(Failure) -> Value {
        try step()
        guard let parameters = filter.parameters else { return try applyOpen(filter, to: value, arguments) }
        let values = try arguments.bound(to: parameters, of: filter.rawValue, required: filter.requiredCount)
        switch filter {
        case .batch, .slice, .first, .last, .list, .reverse, .unique, .items, .length, .count, .random:
            return try applySequence(filter, to: value, values)
        case .dictsort, .groupby, .max, .min, .sort, .sum: return try applyOrdering(filter, to: value, values)
        case .abs, .float, .int, .round, .filesizeformat: return try applyNumber(filter, to: value, values)
        case .d, .defaultValue:
            let boolean = values[1]?.isTruthy ?? false
            return value.isUndefined || (boolean && !value.isTruthy) ? values[0] ?? .string("") : value
        case .attr: return try attr(value, values[0] ?? .none)
        case .tojson: return try json(value, values)
        case .join: return try join(value, separator: values[0], attribute: values[1])
        case .pprint: return .string(try value.representation(byteLimit: limits.outputBytes))
        default: return try applyText(filter, to: value, values)
        }
    }

    private func applyOpen(
        _ filter: TemplateFilter, to value: Value, _ arguments: CallArguments
    ) throws(Failure) -> Value {
        switch filter {
        case .format:
            guard arguments.keywords.isEmpty || arguments.positional.isEmpty else {
                throw Failure(.type, "can't handle positional and keyword arguments at the same time")
            }
            let format = try soft(value)
            guard arguments.keywords.isEmpty else {
                return try percentFormat(
                    format, .dictionary(try DictionaryValue(arguments.keywords.map { (.string($0.name), $0.value) })))
            }
            return try percentFormat(format, .tuple(try ListValue(arguments.positional)))
        case .map: return try map(value, arguments)
        default: return try select(filter, value, arguments)
        }
    }

    /// Jinja's `soft_str`: text as it is, markup or not; anything else by `str`.
    func soft(_ value: Value) throws(Failure) -> Text {
        if let text = value.string { return text }
        return try text(value)
    }

    private func attr(_ value: Value, _ name: Value) throws(Failure) -> Value {
        guard let name = name.string else { throw Failure(.type, "attribute name must be string") }
        if case .undefined(let undefined) = value { throw undefined.failure }
        if case .dictionary(let dictionary) = value, StringMethod(rawValue: name.string) == nil,
            dictionary[name] != nil
        {
            // `attr` looks at attributes alone, never at members.
            return try attribute(name, of: .dictionary(DictionaryValue()))
        }
        return try attribute(name, of: value)
    }

    private func json(_ value: Value, _ values: [Value?]) throws(Failure) -> Value {
        var writer = PythonJSONWriter(byteLimit: limits.outputBytes)
        switch values[1] {
        case nil, .some(.none): break
        case .some(.string(let text)): writer.indent = text
        case .some(let width):
            let count = max(try requireInteger(width, "indent"), 0)
            try spend(bytes: count)
            writer.indent = Text(repeating: " ", count: count)
        }
        if writer.indent != nil { writer.itemSeparator = "," }
        if let separators = values[2], !separators.isNone {
            let pair = try elements(of: separators)
            guard pair.count == 2, let item = pair[0].string, let key = pair[1].string else {
                throw Failure(.type, "separators must be two strings")
            }
            (writer.itemSeparator, writer.keySeparator) = (item, key)
        }
        writer.sortsKeys = values[3]?.isTruthy ?? false
        try writer.write(value)
        let text = Text(bytes: writer.bytes)
        return try made(values[0]?.isTruthy ?? false ? PythonJSONWriter.asciiOnly(text) : text)
    }

    private func join(_ value: Value, separator: Value?, attribute: Value?) throws(Failure) -> Value {
        var elements = try elements(of: value)
        if let attribute, !attribute.isNone {
            let path = try AttributePath(attribute)
            for position in elements.indices { elements[position] = try self.value(at: path, of: elements[position]) }
        }
        var texts: [Text] = []
        for element in elements { texts.append(try text(element)) }
        return .string(try joined(texts, try separator.map { (value) throws(Failure) in try text(value) } ?? ""))
    }

    // MARK: Filters that take a filter or test

    private func map(_ value: Value, _ arguments: CallArguments) throws(Failure) -> Value {
        let base = try lazily(value)
        if arguments.positional.isEmpty, arguments.keywords.contains(where: { $0.name == "attribute" }) {
            let values = try arguments.bound(to: ["attribute", "default"], of: "map")
            let path = try AttributePath(values[0] ?? .none)
            let fallback = values[1].flatMap { $0.isNone ? nil : $0 }
            return .iterator(
                try ValueIterator(above: base.depth) { [unowned self] () throws(Failure) in
                    guard let element = try base.next() else { return nil }
                    return try self.value(at: path, of: element, fallback: fallback)
                })
        }
        let function = try filterArgument(arguments)
        let rest = CallArguments(Array(arguments.positional.dropFirst()), keywords: arguments.keywords)
        return .iterator(
            try ValueIterator(above: base.depth) { [unowned self] () throws(Failure) in
                guard let element = try base.next() else { return nil }
                guard let function else { throw Failure(.syntax, "no such filter") }
                return try self.apply(function, to: element, rest)
            })
    }

    /// The filter that `map` names. What is wrong with the name only shows when there is something to map.
    private func filterArgument(_ arguments: CallArguments) throws(Failure) -> TemplateFilter? {
        guard let name = arguments.positional.first?.string else { return nil }
        return TemplateFilter(rawValue: name.string)
    }

    /// An iterator over a value; what cannot be iterated only fails when the first element is asked for.
    private func lazily(_ value: Value) throws(Failure) -> ValueIterator {
        if !value.isTruthy { return ValueIterator([]) }
        if case .iterator(let iterator) = value { return iterator }
        if isIterable(value) { return ValueIterator(try elements(of: value)) }
        return try ValueIterator { () throws(Failure) in
            throw Failure(.type, "'\(value.typeName)' object is not iterable")
        }
    }

    private func select(
        _ filter: TemplateFilter, _ value: Value, _ arguments: CallArguments
    ) throws(Failure) -> Value {
        let base = try lazily(value)
        let usesAttribute = filter == .selectattr || filter == .rejectattr
        let keeps = filter == .select || filter == .selectattr
        let path = usesAttribute ? try arguments.positional.first.map(AttributePath.init) : nil
        let rest = Array(arguments.positional.dropFirst(usesAttribute ? 1 : 0))
        let operands = CallArguments(Array(rest.dropFirst()), keywords: arguments.keywords)
        return .iterator(
            try ValueIterator(above: base.depth) { [unowned self] () throws(Failure) in
                while let element = try base.next() {
                    try self.step()
                    guard !usesAttribute || path != nil else {
                        throw Failure(.type, "Missing parameter for attribute name")
                    }
                    let tested = try path.map { (path) throws(Failure) in try self.value(at: path, of: element) }
                    guard let name = rest.first else {
                        if (tested ?? element).isTruthy == keeps { return element }
                        continue
                    }
                    guard let test = name.string.flatMap({ TemplateTest(rawValue: $0.string) }) else {
                        throw Failure(.syntax, "no such test")
                    }
                    if try self.test(test, tested ?? element, operands) == keeps { return element }
                }
                return nil
            })
    }

    /// The value that a path of names and numbers leads to.
    func value(at path: AttributePath, of value: Value, fallback: Value? = nil) throws(Failure) -> Value {
        var value = value
        for key in path.keys {
            value = try item(key, of: value)
            if value.isUndefined, let fallback { value = fallback }
        }
        return value
    }
}

/// The `attribute` argument of filters: `"a.b.0"` or a number.
struct AttributePath {
    let keys: [Value]

    init(_ value: Value) throws(Failure) {
        switch value {
        case .none: keys = []
        case .string(let text):
            keys = text.split(".").map { part in
                part.isNonEmptyAll(\.isPythonDigit)
                    ? Int(part.string).map { .integer($0) } ?? .string(part) : .string(part)
            }
        default: keys = [value]
        }
    }
}
