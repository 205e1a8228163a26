public import ServingAdapters
public import ServingEngine

/// An error on OpenAI's routes: `{"error": {"message", "type", "param", "code"}}` with its status.
public struct OpenAIError: Error, Equatable, Sendable {
    /// HTTP status.
    public var status: Int
    /// What clients read.
    public var message: String
    /// OpenAI's class of errors.
    public var type: String
    /// The field at fault.
    public var param: String?
    /// OpenAI's code, where it has one.
    public var code: String?

    /// An error.
    public init(_ status: Int, _ message: String, type: String, param: String? = nil, code: String? = nil) {
        self.status = status
        self.message = message
        self.type = type
        self.param = param
        self.code = code
    }

    /// A request that can't be.
    public static func invalid(_ message: String, param: String? = nil, code: String? = nil) -> OpenAIError {
        OpenAIError(400, message, type: "invalid_request_error", param: param, code: code)
    }

    /// Something that this server does not do, in an otherwise proper request.
    public static func unsupported(_ message: String, param: String) -> OpenAIError {
        OpenAIError(422, message, type: "invalid_request_error", param: param, code: "unsupported_parameter")
    }

    /// A field of a wrong type, or none where one is needed.
    public init(_ error: WireDecodingError) {
        self = .invalid(error.description, param: error.path.isEmpty ? nil : error.path)
    }

    /// The server takes no more requests for now.
    public static let overloaded = OpenAIError(
        429, "Model is overloaded; try again later", type: "rate_limit_error", code: "rate_limit_exceeded")
    /// The server finishes what it has and takes nothing new.
    public static let shuttingDown = OpenAIError(
        503, "The server is shutting down; send the request to another replica", type: "server_error",
        code: "shutting_down")
    /// A wrong or missing API key.
    public static let unauthorized = OpenAIError(
        401, "The API key is missing or wrong; send it as Authorization: Bearer KEY", type: "authentication_error",
        code: "invalid_api_key")

    /// The server's own fault.
    public static func server(_ message: String) -> OpenAIError { OpenAIError(500, message, type: "server_error") }

    /// A path that leads nowhere.
    public static func notFound(_ path: String) -> OpenAIError {
        OpenAIError(404, "Unknown request URL: \(path)", type: "invalid_request_error", code: "unknown_url")
    }

    /// A model, or adapter, that is not here.
    public static func unknownModel(_ name: String, _ message: String) -> OpenAIError {
        OpenAIError(404, message, type: "invalid_request_error", param: "model", code: "model_not_found")
    }

    /// An adapter that can't be used.
    /// - Parameter isMerge: whether several were to be merged; else an id that can't be names no model.
    public init(_ error: AdapterError, id: String, isMerge: Bool) {
        switch error.code {
        case .invalidRequest where isMerge:
            self = .invalid(error.message, param: "merged_adapters", code: "invalid_adapter")
        case .notFound, .invalidRequest: self = .unknownModel(id, "The model `\(id)` does not exist: \(error.message)")
        case .invalidAdapter, .unsupported, .incompatible:
            self = .invalid(error.message, param: "model", code: "invalid_adapter")
        case .cancelled: self = OpenAIError(499, error.message, type: "server_error", code: "cancelled")
        case .unavailable:
            self = OpenAIError(503, error.message, type: "server_error", param: "model", code: "adapter_unavailable")
        case .outOfMemory:
            self = OpenAIError(507, error.message, type: "server_error", param: "model", code: "out_of_memory")
        }
    }

    /// A request that the engine refuses; `input` is the field that the prompt came in.
    public init(_ error: SubmissionError, input: String) {
        switch error {
        case .queueFull: self = .overloaded
        case .shuttingDown: self = .shuttingDown
        case .promptTooLong(let promptTokenCount, let contextLength):
            self = .invalid(
                "This model's maximum context length is \(contextLength) tokens. However, your prompt resulted in "
                    + "\(promptTokenCount) tokens. Please reduce its length.",
                param: input, code: "context_length_exceeded")
        case .invalidParameter(let error):
            let name = error.field == "promptTokenIDs" ? input : Self.wireNames[error.field] ?? error.field
            self = .invalid("\(name) must be \(error.expected), not \(error.value)", param: name)
        default: self = .invalid(error.description)
        }
    }

    /// Names of the engine's fields on the wire.
    static let wireNames = [
        "topK": "top_k", "topP": "top_p", "minP": "min_p", "typicalP": "typical_p",
        "repetitionPenalty": "repetition_penalty", "presencePenalty": "presence_penalty",
        "frequencyPenalty": "frequency_penalty", "logitBias": "logit_bias",
        "stopStrings": "stop", "logProbabilityCount": "logprobs", "sampleCount": "n", "maxTokenCount": "max_tokens",
    ]

    /// The body.
    public var json: JSONBytes {
        var json = JSONBytes()
        json.openObject()
        json.key("error")
        json.openObject()
        json.member("message", message)
        json.member("type", type)
        json.member("param", param)
        json.member("code", code)
        json.closeObject()
        json.closeObject()
        return json
    }
}
