import ServingEngine
import ServingJSON

/// Bodies of requests to deployments, in OpenAI's words and those of LoRAX beyond them.
enum CompletionBody {
    /// What chooses tokens and ends answers.
    static func sampling(
        _ parameters: SamplingParameters, maxTokens: Int?, stop: [String], ignoresEndOfGeneration: Bool
    ) -> JSONObject {
        // By way of the digits, so that 0.7 stays 0.7.
        func number(_ value: Float) -> JSONValue { .number(Double("\(value)") ?? Double(value)) }
        let plain = SamplingParameters()
        var body = JSONObject([("temperature", number(parameters.temperature))])
        if let maxTokens { body["max_tokens"] = .integer(Int64(maxTokens)) }
        if parameters.topP != plain.topP { body["top_p"] = number(parameters.topP) }
        if parameters.topK != plain.topK { body["top_k"] = .integer(Int64(parameters.topK)) }
        if parameters.minP != plain.minP { body["min_p"] = number(parameters.minP) }
        if parameters.typicalP != plain.typicalP { body["typical_p"] = number(parameters.typicalP) }
        if parameters.repetitionPenalty != plain.repetitionPenalty {
            body["repetition_penalty"] = number(parameters.repetitionPenalty)
        }
        if parameters.presencePenalty != plain.presencePenalty {
            body["presence_penalty"] = number(parameters.presencePenalty)
        }
        if parameters.frequencyPenalty != plain.frequencyPenalty {
            body["frequency_penalty"] = number(parameters.frequencyPenalty)
        }
        if let seed = parameters.seed { body["seed"] = .integer(Int64(bitPattern: seed)) }
        if !stop.isEmpty { body["stop"] = .array(stop.map { .string($0) }) }
        if !parameters.logitBias.isEmpty {
            let biases = parameters.logitBias.sorted { $0.key < $1.key }.map { ("\($0.key)", number($0.value)) }
            body["logit_bias"] = .object(JSONObject(biases))
        }
        if ignoresEndOfGeneration { body["ignore_eos"] = true }
        return body
    }

    /// Names the adapter: by its source where the text says it, else wherever the deployment looks for adapters.
    static func adapter(_ text: String?) -> JSONObject {
        guard let text, !text.isEmpty else { return JSONObject([("model", "")]) }
        guard text.hasPrefix("hf:") else { return JSONObject([("model", .string(text))]) }
        return JSONObject([
            ("model", ""), ("adapter_id", .string(String(text.dropFirst(3)))), ("adapter_source", "hub"),
        ])
    }
}
