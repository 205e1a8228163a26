import ServingChatTemplates
public import ServingJSON
import ServingModelFiles
public import ServingTensors
public import ServingTokenizers

/// A model's tokenizer and chat template: everything between text and token ids.
///
/// Loads without the weights, so that tokenizing and rendering need no memory to speak of.
public struct TextCodec: Sendable {
    /// Text to ids and back.
    public let tokenizer: Tokenizer
    /// Source of the chat template; nil where the model has none.
    public let chatTemplateSource: String?
    private let chatTemplate: ChatTemplate?

    /// Loads the text side of a GGUF file, a Hugging Face folder, a tokenizer.json or a tokenizer.model.
    public init(path: String) throws { try self.init(source: try ModelSource.detect(path: path)) }

    init(source: ModelSource) throws {
        let parts = try TextCodecParts(source)
        tokenizer = parts.tokenizer
        chatTemplateSource = parts.chatTemplateSource
        chatTemplate = try? parts.chatTemplateSource.map { try ChatTemplate(source: $0) }
    }

    /// Whether ``promptTokens(chat:)`` can work.
    public var hasChatTemplate: Bool { chatTemplateSource != nil }

    /// Tokens of a raw prompt, with the model's beginning-of-sequence token where the model wants one.
    public func promptTokens(_ text: String, specialTokens: SpecialTokenHandling = .asText) -> [TokenID] {
        tokenizer.encode(text, specialTokens: specialTokens, addingBOS: tokenizer.addsBOS)
    }

    /// Tokens of a conversation, rendered with the model's chat template.
    ///
    /// Special tokens that the template writes are tokens; what users wrote stays text, even where it spells one.
    public func promptTokens(chat: ChatPrompt) throws -> [TokenID] {
        guard let chatTemplateSource else {
            throw RuntimeError(.chatTemplate, "the model has no chat template (give a raw prompt instead)")
        }
        let template = try chatTemplate ?? ChatTemplate(source: chatTemplateSource)
        let guardian = SpecialTextGuard(tokenizer: tokenizer)
        let rendered = try template.render(chat.context(templateVariables, guardian))
        return guardian.encode(rendered)
    }

    /// What templates expect to know of the tokenizer: the texts of its beginning and end tokens.
    public var templateVariables: JSONObject {
        var variables = JSONObject()
        for (name, id) in [("bos_token", tokenizer.bosTokenID), ("eos_token", tokenizer.eosTokenID)] {
            variables[name] = .string(id.flatMap { tokenizer.text(of: $0) } ?? "")
        }
        return variables
    }

    /// The conversation as text.
    public func render(chat: ChatPrompt) throws -> String {
        guard let chatTemplateSource else {
            throw RuntimeError(.chatTemplate, "the model has no chat template (give a raw prompt instead)")
        }
        let template = try chatTemplate ?? ChatTemplate(source: chatTemplateSource)
        return try template.render(chat.context(templateVariables, nil))
    }
}

/// A conversation and what else a chat template may ask for.
public struct ChatPrompt: Sendable {
    /// Objects with `role` and `content`, and whatever else the template knows.
    public var messages: [JSONValue]
    /// Tools as OpenAI describes them, or nil.
    public var tools: JSONValue?
    /// Whether the answer is to begin.
    public var addsGenerationPrompt: Bool
    /// More variables for the template, for instance `enable_thinking`. They win over the ones above.
    public var variables: JSONObject

    /// A conversation that is to be answered.
    public init(
        messages: [JSONValue], tools: JSONValue? = nil, addsGenerationPrompt: Bool = true,
        variables: JSONObject = JSONObject()
    ) {
        self.messages = messages
        self.tools = tools
        self.addsGenerationPrompt = addsGenerationPrompt
        self.variables = variables
    }

    /// A single question, with a system message where one is given.
    public init(system: String?, user: String) {
        var messages: [JSONValue] = []
        if let system { messages.append(["role": "system", "content": .string(system)]) }
        messages.append(["role": "user", "content": .string(user)])
        self.init(messages: messages)
    }

    func context(_ defaults: JSONObject, _ guardian: SpecialTextGuard?) -> JSONObject {
        func shielded(_ value: JSONValue) -> JSONValue { guardian?.shield(value) ?? value }
        var context = JSONObject()
        context["messages"] = .array(messages.map(shielded))
        // Templates are written for transformers, which always passes these two.
        context["tools"] = tools.map(shielded) ?? .null
        context["documents"] = .null
        context["add_generation_prompt"] = .bool(addsGenerationPrompt)
        for (name, value) in defaults.members { context[name] = value }
        for (key, value) in variables.members { context[key] = shielded(value) }
        return context
    }
}
