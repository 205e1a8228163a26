import ServingEngine
import ServingJSON
import ServingRuntime
import ServingTensors
import ServingTokenizers

/// One line of a batch file: a prompt in one of three forms and how to answer it.
struct BatchRow {
    /// What the row gives to the model.
    enum Prompt {
        case text(String, specialTokens: SpecialTokenHandling)
        case chat(ChatPrompt)
        case tokenIDs([TokenID])
    }

    let prompt: Prompt
    /// The row's own `id`, given back with the answer.
    let id: JSONValue?
    /// Fields that mean nothing here.
    let ignoredFields: [String]
    private let object: JSONObject

    /// The adapter that the row asks for.
    func adapterChoice() throws -> AdapterOptions.RowChoice { try AdapterOptions.choice(ofRow: object) }

    private static let knownFields: Set<String> = [
        "id", "prompt", "messages", "prompt_ids", "system", "tools", "special_tokens", "max_tokens", "max_new_tokens",
        "temperature", "top_k", "top_p", "min_p", "typical_p", "repetition_penalty", "presence_penalty",
        "frequency_penalty", "logit_bias", "seed", "stop", "stop_token_ids", "ignore_eos", "logprobs", "n",
        "chat_template_kwargs", "include_stop", "adapter", "adapter_id", "merged_adapters",
    ]

    /// Reads one line.
    init(line: String) throws {
        let value: JSONValue
        do {
            value = try JSONValue(parsing: line)
        } catch {
            throw RowError("not JSON: \(error)")
        }
        guard let object = value.objectValue else { throw RowError("expected a JSON object") }
        self.object = object
        id = object["id"]
        ignoredFields = object.keys.filter { !Self.knownFields.contains($0) }
        do {
            prompt = try Self.prompt(object)
        } catch var error as RowError {
            error.id = object["id"]
            throw error
        }
    }

    private static func prompt(_ object: JSONObject) throws -> Prompt {
        let given = ["prompt", "messages", "prompt_ids"].filter { object[$0].map { !$0.isNull } ?? false }
        guard given.count == 1, let form = given.first else {
            throw RowError(
                given.isEmpty
                    ? "expected one of prompt, messages, prompt_ids"
                    : "\(given.joined(separator: " and ")) can't be given together")
        }
        let system = try optional("system", object, "a string", \.stringValue)
        let isRecognized = try optional("special_tokens", object, "true or false", \.boolValue) ?? false
        let variables = try optional("chat_template_kwargs", object, "an object", \.objectValue)
        if form != "messages", system != nil || variables != nil || !(object["tools"]?.isNull ?? true) {
            throw RowError("system, tools and chat_template_kwargs go with messages, not with \(form)")
        }
        switch form {
        case "prompt":
            guard let text = object["prompt"]?.stringValue else { throw RowError("prompt: expected a string") }
            return .text(text, specialTokens: isRecognized ? .recognized : .asText)
        case "messages":
            guard let messages = object["messages"]?.arrayValue, !messages.isEmpty,
                messages.allSatisfy({ $0["role"]?.stringValue != nil })
            else { throw RowError("messages: expected a list of objects with role and content") }
            var chat = ChatPrompt(messages: messages, tools: object["tools"])
            if let system {
                chat.messages.insert(["role": "system", "content": .string(system)], at: 0)
            }
            if let variables { chat.variables = variables }
            return .chat(chat)
        default:
            let ids = object["prompt_ids"]?.arrayValue?.map { $0.intValue.flatMap(TokenID.init(exactly:)) }
            guard let ids, !ids.contains(nil) else { throw RowError("prompt_ids: expected a list of token ids") }
            return .tokenIDs(ids.compactMap { $0 })
        }
    }

    private static func optional<Value>(
        _ field: String, _ object: JSONObject, _ expected: String, _ read: (JSONValue) -> Value?
    ) throws -> Value? {
        guard let value = object[field], !value.isNull else { return nil }
        guard let result = read(value) else {
            throw RowError("\(field): expected \(expected), found \(value.text().prefix(40))")
        }
        return result
    }

