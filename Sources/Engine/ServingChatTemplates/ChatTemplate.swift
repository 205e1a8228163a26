public import ServingJSON

/// A chat template in the Jinja language, parsed once and rendered as Hugging Face transformers renders it: sandboxed,
/// with `trim_blocks`, `lstrip_blocks`, loop controls, the `generation` tag, `raise_exception`, `strftime_now` and a
/// `tojson` that is Python's `json.dumps(ensure_ascii=False)`.
///
/// The engine's prompt encoding calls it with the messages of a request; `Interpreter` does the work.
/// Language: https://jinja.palletsprojects.com/en/stable/templates/
public struct ChatTemplate: Sendable {
    private let source: [UInt8]
    private let statements: [Statement]
    private let names: [Text]

    /// Parses a template. Throws ``ChatTemplateError`` with the place of the fault.
    public init(source: String) throws(ChatTemplateError) {
        guard source.utf8.count <= ChatTemplateLimits.sourceBytes else {
            throw ChatTemplateError(.limit, "template longer than \(ChatTemplateLimits.sourceBytes) bytes")
        }
        let bytes = TemplateLexer.normalized(source)
        do {
            var lexer = TemplateLexer(source: bytes)
            var parser = TemplateParser(tokens: try lexer.tokenize())
            statements = try parser.parse()
            names = parser.names
        } catch {
            throw Self.placed(error, in: bytes)
        }
        self.source = bytes
    }

    /// The prompt for the variables in `context`: `messages`, `tools`, `add_generation_prompt`, `bos_token` and
    /// whatever else the template reads. A variable set to null is there and none, as in Python.
    public func render(
        _ context: JSONObject, limits: ChatTemplateLimits = ChatTemplateLimits(), now: ChatTemplateDate = .current()
    ) throws(ChatTemplateError) -> String {
        let interpreter = Interpreter(names: names, limits: limits, now: now)
        defer { interpreter.releaseCycles() }
        do {
            return try interpreter.run(statements, context: context)
        } catch {
            throw Self.placed(error, in: source, at: interpreter.offset)
        }
    }

    /// Gives an error its line and column; the parser's carry a byte offset as `line` -1 - offset.
    private static func placed(_ error: ChatTemplateError, in source: [UInt8], at offset: Int? = nil) -> Failure {
        let place = error.line < 0 ? -1 - error.line : offset
        guard let place else { return error }
        let before = source[..<min(place, source.count)]
        let lineStart = (before.lastIndex(of: 0x0A) ?? -1) + 1
        var error = error
        error.line = before.count { $0 == 0x0A } + 1
        error.column = Text.scalarCount(before[lineStart...]) + 1
        return error
    }
}
