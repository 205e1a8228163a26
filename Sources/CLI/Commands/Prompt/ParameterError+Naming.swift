import ServingEngine

extension ParameterError {
    /// The command's flags for the engine's fields.
    static let flags = [
        "temperature": "--temperature", "topK": "--top-k", "topP": "--top-p", "minP": "--min-p",
        "typicalP": "--typical-p", "repetitionPenalty": "--repetition-penalty",
        "presencePenalty": "--presence-penalty", "frequencyPenalty": "--frequency-penalty",
        "logitBias": "--logit-bias", "maxTokenCount": "--max-tokens", "stopStrings": "--stop",
        "logProbabilityCount": "--logprobs", "sampleCount": "--samples",
    ]

    /// The fields of a batch's rows for the engine's.
    static let rowFields = [
        "topK": "top_k", "topP": "top_p", "minP": "min_p", "typicalP": "typical_p",
        "repetitionPenalty": "repetition_penalty", "presencePenalty": "presence_penalty",
        "frequencyPenalty": "frequency_penalty", "logitBias": "logit_bias", "maxTokenCount": "max_tokens",
        "stopStrings": "stop", "logProbabilityCount": "logprobs", "sampleCount": "n", "promptTokenIDs": "prompt_ids",
    ]

    /// The description with the field as the user wrote it.
    func description(naming names: [String: String]) -> String {
        "\(names[field] ?? field) must be \(expected), not \(value)"
    }
}