    /// The row as a request; fields that it lacks come from `defaults`.
    func request(id: String, model: LocalModel, defaults: GenerationRequest) throws -> GenerationRequest {
        var request = defaults
        request.id = id
        request.promptTokenIDs = try tokenIDs(model)
        try apply(to: &request)
        try apply(to: &request.sampling)
        return request
    }

    private func tokenIDs(_ model: LocalModel) throws -> [TokenID] {
        switch prompt {
        case .text(let text, let specialTokens):
            try model.requireCodec().promptTokens(text, specialTokens: specialTokens)
        case .chat(let chat): try model.requireCodec().promptTokens(chat: chat)
        case .tokenIDs(let ids): ids
        }
    }

    private func apply(to request: inout GenerationRequest) throws {
        if let count = try integer("max_tokens") ?? integer("max_new_tokens") { request.maxTokenCount = count }
        if let flag = try flag("ignore_eos") { request.ignoresEndOfGeneration = flag }
        if let flag = try flag("include_stop") { request.includesStopString = flag }
        if let count = try integer("n") { request.sampleCount = count }
        switch object["logprobs"] {
        case nil, .some(.null), .some(.bool(false)): break
        case .some(.bool(true)): request.logProbabilityCount = 0
        default: request.logProbabilityCount = try integer("logprobs")
        }
        switch object["stop"] {
        case nil, .some(.null): break
        case .some(.string(let text)): request.stopStrings = [text]
        case .some(let value):
            guard let texts = value.arrayValue?.map(\.stringValue), !texts.contains(nil) else {
                throw RowError("stop: expected a string or a list of strings")
            }
            request.stopStrings = texts.compactMap { $0 }
        }
        if let value = object["stop_token_ids"], !value.isNull {
            guard let ids = value.arrayValue?.map({ $0.intValue.flatMap(TokenID.init(exactly:)) }), !ids.contains(nil)
            else { throw RowError("stop_token_ids: expected a list of token ids") }
            request.stopTokenIDs = Set(ids.compactMap { $0 })
        }
    }

    private func apply(to sampling: inout SamplingParameters) throws {
        if let value = try number("temperature") { sampling.temperature = value }
        if let value = try integer("top_k") { sampling.topK = value }
        if let value = try number("top_p") { sampling.topP = value }
        if let value = try number("min_p") { sampling.minP = value }
        if let value = try number("typical_p") { sampling.typicalP = value }
        if let value = try number("repetition_penalty") { sampling.repetitionPenalty = value }
        if let value = try number("presence_penalty") { sampling.presencePenalty = value }
        if let value = try number("frequency_penalty") { sampling.frequencyPenalty = value }
        if let value = try integer("seed") {
            guard let seed = UInt64(exactly: value) else { throw RowError("seed: expected 0 or more, found \(value)") }
            sampling.seed = seed
        }
        guard let biases = object["logit_bias"], !biases.isNull else { return }
        guard let object = biases.objectValue else { throw RowError("logit_bias: expected {\"token id\": bias}") }
        for (key, value) in object.members {
            guard let id = TokenID(key), let bias = value.doubleValue else {
                throw RowError("logit_bias: expected {\"token id\": bias}, found \"\(key)\": \(value.text())")
            }
            sampling.logitBias[id] = Float(bias)
        }
    }

    private func integer(_ field: String) throws -> Int? {
        guard let value = object[field], !value.isNull else { return nil }
        guard let integer = value.intValue else {
            throw RowError("\(field): expected a whole number, found \(value.text().prefix(40))")
        }
        return integer
    }

    private func number(_ field: String) throws -> Float? {
        guard let value = object[field], !value.isNull else { return nil }
        guard let number = value.doubleValue else {
            throw RowError("\(field): expected a number, found \(value.text().prefix(40))")
        }
        return Float(number)
    }

    private func flag(_ field: String) throws -> Bool? {
        guard let value = object[field], !value.isNull else { return nil }
        guard let flag = value.boolValue else {
            throw RowError("\(field): expected true or false, found \(value.text().prefix(40))")
        }
        return flag
    }
}

/// Why one row of a batch can't be answered; the others go on.
struct RowError: Error, CustomStringConvertible {
    let description: String
    /// The row's own `id`, where it could be read.
    var id: JSONValue?

    init(_ description: String) { self.description = description }
}
