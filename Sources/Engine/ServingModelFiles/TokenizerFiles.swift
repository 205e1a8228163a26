public import ServingJSON

/// What a Hugging Face folder says about its tokenizer and its chat templates.
///
/// The tokenizer itself is given as a path, because it is large and ServingTokenizers reads it.
public struct TokenizerFiles: Sendable {
    /// A chat template with the name that requests may choose it by.
    public struct ChatTemplate: Sendable, Equatable {
        /// `default` for the usual one.
        public let name: String
        /// The template's text (Jinja).
        public let source: String
    }

    /// `tokenizer.json`, if there.
    public let tokenizerJSONPath: String?
    /// `tokenizer.model` (SentencePiece, or tiktoken in Meta's own releases), if there.
    public let tokenizerModelPath: String?
    /// `tokenizer_config.json`, if there.
    public let tokenizerConfig: JSONValue?
    /// `special_tokens_map.json`, if there.
    public let specialTokensMap: JSONValue?
    /// The chat templates, the default one first where there is one.
    ///
    /// `chat_template.jinja` and `additional_chat_templates/*.jinja` count before the entry in `tokenizer_config.json`,
    /// as in transformers (`PreTrainedTokenizerBase.from_pretrained`); `chat_template.json` counts where both are
    /// absent.
    public let chatTemplates: [ChatTemplate]

    /// Whether there is a tokenizer at all.
    public var isEmpty: Bool { tokenizerJSONPath == nil && tokenizerModelPath == nil }

    /// Reads a folder. Absent files are no error.
    public init(folder: String) throws(ModelFileError) {
        func path(_ name: String) -> String { FileSystem.join(folder, name) }
        func pathIfPresent(_ name: String) -> String? { FileSystem.isFile(path(name)) ? path(name) : nil }
        tokenizerJSONPath = pathIfPresent("tokenizer.json")
        tokenizerModelPath = pathIfPresent("tokenizer.model")
        tokenizerConfig = try JSONValue.readIfPresent(path("tokenizer_config.json"))
        specialTokensMap = try JSONValue.readIfPresent(path("special_tokens_map.json"))
        var templates = try Self.templateFiles(folder)
        if templates.isEmpty { templates = Self.templates(tokenizerConfig?["chat_template"]) }
        if templates.isEmpty {
            templates = Self.templates(
                try JSONValue.readIfPresent(path("chat_template.json"))?["chat_template"])
        }
        chatTemplates = templates
    }

    private static func templateFiles(_ folder: String) throws(ModelFileError) -> [ChatTemplate] {
        var templates: [ChatTemplate] = []
        let main = FileSystem.join(folder, "chat_template.jinja")
        if FileSystem.isFile(main) {
            templates.append(ChatTemplate(name: "default", source: try text(main)))
        }
        let more = FileSystem.join(folder, "additional_chat_templates")
        guard (try? FileSystem.kind(of: more)) == .folder else { return templates }
        for file in try FileSystem.names(in: more) where file.utf8.suffix(6).elementsEqual(".jinja".utf8) {
            let source = try text(FileSystem.join(more, file))
            templates.append(ChatTemplate(name: String(decoding: file.utf8.dropLast(6), as: UTF8.self), source: source))
        }
        return templates
    }

    private static func text(_ path: String) throws(ModelFileError) -> String {
        do {
            return try MappedFile(path: path).withBytes { String(decoding: $0, as: UTF8.self) }
        } catch  where error.code == .empty {
            return ""
        }
    }

    /// One template, or a list of named ones: `[{"name": "tool_use", "template": "..."}]`.
    private static func templates(_ value: JSONValue?) -> [ChatTemplate] {
        if let source = value?.stringValue { return [ChatTemplate(name: "default", source: source)] }
        var named: [ChatTemplate] = []
        for entry in value?.arrayValue ?? [] {
            guard let name = entry["name"]?.stringValue, let source = entry["template"]?.stringValue else { continue }
            named.append(ChatTemplate(name: name, source: source))
        }
        return named.filter { $0.name == "default" } + named.filter { $0.name != "default" }
    }
}
