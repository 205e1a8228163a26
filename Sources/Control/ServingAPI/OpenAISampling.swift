import HTTPServing
package import ServingEngine
import ServingJSON
import ServingTensors

/// The fields that `/v1/completions` and `/v1/chat/completions` share, read and in range. Null means unset.
package struct OpenAISampling: Sendable, Equatable {
    /// `model` as given: an adapter's id, or the base model.
    package var model: String
    /// `adapter_id` and its company; where no adapter is named there, `model` is its id.
    package var adapter: AdapterFields
    /// How tokens are chosen.
    package var parameters = SamplingParameters()
    /// `n`.
    package var choiceCount: Int
    /// `stop`.
    package var stop: [String]
    /// `ignore_eos_token`, or vLLM's `ignore_eos`.
    package var ignoresEndOfGeneration: Bool
    /// `stream`.
    package var isStream: Bool
    /// `stream_options.include_usage`.
    package var includesUsage: Bool

    init(_ fields: WireObject) throws(OpenAIError) {
        do throws(WireDecodingError) {
            model = try fields.string("model") ?? ""
            var adapter = try AdapterFields(fields)
            // A model beside merged_adapters is one adapter too many, unless it is the base.
            adapter.name(model: model)
            self.adapter = adapter
            choiceCount = try fields.integer("n", "u32", as: UInt32.self).map(Int.init) ?? 1
            stop = try Self.stop(fields)
            let (ours, theirs) = (try fields.bool("ignore_eos_token"), try fields.bool("ignore_eos"))
            ignoresEndOfGeneration = ours ?? theirs ?? false
            isStream = try fields.bool("stream") ?? false
            includesUsage = try fields.object("stream_options", named: "StreamOptions")?.bool("include_usage") ?? false
            try readParameters(fields)
        } catch {
            throw OpenAIError(error)
        }
        try check(fields)
    }

    private static func stop(_ fields: WireObject) throws(WireDecodingError) -> [String] {
        // Some clients send an empty string where they mean none.
        if let text = fields["stop"]?.stringValue { return text.isEmpty ? [] : [text] }
        return try fields.strings("stop")?.filter { !$0.isEmpty } ?? []
    }

    private mutating func readParameters(_ fields: WireObject) throws(WireDecodingError) {
        parameters.temperature = try fields.float("temperature") ?? 1
        parameters.topP = try fields.float("top_p") ?? 1
        // vLLM's clients send -1 for all tokens.
        let topK = try fields.integer("top_k", "i32", as: Int32.self) ?? 0
        parameters.topK = topK == -1 ? 0 : Int(topK)
        parameters.minP = try fields.float("min_p") ?? 0
        parameters.typicalP = try fields.float("typical_p") ?? 1
        parameters.repetitionPenalty = try fields.float("repetition_penalty") ?? 1
        parameters.presencePenalty = try fields.float("presence_penalty") ?? 0
        parameters.frequencyPenalty = try fields.float("frequency_penalty") ?? 0
        parameters.seed = try Self.seed(fields)
        guard let biases = try fields.object("logit_bias", named: "map") else { return }
        for (name, value) in biases.object.members {
            guard let id = TokenID(name), id >= 0 else {
                throw biases.fails(name, "invalid key: expected a token id")
            }
            guard let bias = value.doubleValue else { throw biases.fails(name, value.mismatch("f32")) }
            parameters.logitBias[id] = Float(bias)
        }
    }

    /// A seed of either kind: from Int64.min to UInt64.max.
    private static func seed(_ fields: WireObject) throws(WireDecodingError) -> UInt64? {
        if case .number(let number)? = fields["seed"], number > 0 { return try fields.integer("seed", "u64") }
        return try fields.integer("seed", "i64", as: Int64.self).map { UInt64(bitPattern: $0) }
    }

    private mutating func check(_ fields: WireObject) throws(OpenAIError) {
        let temperature = parameters.temperature
        guard temperature >= 0, temperature <= 2 else {
            throw .invalid("temperature must be in 0...2, not \(temperature)", param: "temperature")
        }
        guard parameters.topP >= 0, parameters.topP <= 1 else {
            throw .invalid("top_p must be in 0...1, not \(parameters.topP)", param: "top_p")
        }
        // OpenAI takes 0 for the likeliest token alone.
        if parameters.topP == 0 { parameters.topP = .leastNormalMagnitude }
        guard parameters.topK >= 0 else { throw .invalid("top_k must be at least 0", param: "top_k") }
        guard (1...GenerationRequest.sampleLimit).contains(choiceCount) else {
            throw .invalid("n must be in 1...\(GenerationRequest.sampleLimit), not \(choiceCount)", param: "n")
        }
        if includesUsage, !isStream {
            throw .invalid("stream_options is only allowed when stream is true", param: "stream_options")
        }
        try checkFeatures(fields)
    }

    private func checkFeatures(_ fields: WireObject) throws(OpenAIError) {
        for name in ["tools", "functions"] {
            guard let value = fields[name] else { continue }
            guard let tools = value.arrayValue else {
                throw OpenAIError(fields.fails(name, value.mismatch("a sequence")))
            }
            if !tools.isEmpty { throw .unsupported("\(name) are not supported by this server yet", param: name) }
        }
        guard let format = fields["response_format"] else { return }
        guard let type = format["type"]?.stringValue else {
            throw .invalid("response_format: expected an object with a type", param: "response_format")
        }
        guard type == "text" else {
            throw .unsupported(
                "response_format of type \(type.prefix(40)) is not supported by this server yet",
                param: "response_format")
        }
    }

    /// A number of tokens to generate, at least `least`.
    static func tokenCount(_ name: String, _ fields: WireObject, least: Int) throws(OpenAIError) -> Int? {
        let count: Int64?
        do throws(WireDecodingError) { count = try fields.integer(name, "u32") } catch { throw OpenAIError(error) }
        guard let count else { return nil }
        guard count >= Int64(least) else {
            throw .invalid("\(name) must be at least \(least), not \(count)", param: name)
        }
        return Int(clamping: count)
    }

    /// Puts the fields into a request.
    package func apply(to request: inout GenerationRequest) {
        request.sampling = parameters
        request.stopStrings = stop
        request.ignoresEndOfGeneration = ignoresEndOfGeneration
        request.sampleCount = choiceCount
    }
}
