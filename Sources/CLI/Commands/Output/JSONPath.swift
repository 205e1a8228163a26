import ServingJSON

/// A template that picks values out of JSON, as `kubectl -o jsonpath=` has it: text with `{.a.b[0]['c'][*]}`, `{"\n"}`
/// and `{range .items[*]}...{end}`. A path alone may leave out the braces. What is not there is empty.
struct JSONPath: Sendable, Equatable {
    private indirect enum Part: Sendable, Equatable {
        case text(String)
        case path([Step])
        case range([Step], [Part])
    }

    private enum Step: Sendable, Equatable {
        case member(String)
        case element(Int)
        case all
    }

    /// What is wrong with a template.
    struct Malformed: Error, Equatable, CustomStringConvertible {
        let description: String
    }

    private let parts: [Part]

    init(_ template: String) throws(Malformed) {
        var reader = Reader(template.contains("{") || template.isEmpty ? template : "{\(template)}")
        parts = try reader.parts(isInRange: false)
    }

    /// The template filled in.
    func text(of value: JSONValue) -> String { Self.text(parts, value) }

    private static func text(_ parts: [Part], _ value: JSONValue) -> String {
        parts.map { part in
            switch part {
            case .text(let text): text
            case .path(let steps): values(steps, value).map(plain).joined(separator: " ")
            case .range(let steps, let body): values(steps, value).map { self.text(body, $0) }.joined()
            }
        }.joined()
    }

    private static func plain(_ value: JSONValue) -> String {
        switch value {
        case .string(let text): text
        case .null: ""
        default: value.text()
        }
    }

    private static func values(_ steps: [Step], _ value: JSONValue) -> [JSONValue] {
        var values = [value]
        for step in steps {
            values = values.flatMap { value -> [JSONValue] in
                switch step {
                case .member(let name): value[name].map { [$0] } ?? []
                case .element(let index): element(index, of: value).map { [$0] } ?? []
                case .all: value.arrayValue ?? value.objectValue?.values ?? []
                }
            }
        }
        return values
    }

    /// Negative positions count from the end.
    private static func element(_ index: Int, of value: JSONValue) -> JSONValue? {
        value[index < 0 ? (value.arrayValue?.count ?? 0) + index : index]
    }
}

extension JSONPath {
    private struct Reader {
        private var rest: Substring

        init(_ text: String) { rest = text[...] }

        mutating func parts(isInRange: Bool) throws(Malformed) -> [Part] {
            var parts: [Part] = []
            while !rest.isEmpty {
                let text = rest.prefix { $0 != "{" }
                if !text.isEmpty { parts.append(.text(String(text))) }
                rest = rest.dropFirst(text.count)
                guard !rest.isEmpty else { break }
                let expression = try expression()
                if expression == "end" {
                    guard isInRange else { throw Malformed(description: "{end} without {range}") }
                    return parts
                }
                if expression.hasPrefix("range ") {
                    let steps = try Self.steps(expression.dropFirst(6))
                    parts.append(.range(steps, try self.parts(isInRange: true)))
                } else {
                    parts.append(try Self.part(expression))
                }
            }
            if isInRange { throw Malformed(description: "{range} without {end}") }
            return parts
        }

        /// What stands between braces, without spaces around it; braces in quotation marks don't count.
        private mutating func expression() throws(Malformed) -> String {
            rest = rest.dropFirst()
            var text = ""
            var quote: Character?
            while let character = rest.popFirst() {
                if quote == nil, character == "}" { return Self.trimmed(text) }
                if character == quote {
                    quote = nil
                } else if quote == nil, "\"'".contains(character) {
                    quote = character
                }
                text.append(character)
                if character == "\\", let escaped = rest.popFirst() { text.append(escaped) }
            }
            throw Malformed(description: "a { is not closed")
        }

        private static func trimmed(_ text: String) -> String {
            let isSpace = { (character: Character) in character == " " }
            return String(text.drop(while: isSpace).reversed().drop(while: isSpace).reversed())
        }

        private static func part(_ expression: String) throws(Malformed) -> Part {
            guard let quote = expression.first, "\"'".contains(quote) else { return .path(try steps(expression[...])) }
            guard expression.count >= 2, expression.last == quote else {
                throw Malformed(description: "\(expression): the quotation is not closed")
            }
            var text = ""
            var inner = expression.dropFirst().dropLast()
            while let character = inner.popFirst() {
                guard character == "\\", let escaped = inner.popFirst() else {
                    text.append(character)
                    continue
                }
                text.append(escaped == "n" ? "\n" : escaped == "t" ? "\t" : escaped)
            }
            return .text(text)
        }

        private static func steps(_ expression: Substring) throws(Malformed) -> [Step] {
            var rest = Substring(trimmed(String(expression)))
            if rest.first == "$" || rest.first == "@" { rest = rest.dropFirst() }
            var steps: [Step] = []
            // A first member may lack its point.
            if let first = rest.first, first != ".", first != "[" { rest = "." + rest }
            while let first = rest.first {
                if first == "[" {
                    guard let end = rest.firstIndex(of: "]") else {
                        throw Malformed(description: "\(expression): a [ is not closed")
                    }
                    steps.append(try subscripted(rest[rest.index(after: rest.startIndex)..<end], expression))
                    rest = rest[rest.index(after: end)...]
                    continue
                }
                guard first == "." else {
                    throw Malformed(description: "\(expression): expected . or [ at \"\(rest)\"")
                }
                rest = rest.dropFirst()
                let name = rest.prefix { $0 != "." && $0 != "[" }
                rest = rest.dropFirst(name.count)
                if name == "*" { steps.append(.all) } else if !name.isEmpty { steps.append(.member(String(name))) }
            }
            return steps
        }

        private static func subscripted(_ text: Substring, _ expression: Substring) throws(Malformed) -> Step {
            if text == "*" { return .all }
            if let index = Int(text) { return .element(index) }
            if text.count >= 2, let quote = text.first, "\"'".contains(quote), text.last == quote {
                return .member(String(text.dropFirst().dropLast()))
            }
            throw Malformed(description: "\(expression): expected a position, * or 'name' in [\(text)]")
        }
    }
}
