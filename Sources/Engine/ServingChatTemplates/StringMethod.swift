/// The methods of Python's `str` that templates can call.
enum StringMethod: String, CaseIterable {
    case split, rsplit, strip, lstrip, rstrip, startswith, endswith, upper, lower, title, capitalize, swapcase, casefold
    case replace, find, rfind, index, rindex, count, join, format, splitlines, partition, rpartition
    case removeprefix, removesuffix, zfill, ljust, rjust, center, expandtabs
    case formatMap = "format_map"
    case isdigit, isalpha, isalnum, isdecimal, isnumeric, isspace, islower, isupper, istitle, isascii, isidentifier
    case isprintable
}

extension Interpreter {
    func call(_ method: StringMethod, on text: Text, _ arguments: CallArguments) throws(Failure) -> Value {
        try spend(text.workCost)
        switch method {
        case .upper: return try made(text.uppercased, arguments)
        case .lower: return try made(text.lowercased, arguments)
        case .title: return try made(text.titlecased, arguments)
        case .capitalize: return try made(text.capitalized, arguments)
        case .swapcase: return try made(text.swapcased, arguments)
        case .casefold: return try made(text.lowercased.replacing("ß", with: "ss", limit: .max), arguments)
        case .strip, .lstrip, .rstrip: return try strip(text, method, arguments)
        case .split, .rsplit: return try split(text, method, arguments)
        case .startswith, .endswith: return try hasAffix(text, method, arguments)
        case .replace: return try replace(text, arguments)
        case .find, .rfind, .index, .rindex, .count: return try find(text, method, arguments)
        case .join: return try join(text, arguments)
        case .format: return try braceFormat(text, arguments)
        case .formatMap: return try braceFormat(text, try mapping(arguments))
        case .splitlines:
            let keeps = try arguments.bound(to: ["keepends"], of: "splitlines()")[0]?.isTruthy ?? false
            return try list(text.lines(keepingEnds: keeps).map { .string($0.marked(text.isMarkup)) })
        case .partition, .rpartition: return try partition(text, method, arguments)
        case .removeprefix, .removesuffix: return try removeAffix(text, method, arguments)
        case .zfill, .ljust, .rjust, .center, .expandtabs: return try pad(text, method, arguments)
        default:
            _ = try arguments.bound(to: [], of: "\(method.rawValue)()")
            return .bool(text.has(method))
        }
    }

    private func made(_ text: Text, _ arguments: CallArguments) throws(Failure) -> Value {
        _ = try arguments.bound(to: [], of: "the method")
        return try made(text)
    }

    private func noKeywords(_ arguments: CallArguments, _ counts: ClosedRange<Int>, _ name: String) throws(Failure) {
        guard arguments.keywords.isEmpty, counts.contains(arguments.positional.count) else {
            throw Failure(.type, "\(name)() takes \(counts.lowerBound) to \(counts.upperBound) positional arguments")
        }
    }

    func requireText(_ value: Value?, _ name: String) throws(Failure) -> Text {
        guard let text = value?.string else {
            throw Failure(.type, "\(name)() argument must be str, not \(value?.typeName ?? "None")")
        }
        return text
    }

    func requireInteger(_ value: Value?, _ name: String) throws(Failure) -> Int {
        guard let integer = value?.integer else {
            throw Failure(
                .type, "\(name): '\(value?.typeName ?? "None")' object cannot be interpreted as an integer")
        }
        return integer
    }

    private func strip(_ text: Text, _ method: StringMethod, _ arguments: CallArguments) throws(Failure) -> Value {
        try noKeywords(arguments, 0...1, method.rawValue)
        let side: Text.Side = method == .strip ? .both : method == .lstrip ? .left : .right
        guard let characters = arguments.positional.first, !characters.isNone else {
            return try made(text.stripped(from: side))
        }
        return try made(text.stripped(try requireText(characters, method.rawValue), from: side))
    }

    private func split(_ text: Text, _ method: StringMethod, _ arguments: CallArguments) throws(Failure) -> Value {
        let values = try arguments.bound(to: ["sep", "maxsplit"], of: "\(method.rawValue)()")
        var limit = try values[1].map { (value) throws(Failure) in try requireInteger(value, method.rawValue) } ?? -1
        if limit < 0 { limit = .max }
        var parts: [Text]
        if let separator = values[0], !separator.isNone {
            let separator = try requireText(separator, method.rawValue)
            guard !separator.isEmpty else { throw Failure(.value, "empty separator") }
            parts =
                method == .split ? text.split(separator, limit: limit) : text.splitFromEnd(separator, limit: limit)
        } else {
            parts = method == .split ? text.words(limit: limit) : text.wordsFromEnd(limit: limit)
        }
        return try list(parts.map { .string($0.marked(text.isMarkup)) })
    }

