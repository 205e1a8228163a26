package import HTTPServing
package import ServingJSON

/// The body of LoRAX's generate routes: `{"inputs", "parameters", "stream"}`. Unknown fields mean nothing, null means
/// unset.
package struct NativeGenerateRequest: Sendable, Equatable {
    /// The prompt.
    package var inputs: String
    /// How to answer it.
    package var parameters: NativeParameters
    /// For `POST /` only: whether the answer comes as events.
    package var stream: Bool

    /// Reads a body.
    package init(_ body: JSONValue) throws(WireDecodingError) {
        let fields = try WireObject(body, named: "GenerateRequest")
        inputs = try fields.requiredString("inputs")
        parameters = try NativeParameters(fields["parameters"] ?? .object(JSONObject()))
        stream = try fields.bool("stream") ?? false
    }
}

/// LoRAX's `parameters`, read and not yet validated.
package struct NativeParameters: Sendable, Equatable {
    /// `adapter_id` and its company.
    package var adapter: AdapterFields
    /// `best_of`: how many answers are made to choose from.
    package var bestOf: Int?
    /// `temperature`; 0 takes the likeliest token.
    package var temperature: Float?
    /// `repetition_penalty`
    package var repetitionPenalty: Float?
    /// `frequency_penalty`
    package var frequencyPenalty: Float?
    /// `presence_penalty`
    package var presencePenalty: Float?
    /// `top_k`
    package var topK: Int32?
    /// `top_p`
    package var topP: Float?
    /// `typical_p`
    package var typicalP: Float?
    /// `do_sample`
    package var doSample: Bool
    /// `max_new_tokens`; nil for the rest of the context.
    package var maxNewTokens: UInt32?
    /// `ignore_eos_token`
    package var ignoreEOSToken: Bool
    /// `return_full_text`: whether the text begins with the prompt.
    package var returnFullText: Bool
    /// `stop`
    package var stop: [String]
    /// `truncate`: how many of the prompt's last tokens are used.
    package var truncate: Int?
    /// `watermark`
    package var watermark: Bool
    /// `details`
    package var details: Bool
    /// `decoder_input_details`: whether the prompt's tokens are told.
    package var decoderInputDetails: Bool
    /// `return_k_alternatives`: how many alternatives a token are told.
    package var returnKAlternatives: Int32?
    /// `seed`
    package var seed: UInt64?
    /// `response_format`
    package var responseFormat: ResponseFormat?
    /// Whether tools were given.
    package var hasTools: Bool

    /// What an answer must look like.
    package enum ResponseFormat: Sendable, Equatable {
        /// Nothing in particular: `text`, or a schema that is null.
        case unconstrained
        /// JSON of some kind.
        case constrained(String)
    }

    init(_ value: JSONValue) throws(WireDecodingError) {
        let fields = try WireObject(value, named: "GenerateParameters", path: "parameters")
        adapter = try AdapterFields(fields)
        bestOf = try fields.integer("best_of", "usize", as: UInt32.self).map(Int.init)
        temperature = try fields.float("temperature")
        repetitionPenalty = try fields.float("repetition_penalty")
        frequencyPenalty = try fields.float("frequency_penalty")
        presencePenalty = try fields.float("presence_penalty")
        topK = try fields.integer("top_k", "i32")
        topP = try fields.float("top_p")
        typicalP = try fields.float("typical_p")
        doSample = try fields.bool("do_sample") ?? false
        maxNewTokens = try fields.integer("max_new_tokens", "u32")
        ignoreEOSToken = try fields.bool("ignore_eos_token") ?? false
        returnFullText = try fields.bool("return_full_text") ?? false
        stop = try fields.strings("stop") ?? []
        truncate = try fields.integer("truncate", "usize", as: UInt32.self).map(Int.init)
        watermark = try fields.bool("watermark") ?? false
        details = try fields.bool("details") ?? false
        decoderInputDetails = try fields.bool("decoder_input_details") ?? false
        returnKAlternatives = try fields.integer("return_k_alternatives", "i32")
        seed = try fields.integer("seed", "u64")
        responseFormat = try Self.responseFormat(fields)
        hasTools = !(try fields.array("tools") ?? []).isEmpty
    }

    private static func responseFormat(_ fields: WireObject) throws(WireDecodingError) -> ResponseFormat? {
        guard let format = try fields.object("response_format", named: "ResponseFormat") else { return nil }
        let type = try format.requiredString("type")
        guard ["text", "json_object", "json_schema"].contains(type) else {
            throw format.fails(
                "type",
                "unknown variant `\(type.prefix(40))`, expected one of `text`, `json_object`, `json_schema`")
        }
        // LoRAX takes an explicit null, which its client sends, for no constraint, and a missing schema for any object.
        let hasNullSchema = format.object["schema"]?.isNull ?? false
        return type == "text" || hasNullSchema ? .unconstrained : .constrained(type)
    }
}

/// The body of `/embed`: `{"inputs", "parameters"}`.
package struct NativeEmbedRequest: Sendable, Equatable {
    /// The text.
    package var inputs: String
    /// With which adapter.
    package var adapter: AdapterFields

    /// Reads a body.
    package init(_ body: JSONValue) throws(WireDecodingError) {
        let fields = try WireObject(body, named: "EmbedRequest")
        inputs = try fields.requiredString("inputs")
        adapter =
            if let parameters = try fields.object("parameters", named: "EmbedParameters") {
                try AdapterFields(parameters)
            } else {
                AdapterFields()
            }
    }
}

/// The body of `/tokenize`: `{"inputs", "add_special_tokens"}`.
package struct NativeTokenizeRequest: Sendable, Equatable {
    /// The text.
    package var inputs: String
    /// Whether the model's beginning-of-sequence token comes first.
    package var addsSpecialTokens: Bool

    /// Reads a body.
    package init(_ body: JSONValue) throws(WireDecodingError) {
        let fields = try WireObject(body, named: "TokenizeRequest")
        inputs = try fields.requiredString("inputs")
        addsSpecialTokens = try fields.bool("add_special_tokens") ?? true
    }
}
