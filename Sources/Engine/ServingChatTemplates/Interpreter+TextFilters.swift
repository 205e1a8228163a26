extension Interpreter {
    func applyText(_ filter: TemplateFilter, to value: Value, _ values: [Value?]) throws(Failure) -> Value {
        if let text = value.string { try spend(text.workCost) }
        switch filter {
        case .capitalize: return try made(try soft(value).capitalized)
        case .lower: return try made(try soft(value).lowercased)
        case .upper: return try made(try soft(value).uppercased)
        case .title: return try made(try soft(value).titlecasedWords)
        case .string: return .string(try soft(value))
        case .safe: return .string(try text(value).marked(true))
        case .e, .escape: return try made(try soft(value).escaped)
        case .forceescape: return try made(try text(value).plain.escaped)
        case .trim:
            let characters = values[0].flatMap { $0.isNone ? nil : $0 }
            let set = try characters.map { (value) throws(Failure) in try requireText(value, "trim") }
            return try made(try soft(value).stripped(set))
        case .replace:
            let count = values[2].flatMap { $0.isNone ? nil : $0 }
            return try replace(
                try text(value), try text(values[0] ?? .none), try text(values[1] ?? .none),
                try count.map { (value) throws(Failure) in try requireInteger(value, "replace") } ?? -1)
        case .center:
            let width = try values[0].map { (value) throws(Failure) in try requireInteger(value, "center") } ?? 80
            let text = try soft(value)
            let missing = width > text.count ? width - text.count : 0
            try spend(bytes: missing)
            return .string(text.centered(in: width, missing: missing))
        case .wordcount: return .integer(Interpreter.wordCount(try soft(value)))
        case .indent: return try indent(value, values)
        case .truncate: return try truncate(value, values)
        case .urlencode: return try urlencode(value)
        case .striptags: return try made(Interpreter.strippingTags(try text(value)))
        case .xmlattr: return try xmlAttributes(value, values)
        default: throw Failure(.unsupported, "the filter \(filter.rawValue) is not supported in chat templates")
        }
    }

    private static func wordCount(_ text: Text) -> Int {
        var count = 0
        var wasWord = false
        for scalar in text.scalars {
            if scalar.isWord, !wasWord { count += 1 }
            wasWord = scalar.isWord
        }
        return count
    }

    private func indent(_ value: Value, _ values: [Value?]) throws(Failure) -> Value {
        guard let text = value.string else {
            if case .undefined(let undefined) = value { throw undefined.failure }
            throw Failure(.type, "unsupported operand type(s) for +=: '\(value.typeName)' and 'str'")
        }
        let indentation: Text
        if let width = values[0]?.string {
            indentation = width
        } else {
            let width = try values[0].map { (value) throws(Failure) in try requireInteger(value, "indent") } ?? 4
            try spend(bytes: width)
            indentation = Text(repeating: " ", count: width)
        }
        let indentsBlank = values[2]?.isTruthy ?? false
        var result = Text()
        for (position, line) in (text + "\n").lines().enumerated() {
            if position > 0 {
                result.append("\n" as StaticString)
                if indentsBlank || !line.isEmpty {
                    result.append(indentation)
                    try spend(bytes: result.bytes.count < limits.outputBytes ? indentation.bytes.count : .max)
                }
            }
            result.append(line)
        }
        if values[1]?.isTruthy ?? false { result = indentation + result }
        return try made(result.marked(text.isMarkup))
    }

    private func truncate(_ value: Value, _ values: [Value?]) throws(Failure) -> Value {
        let length = try values[0].map { (value) throws(Failure) in try requireInteger(value, "truncate") } ?? 255
        let end = try values[2].map { (value) throws(Failure) in try requireText(value, "truncate") } ?? "..."
        let given = values[3].flatMap { $0.isNone ? nil : $0 }
        let leeway = try given.map { (value) throws(Failure) in try requireInteger(value, "truncate") } ?? 5
        guard length >= end.count, leeway >= 0 else {
            throw Failure(.value, "truncate expects a length of \(end.count) or more and no negative leeway")
        }
        guard let count = try self.length(of: value) else {
            throw Failure(.type, "object of type '\(value.typeName)' has no len()")
        }
        if count <= length || count - length <= leeway { return value }
        guard let text = value.string else { throw Failure(.type, "truncate expects a string") }
        let head = text[0..<(length - end.count)]
        if values[1]?.isTruthy ?? false { return try made(head + end) }
        return try made((head.splitFromEnd(" ", limit: 1).first ?? head) + end)
    }

    private func urlencode(_ value: Value) throws(Failure) -> Value {
        if value.string != nil || !isIterable(value) { return try made(try text(value).percentEncoded(keeping: "/")) }
        let pairs: [Value]
        if case .dictionary(let dictionary) = value {
            pairs = try dictionary.pairs
        } else {
            pairs = try elements(of: value)
        }
        var parts: [Text] = []
        for pair in pairs {
            let members = try elements(of: pair)
            guard members.count == 2 else { throw Failure(.value, "urlencode expects pairs") }
            let key = try text(members[0]).percentEncoded(forQuery: true)
            let encoded = try text(members[1]).percentEncoded(forQuery: true)
            parts.append(key + "=" + encoded)
        }
        return .string(try joined(parts, "&"))
    }

    private func xmlAttributes(_ value: Value, _ values: [Value?]) throws(Failure) -> Value {
        guard case .dictionary(let dictionary) = value else { throw Failure(.type, "xmlattr expects a mapping") }
        var parts: [Text] = []
        for (key, value) in zip(dictionary.keys, dictionary.values) where !value.isNone && !value.isUndefined {
            let name = try requireText(key, "xmlattr")
            let isBad = name.bytes.contains { $0 == 0x20 || (9...13).contains($0) || [0x2F, 0x3E, 0x3D].contains($0) }
            guard !isBad else {
                throw Failure(.value, "Invalid character in attribute name: \(name.quoted.string)")
            }
            parts.append(name.escaped.plain + "=\"" + (try soft(value)).escaped.plain + "\"")
        }
        let text = try joined(parts, " ")
        return .string((values[0]?.isTruthy ?? true) && !text.isEmpty ? " " + text : text)
    }

    /// As MarkupSafe does: comments and tags go, entities become characters, white space becomes single spaces.
    private static func strippingTags(_ text: Text) -> Text {
        var rest = text.plain
        for (open, close) in [("<!--", "-->"), ("<", ">")] as [(Text, Text)] {
            var kept = Text()
            var offset = 0
            while let start = rest.firstOffset(of: open, from: offset),
                let end = rest.firstOffset(of: close, from: start)
            {
                kept.append(Text(rest.bytes[offset..<start]))
                offset = end + close.bytes.count
            }
            kept.append(Text(rest.bytes[offset...]))
            rest = kept
        }
        var result = Text()
        for (position, word) in rest.words().enumerated() {
            if position > 0 { result.append(" " as Unicode.Scalar) }
            result.append(word)
        }
        for (entity, plain) in [
            ("&lt;", "<"), ("&gt;", ">"), ("&#39;", "'"), ("&#34;", "\""), ("&quot;", "\""), ("&amp;", "&"),
        ] as [(Text, Text)] { result = result.replacing(entity, with: plain, limit: .max) }
        return result
    }
}