    /// The part of the text that `start` and `end` choose, and the position of its first scalar.
    private func part(_ text: Text, _ bounds: ArraySlice<Value>) throws(Failure) -> (Text, start: Int)? {
        var limits: [Int?] = []
        for bound in bounds { limits.append(bound.isNone ? nil : try requireInteger(bound, "slice")) }
        let start = limits.first ?? nil
        if let start, start > text.count { return nil }
        let slice = try ResolvedSlice(
            start: start, stop: limits.count > 1 ? limits[1] : nil, step: 1, count: text.count)
        return slice.start <= slice.stop ? (text[slice.start..<slice.stop], slice.start) : nil
    }

    private func hasAffix(_ text: Text, _ method: StringMethod, _ arguments: CallArguments) throws(Failure) -> Value {
        try noKeywords(arguments, 1...3, method.rawValue)
        var candidates = [arguments.positional[0]]
        if case .tuple(let list) = candidates[0] { candidates = list.elements }
        let part = try part(text, arguments.positional.dropFirst())
        for candidate in candidates {
            let affix = try requireText(candidate, method.rawValue)
            guard let part else { continue }
            if method == .startswith ? part.0.hasPrefix(affix) : part.0.hasSuffix(affix) { return .bool(true) }
        }
        return .bool(false)
    }

    private func replace(_ text: Text, _ arguments: CallArguments) throws(Failure) -> Value {
        try noKeywords(arguments, 2...3, "replace")
        let old = try requireText(arguments.positional[0], "replace")
        let new = try requireText(arguments.positional[1], "replace")
        let count = arguments.positional.count > 2 ? try requireInteger(arguments.positional[2], "replace") : -1
        if text.isMarkup {
            return try replace(text, old.escaped, new.escaped, count)
        }
        return try replace(text, old, new, count)
    }

    func replace(_ text: Text, _ old: Text, _ new: Text, _ count: Int) throws(Failure) -> Value {
        let limit = count < 0 ? Int.max : count
        let found = old.isEmpty ? text.count + 1 : text.offsets(of: old, limit: limit).count
        let (growth, overflow) = min(found, limit).multipliedReportingOverflow(by: new.bytes.count)
        try spend(bytes: overflow ? .max : text.bytes.count + growth)
        return .string(text.replacing(old, with: new, limit: limit).marked(text.isMarkup))
    }

    private func find(_ text: Text, _ method: StringMethod, _ arguments: CallArguments) throws(Failure) -> Value {
        try noKeywords(arguments, 1...3, method.rawValue)
        let needle = try requireText(arguments.positional[0], method.rawValue)
        let part = try part(text, arguments.positional.dropFirst())
        if method == .count {
            guard let part else { return .integer(0) }
            return .integer(needle.isEmpty ? part.0.count + 1 : part.0.offsets(of: needle).count)
        }
        let isBackward = method == .rfind || method == .rindex
        let offset = part.flatMap { isBackward ? $0.0.lastOffset(of: needle) : $0.0.firstOffset(of: needle) }
        if let part, let offset { return .integer(part.start + part.0.position(ofByte: offset)) }
        guard method == .find || method == .rfind else { throw Failure(.value, "substring not found") }
        return .integer(-1)
    }

    private func join(_ separator: Text, _ arguments: CallArguments) throws(Failure) -> Value {
        try noKeywords(arguments, 1...1, "join")
        guard isIterable(arguments.positional[0]) else { throw Failure(.type, "can only join an iterable") }
        var texts: [Text] = []
        for (position, element) in try elements(of: arguments.positional[0]).enumerated() {
            guard let text = element.string else {
                throw Failure(
                    .type, "sequence item \(position): expected str instance, \(element.typeName) found")
            }
            texts.append(separator.isMarkup ? text.escaped : text)
        }
        return .string(try joined(texts, separator).marked(separator.isMarkup))
    }

    func joined(_ texts: [Text], _ separator: Text) throws(Failure) -> Text {
        var bytes = max(texts.count - 1, 0).multipliedReportingOverflow(by: separator.bytes.count).partialValue
        for text in texts { bytes += text.bytes.count }
        try spend(bytes: bytes)
        var result = Text()
        for (position, text) in texts.enumerated() {
            if position > 0 { result.append(separator) }
            result.append(text)
        }
        return result
    }

    private func mapping(_ arguments: CallArguments) throws(Failure) -> CallArguments {
        try noKeywords(arguments, 1...1, "format_map")
        guard case .dictionary(let dictionary) = arguments.positional[0] else {
            throw Failure(.type, "format_map() takes a mapping")
        }
        var members: [(name: Text, value: Value)] = []
        for (key, value) in zip(dictionary.keys, dictionary.values) {
            if let name = key.string { members.append((name, value)) }
        }
        return CallArguments([], keywords: members)
    }

    private func partition(_ text: Text, _ method: StringMethod, _ arguments: CallArguments) throws(Failure) -> Value {
        try noKeywords(arguments, 1...1, method.rawValue)
        let separator = try requireText(arguments.positional[0], method.rawValue)
        guard !separator.isEmpty else { throw Failure(.value, "empty separator") }
        let isForward = method == .partition
        let offset = isForward ? text.firstOffset(of: separator) : text.lastOffset(of: separator)
        var parts = isForward ? [text, "", ""] : ["", "", text]
        if let offset {
            parts = [Text(text.bytes[..<offset]), separator, Text(text.bytes[(offset + separator.bytes.count)...])]
        }
        return .tuple(try ListValue(parts.map { .string($0) }))
    }

