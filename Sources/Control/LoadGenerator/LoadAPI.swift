import ServingJSON

/// The HTTP interface that a load speaks.
public enum LoadAPI: String, Sendable, CaseIterable {
    /// LoRAX's `/generate_stream`.
    case lorax
    /// OpenAI's `/v1/completions`.
    case openai
    /// OpenAI's `/v1/chat/completions`.
    case chat
    /// llama.cpp's server: `/v1/completions` with a list of adapter numbers.
    case llama

    var path: String {
        switch self {
        case .lorax: "/generate_stream"
        case .openai, .llama: "/v1/completions"
        case .chat: "/v1/chat/completions"
        }
    }

    /// What begins the text in an event that carries a token, up to the quote of the text; the text may be empty in
    /// events that carry none.
    var textKey: StaticString {
        switch self {
        case .lorax: "\"token\":"
        case .openai, .llama: "\"text\":"
        case .chat: "\"content\":"
        }
    }
}

/// Says what a request of a load holds, beside what the plan says.
public struct RequestTemplate: Sendable {
    /// The interface.
    public var api: LoadAPI
    /// The base model's name, for OpenAI's interfaces.
    public var model: String
    /// Ids of the adapters, by the numbers of the plan. llama.cpp's server has numbers only and ignores them.
    public var adapterIDs: [String]
    /// LoRAX's `adapter_source`, or nil to leave it out.
    public var adapterSource: String?
    /// Whether answers go on past their natural end, to the length asked for.
    public var ignoresEndOfText = true

    /// A template.
    public init(api: LoadAPI, model: String, adapterIDs: [String] = [], adapterSource: String? = nil) {
        self.api = api
        self.model = model
        self.adapterIDs = adapterIDs
        self.adapterSource = adapterSource
    }

    private func members(_ members: [(String, JSONValue)]) -> JSONObject { JSONObject(members) }

    /// The JSON body of a request.
    func body(_ request: PlannedRequest, prompt: String) -> [UInt8] {
        let content: JSONObject
        switch api {
        case .lorax: content = lorax(request, prompt)
        case .openai: content = openAI(request, ("prompt", .string(prompt)))
        case .chat:
            content = openAI(
                request, ("messages", [["role": "user", "content": .string(prompt)]]))
        case .llama: content = llama(request, prompt)
        }
        return Array(JSONValue.object(content).text().utf8)
    }

    private func adapterID(_ request: PlannedRequest) -> String? {
        request.adapter.flatMap { adapterIDs.indices.contains($0) ? adapterIDs[$0] : nil }
    }

    private func lorax(_ request: PlannedRequest, _ prompt: String) -> JSONObject {
        var parameters = members([
            ("max_new_tokens", .integer(Int64(request.outputTokens))), ("details", true),
            ("ignore_eos_token", .bool(ignoresEndOfText)),
        ])
        if let id = adapterID(request) {
            parameters["adapter_id"] = .string(id)
            if let adapterSource { parameters["adapter_source"] = .string(adapterSource) }
        }
        return members([("inputs", .string(prompt)), ("parameters", .object(parameters))])
    }

    private func openAI(_ request: PlannedRequest, _ input: (String, JSONValue)) -> JSONObject {
        var content = members([
            ("model", .string(adapterID(request) ?? model)), input,
            ("max_tokens", .integer(Int64(request.outputTokens))), ("temperature", 0), ("stream", true),
            ("stream_options", ["include_usage": true]),
        ])
        if ignoresEndOfText {
            // LoRAX's name and vLLM's; OpenAI's own service knows neither.
            content["ignore_eos_token"] = JSONValue.bool(true)
            content["ignore_eos"] = JSONValue.bool(true)
        }
        if adapterID(request) != nil, let adapterSource { content["adapter_source"] = JSONValue.string(adapterSource) }
        return content
    }

    private func llama(_ request: PlannedRequest, _ prompt: String) -> JSONObject {
        var content = members([
            ("prompt", .string(prompt)), ("max_tokens", .integer(Int64(request.outputTokens))), ("temperature", 0),
            ("stream", true), ("stream_options", ["include_usage": true]), ("cache_prompt", false),
            ("ignore_eos", .bool(ignoresEndOfText)),
        ])
        if let adapter = request.adapter {
            content["lora"] = .array([["id": .integer(Int64(adapter)), "scale": 1]])
        }
        return content
    }
}
