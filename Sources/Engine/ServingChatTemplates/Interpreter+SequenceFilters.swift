extension Interpreter {
    func applySequence(_ filter: TemplateFilter, to value: Value, _ values: [Value?]) throws(Failure) -> Value {
        switch filter {
        case .length, .count:
            guard let length = try length(of: value) else {
                throw Failure(.type, "object of type '\(value.typeName)' has no len()")
            }
            return .integer(length)
        case .list: return try list(try elements(of: value))
        case .items:
            switch value {
            case .undefined: return .iterator(ValueIterator([]))
            case .dictionary(let dictionary):
                try spend(dictionary.count)
                return .iterator(ValueIterator(try dictionary.pairs))
            default:
                return .iterator(
                    try ValueIterator { () throws(Failure) in
                        throw Failure(.type, "Can only get item pairs from a mapping.")
                    })
            }
        case .first:
            if case .iterator(let iterator) = value, let first = try iterator.next() { return first }
            if case .loop(let loop) = value { return try loop.next() ?? .none }
            return try elements(of: value).first
                ?? .undefined(UndefinedValue("No first item, sequence was empty."))
        case .last:
            if case .iterator = value { throw Failure(.type, "'generator' object is not reversible") }
            return try elements(of: value).last ?? .undefined(UndefinedValue("No last item, sequence was empty."))
        case .reverse:
            if case .string(let text) = value {
                return try made(Text(text.scalars.reversed()).marked(text.isMarkup))
            }
            let elements = try elements(of: value)
            if case .iterator = value { return try list(elements.reversed()) }
            try spend(elements.count)
            return .iterator(ValueIterator(elements.reversed()))
        case .unique: return try deferred(value) { (value) throws(Failure) in try self.unique(value, values) }
        case .batch: return try deferred(value) { (value) throws(Failure) in try self.batch(value, values) }
        case .slice: return try deferred(value) { (value) throws(Failure) in try self.sliced(value, values) }
        default: throw Failure(.unsupported, "the filter \(filter.rawValue) is not supported in chat templates")
        }
    }

    /// An iterator over elements that are only made when the first is asked for.
    private func deferred(
        _ value: Value, _ make: @escaping (Value) throws(Failure) -> [Value]
    ) throws(Failure) -> Value {
        var made: ValueIterator?
        return .iterator(
            try ValueIterator(above: { if case .iterator(let iterator) = value { iterator.depth } else { 0 } }()) {
                () throws(Failure) in
                if let made { return try made.next() }
                let iterator = ValueIterator(try make(value))
                made = iterator
                return try iterator.next()
            })
    }

    private func unique(_ value: Value, _ values: [Value?]) throws(Failure) -> [Value] {
        let keyed = try keys(of: try elements(of: value), attribute: values[1], isCaseSensitive: values[0])
        var seen: Set<HashableKey> = []
        var kept: [Value] = []
        for (element, key) in keyed where seen.insert(try HashableKey(key)).inserted { kept.append(element) }
        return kept
    }

    private func batch(_ value: Value, _ values: [Value?]) throws(Failure) -> [Value] {
        let size = values[0]?.double ?? -1
        var batches: [Value] = []
        var batch: [Value] = []
        for element in try elements(of: value) {
            if Double(batch.count) == size {
                batches.append(try list(batch))
                batch = []
            }
            batch.append(element)
        }
        if !batch.isEmpty {
            if let fill = values[1], !fill.isNone, Double(batch.count) < size {
                let missing = try requireInteger(values[0], "batch") - batch.count
                try spend(missing)
                batch += Array(repeating: fill, count: missing)
            }
            batches.append(try list(batch))
        }
        return batches
    }

    private func sliced(_ value: Value, _ values: [Value?]) throws(Failure) -> [Value] {
        let elements = try elements(of: value)
        let count = try requireInteger(values[0], "slice")
        guard count != 0 else { throw Failure(.value, "integer division or modulo by zero") }
        guard count > 0 else { return [] }
        try spend(count)
        let (size, extra) = (elements.count / count, elements.count % count)
        var slices: [Value] = []
        var start = 0
        for number in 0..<count {
            let end = start + size + (number < extra ? 1 : 0)
            var slice = Array(elements[start..<end])
            if let fill = values[1], !fill.isNone, number >= extra { slice.append(fill) }
            slices.append(try list(slice))
            start = end
        }
        return slices
    }

    // MARK: Order

    private func keys(
        of elements: [Value], attribute: Value?, isCaseSensitive: Value?, fallback: Value? = nil
    ) throws(Failure) -> [(Value, key: Value)] {
        let path = try AttributePath(attribute ?? .none)
        var keyed: [(Value, key: Value)] = []
        for element in elements {
            try spend(1)
            let key = try value(at: path, of: element, fallback: fallback)
            keyed.append((element, isCaseSensitive?.isTruthy ?? false ? key : key.foldingCase))
        }
        return keyed
    }

    private func sorted(_ keyed: [(Value, key: Value)], descending: Bool = false) throws(Failure) -> [Value] {
        let items = descending ? keyed.reversed() : keyed
        let order = try items.sortedPositions { (left, right) throws(Failure) in
            try self.spend(1 + left.key.comparisonCost)
            return try Value.isOrdered(left.key, right.key, by: .less)
        }
        let sorted = order.map { items[$0].0 }
        return descending ? sorted.reversed() : sorted
    }

    func applyOrdering(_ filter: TemplateFilter, to value: Value, _ values: [Value?]) throws(Failure) -> Value {
        switch filter {
        case .sort: return try list(try sort(value, values))
        case .dictsort: return try dictsort(value, values)
        case .groupby: return try groups(value, values)
        case .sum:
            let path = try AttributePath(values[0] ?? .none)
            var sum = values[1] ?? .integer(0)
            if sum.string != nil { throw Failure(.type, "sum() can't sum strings") }
            for element in try elements(of: value) {
                try spend(1)
                sum = try operate(.add, sum, try self.value(at: path, of: element))
            }
            return sum
        default:
            let keyed = try keys(of: try elements(of: value), attribute: values[1], isCaseSensitive: values[0])
            guard var best = keyed.first else {
                return .undefined(UndefinedValue("No aggregated item, sequence was empty."))
            }
            let comparison: ComparisonOperator = filter == .max ? .greater : .less
            for candidate in keyed.dropFirst()
            where try Value.isOrdered(candidate.key, best.key, by: comparison) { best = candidate }
            return best.0
        }
    }

    private func sort(_ value: Value, _ values: [Value?]) throws(Failure) -> [Value] {
        var paths: [AttributePath] = []
        if let names = values[2]?.string {
            for name in names.split(",") { paths.append(try AttributePath(.string(name))) }
        } else {
            paths = [try AttributePath(values[2] ?? .none)]
        }
        var keyed: [(Value, key: Value)] = []
        let isCaseSensitive = values[1]?.isTruthy ?? false
        for element in try elements(of: value) {
            try spend(1)
            var keys: [Value] = []
            for path in paths {
                let key = try self.value(at: path, of: element)
                keys.append(isCaseSensitive ? key : key.foldingCase)
            }
            keyed.append((element, .list(try ListValue(keys))))
        }
        return try sorted(keyed, descending: values[0]?.isTruthy ?? false)
    }

    private func dictsort(_ value: Value, _ values: [Value?]) throws(Failure) -> Value {
        let by = values[1]?.string ?? "key"
        guard by == "key" || by == "value" else {
            throw Failure(.value, "You can only sort by either \"key\" or \"value\"")
        }
        guard case .dictionary(let dictionary) = value else {
            if case .undefined(let undefined) = value { throw undefined.failure }
            throw Failure(.type, "'\(value.typeName)' object has no attribute 'items'")
        }
        let position = Value.integer(by == "key" ? 0 : 1)
        let keyed = try keys(of: try dictionary.pairs, attribute: position, isCaseSensitive: values[0])
        return try list(try sorted(keyed, descending: values[2]?.isTruthy ?? false))
    }

    private func groups(_ value: Value, _ values: [Value?]) throws(Failure) -> Value {
        let fallback = values[1].flatMap { $0.isNone ? nil : $0 }
        let keyed = try keys(
            of: try elements(of: value), attribute: values[0], isCaseSensitive: values[2], fallback: fallback)
        let ordered = try keys(
            of: try sorted(keyed), attribute: values[0], isCaseSensitive: values[2], fallback: fallback)
        let path = try AttributePath(values[0] ?? .none)
        var groups: [Value] = []
        var start = 0
        while start < ordered.count {
            var end = start + 1
            while end < ordered.count, try Value.areEqual(ordered[start].key, ordered[end].key) { end += 1 }
            let grouper = try self.value(at: path, of: ordered[start].0, fallback: fallback)
            let members = try list(ordered[start..<end].map(\.0))
            groups.append(.tuple(try ListValue([grouper, members], isGroup: true)))
            start = end
        }
        return try list(groups)
    }
}

extension Value {
    fileprivate var foldingCase: Value { if case .string(let text) = self { .string(text.lowercased) } else { self } }
}