    private func removeAffix(_ text: Text, _ method: StringMethod, _ arguments: CallArguments) throws(Failure) -> Value
    {
        try noKeywords(arguments, 1...1, method.rawValue)
        let affix = try requireText(arguments.positional[0], method.rawValue)
        if method == .removeprefix, text.hasPrefix(affix) { return .string(Text(text.bytes[affix.bytes.count...])) }
        if method == .removesuffix, !affix.isEmpty, text.hasSuffix(affix) {
            return .string(Text(text.bytes[..<(text.bytes.count - affix.bytes.count)]))
        }
        return .string(text)
    }

    private func pad(_ text: Text, _ method: StringMethod, _ arguments: CallArguments) throws(Failure) -> Value {
        if method == .expandtabs { return try expandTabs(text, arguments) }
        try noKeywords(arguments, 1...(method == .zfill ? 1 : 2), method.rawValue)
        let width = try requireInteger(arguments.positional[0], method.rawValue)
        var fill: Unicode.Scalar = method == .zfill ? "0" : " "
        if arguments.positional.count > 1 {
            let characters = try requireText(arguments.positional[1], method.rawValue).scalars
            guard characters.count == 1 else {
                throw Failure(.type, "The fill character must be exactly one character long")
            }
            fill = characters[0]
        }
        let missing = width > text.count ? width - text.count : 0
        try spend(bytes: missing > limits.outputBytes ? .max : missing * UTF8.width(fill))
        switch method {
        case .ljust: return .string(text + Text(repeating: fill, count: missing))
        case .rjust: return .string(Text(repeating: fill, count: missing) + text)
        case .zfill:
            let hasSign = text.bytes.first == UInt8(ascii: "+") || text.bytes.first == UInt8(ascii: "-")
            let sign = hasSign ? text[0..<1] : Text()
            return .string(sign + Text(repeating: fill, count: missing) + text[(hasSign ? 1 : 0)..<text.count])
        default: return .string(text.centered(in: width, missing: missing, fill: fill))
        }
    }

    private func expandTabs(_ text: Text, _ arguments: CallArguments) throws(Failure) -> Value {
        let value = try arguments.bound(to: ["tabsize"], of: "expandtabs()")[0]
        let size = try value.map { (value) throws(Failure) in try requireInteger(value, "expandtabs") } ?? 8
        var result = Text()
        var column = 0
        for scalar in text.scalars {
            if scalar == "\t" {
                let missing = size > 0 ? size - column % size : 0
                try spend(bytes: result.bytes.count + min(missing, .max / 2))
                result.append(Text(repeating: " ", count: missing))
                column += missing
            } else {
                result.append(scalar)
                column = scalar == "\n" || scalar == "\r" ? 0 : column + 1
            }
        }
        return try made(result)
    }
}

extension Text {
    /// Steps that going through the text takes; beyond ASCII it goes scalar by scalar.
    var workCost: Int { bytes.count / (isASCII ? 32 : 4) + 1 }

    init(repeating scalar: Unicode.Scalar, count: Int) { self.init(repeatElement(scalar, count: max(count, 0))) }

    /// `str.center`: where the space is uneven the side depends on the width, as in CPython.
    func centered(in width: Int, missing: Int, fill: Unicode.Scalar = " ") -> Text {
        let left = missing / 2 + (missing & width & 1)
        return Text(repeating: fill, count: left) + self + Text(repeating: fill, count: missing - left)
    }

    fileprivate func has(_ property: StringMethod) -> Bool {
        switch property {
        case .isdigit: isNonEmptyAll(\.isPythonDigit)
        case .isalpha: isNonEmptyAll(\.isPythonAlpha)
        case .isalnum: isNonEmptyAll(\.isPythonAlphanumeric)
        case .isdecimal: isNonEmptyAll(\.isPythonDecimal)
        case .isnumeric: isNonEmptyAll(\.isPythonNumeric)
        case .isspace: isNonEmptyAll(\.isPythonSpace)
        case .islower: isAll(\.properties.isLowercase)
        case .isupper: isAll(\.properties.isUppercase)
        case .istitle: isTitle
        case .isascii: isASCII
        case .isidentifier:
            (scalars.first.map { $0 == "_" || $0.properties.isXIDStart } ?? false)
                && scalars.allSatisfy(\.properties.isXIDContinue)
        case .isprintable: scalars.allSatisfy(\.isPrintable)
        default: false
        }
    }

    private var isTitle: Bool {
        var found = false
        var previousIsCased = false
        for scalar in scalars {
            let isUpper = scalar.properties.isUppercase || scalar.properties.generalCategory == .titlecaseLetter
            if isUpper == previousIsCased, scalar.isCased { return false }
            found = found || scalar.isCased
            previousIsCased = scalar.isCased
        }
        return found
    }
}
