package import HTTPServing
package import ServingAdapters
package import ServingEngine

extension OpenAIError {
    /// An adapter that can't be used.
    /// - Parameter isMerge: whether several were to be merged; else an id that can't be names no model.
    package init(_ error: AdapterError, id: String, isMerge: Bool) {
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
    package init(_ error: SubmissionError, input: String) {
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
}