extension Text {
    /// Jinja's `title`: a word starts after white space, a hyphen or an opening bracket.
    fileprivate var titlecasedWords: Text {
        var result = Text()
        var isStart = true
        for scalar in scalars {
            let isBreak = scalar.isPythonSpace || "-({[<".unicodeScalars.contains(scalar)
            let properties = scalar.properties
            for mapped in (isStart ? properties.uppercaseMapping : properties.lowercaseMapping).unicodeScalars {
                result.append(mapped)
            }
            isStart = isBreak
        }
        return result.marked(isMarkup)
    }

    fileprivate func percentEncoded(keeping extra: Text = "", forQuery: Bool = false) -> Text {
        var result: [UInt8] = []
        for byte in bytes {
            let isLetter = (byte | 0x20) &- 0x61 < 26 || byte &- 0x30 < 10
            if isLetter || "_.-~".utf8.contains(byte) || extra.bytes.contains(byte) {
                result.append(byte)
            } else if forQuery, byte == 0x20 {
                result.append(UInt8(ascii: "+"))
            } else {
                let digits = String(byte, radix: 16, uppercase: true)
                result.append(contentsOf: ("%" + (digits.count == 1 ? "0" : "") + digits).utf8)
            }
        }
        return Text(bytes: result)
    }
}
