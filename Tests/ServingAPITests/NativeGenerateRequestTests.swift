import HTTPServing
import ServingAPI
import ServingJSON
import Testing

@Suite("LoRAX requests") struct NativeGenerateRequestTests {
    private func message(_ body: String) throws -> String? {
        let value = try json(body)
        return failure { () throws(WireDecodingError) in try NativeGenerateRequest(value) }?.description
    }

    @Test(
        "A field of a wrong type is named in serde's words",
        arguments: [
            (#""temperature":"hot""#, #"parameters.temperature: invalid type: string "hot", expected f32"#),
            (#""best_of":-1"#, "parameters.best_of: invalid value: integer `-1`, expected usize"),
            (#""top_k":1.5"#, "parameters.top_k: invalid type: floating point `1.5`, expected i32"),
            (#""top_k":9999999999"#, "parameters.top_k: invalid value: integer `9999999999`, expected i32"),
            (#""max_new_tokens":true"#, "parameters.max_new_tokens: invalid type: boolean `true`, expected u32"),
            (#""do_sample":1"#, "parameters.do_sample: invalid type: integer `1`, expected a boolean"),
            (#""details":"yes""#, #"parameters.details: invalid type: string "yes", expected a boolean"#),
            (
                #""decoder_input_details":[]"#,
                "parameters.decoder_input_details: invalid type: sequence, expected a boolean"
            ),
            (#""return_full_text":{}"#, "parameters.return_full_text: invalid type: map, expected a boolean"),
            (#""ignore_eos_token":0"#, "parameters.ignore_eos_token: invalid type: integer `0`, expected a boolean"),
            (#""watermark":0"#, "parameters.watermark: invalid type: integer `0`, expected a boolean"),
            (#""stop":"x""#, #"parameters.stop: invalid type: string "x", expected a sequence"#),
            (#""stop":["a",1]"#, "parameters.stop[1]: invalid type: integer `1`, expected a string"),
            (#""truncate":-3"#, "parameters.truncate: invalid value: integer `-3`, expected usize"),
            (#""seed":-1"#, "parameters.seed: invalid value: integer `-1`, expected u64"),
            (#""top_p":[]"#, "parameters.top_p: invalid type: sequence, expected f32"),
            (#""typical_p":"x""#, #"parameters.typical_p: invalid type: string "x", expected f32"#),
            (#""repetition_penalty":"x""#, #"parameters.repetition_penalty: invalid type: string "x", expected f32"#),
            (#""frequency_penalty":{}"#, "parameters.frequency_penalty: invalid type: map, expected f32"),
            (#""presence_penalty":{}"#, "parameters.presence_penalty: invalid type: map, expected f32"),
            (
                #""return_k_alternatives":"x""#,
                #"parameters.return_k_alternatives: invalid type: string "x", expected i32"#
            ),
            (#""adapter_id":5"#, "parameters.adapter_id: invalid type: integer `5`, expected a string"),
            (#""adapter_source":5"#, "parameters.adapter_source: invalid type: integer `5`, expected a string"),
            (#""api_token":5"#, "parameters.api_token: invalid type: integer `5`, expected a string"),
            (
                #""merged_adapters":[]"#,
                "parameters.merged_adapters: invalid type: sequence, expected struct AdapterParameters"
            ),
            (#""merged_adapters":{}"#, "parameters.merged_adapters: missing field `ids`"),
            (
                #""response_format":{"type":"xml"}"#,
                "parameters.response_format.type: unknown variant `xml`, expected one of `text`, `json_object`, `json_schema`"
            ),
        ])
    func wrongTypes(field: String, expected: String) throws {
        #expect(try message(#"{"inputs":"hi","parameters":{\#(field)}}"#) == expected)
    }

    @Test("The body itself must be an object with inputs")
    func shape() throws {
        #expect(try message("[]") == "invalid type: sequence, expected struct GenerateRequest")
        #expect(try message("{}") == "missing field `inputs`")
        #expect(try message(#"{"inputs":null}"#) == "inputs: invalid type: null, expected a string")
        #expect(
            try message(#"{"inputs":"x","parameters":3}"#)
                == "parameters: invalid type: integer `3`, expected struct GenerateParameters")
    }

    @Test("What the Python client sends, nulls and all, is a greedy request without limits")
    func clientBody() throws {
        let body = try NativeGenerateRequest(
            json(
                """
                {"inputs":"hi","parameters":{"adapter_id":"r/1","adapter_source":"pbase","merged_adapters":null,
                "api_token":null,"do_sample":false,"max_new_tokens":null,"ignore_eos_token":false,
                "repetition_penalty":null,"return_full_text":false,"stop":[],"seed":null,"temperature":null,"top_k":null,
                "top_p":null,"truncate":null,"typical_p":null,"best_of":null,"watermark":false,"details":true,
                "decoder_input_details":false,"return_k_alternatives":null,"response_format":null,"unknown":1},
                "stream":true}
                """))
        #expect(body.stream && body.parameters.details && !body.parameters.samples)
        #expect(body.parameters.maxNewTokens == nil && body.parameters.adapter.id == "r/1")
        try body.parameters.validate(NativeLimits(contextLength: 64), isStream: true)
    }

    @Test(
        "A parameter out of range is refused in LoRAX's words",
        arguments: [
            (#""best_of":0"#, "`best_of` must be > 0 and <= 2. Given: 0"),
            (#""best_of":3"#, "`best_of` must be > 0 and <= 2. Given: 3"),
            (#""best_of":2"#, "you must use sampling when `best_of` is > 1"),
            (#""best_of":2,"do_sample":true,"seed":1"#, "`seed` must not be set when `best_of` > 1"),
            (#""temperature":-0.1"#, "`temperature` must be non-negative"),
            (#""temperature":NaN"#, "`temperature` must be non-negative"),
            (#""repetition_penalty":0"#, "`repetition_penalty` must be strictly positive"),
            (#""frequency_penalty":2.1"#, "`frequency_penalty` must be >= -2.0 and <= 2.0"),
            (#""presence_penalty":-3"#, "`presence_penalty` must be >= -2.0 and <= 2.0"),
            (#""top_k":0"#, "`top_k` must be strictly positive"),
            (#""top_p":0"#, "`top_p` must be > 0.0 and < 1.0"),
            (#""top_p":1.01"#, "`top_p` must be > 0.0 and < 1.0"),
            (#""typical_p":1"#, "`typical_p` must be > 0.0 and < 1.0"),
            (#""max_new_tokens":0"#, "`max_new_tokens` must be strictly positive"),
            (#""stop":["a","b","c","d","e"]"#, "`stop` supports up to 4 stop sequences. Given: 5"),
            (#""truncate":0"#, "`truncate` must be strictly positive and less than 63. Given: 0"),
            (#""truncate":64"#, "`truncate` must be strictly positive and less than 63. Given: 64"),
            (#""return_k_alternatives":0"#, "`return_k_alternatives` must be strictly positive"),
            (#""watermark":true"#, "`watermark` is not supported by this server"),
            (
                #""response_format":{"type":"json_object"}"#,
                "`response_format` of type `json_object` is not supported by this server"
            ),
        ])
    func outOfRange(fields: String, expected: String) throws {
        let parameters = try NativeGenerateRequest(json(#"{"inputs":"hi","parameters":{\#(fields)}}"#)).parameters
        let limits = NativeLimits(contextLength: 64, maxBestOf: 2, maxStopSequences: 4)
        let error = failure { () throws(NativeError) in try parameters.validate(limits, isStream: false) }
        #expect(error == .validation(expected))
        #expect(error?.status == 422 && error?.kind == .validation)
    }

    @Test("A stream refuses what only a whole answer can tell")
    func streamOnly() throws {
        let limits = NativeLimits(contextLength: 64)
        for (fields, expected) in [
            (#""best_of":2,"do_sample":true"#, "`best_of` != 1 is not supported when streaming tokens"),
            (
                #""decoder_input_details":true"#,
                "`decoder_input_details` == true is not supported when streaming tokens"
            ),
        ] {
            let parameters = try NativeGenerateRequest(json(#"{"inputs":"hi","parameters":{\#(fields)}}"#)).parameters
            #expect(
                failure { () throws(NativeError) in try parameters.validate(limits, isStream: true) }
                    == .validation(expected))
            try parameters.validate(limits, isStream: false)
        }
    }

    @Test("A prompt that is too long says by how much")
    func length() throws {
        let limits = NativeLimits(contextLength: 64)
        let parameters = try NativeGenerateRequest(json(#"{"inputs":"hi","parameters":{"max_new_tokens":10}}"#))
            .parameters
        try parameters.validate(inputTokenCount: 54, limits)
        #expect(
            failure { () throws(NativeError) in try parameters.validate(inputTokenCount: 55, limits) }
                == .validation(
                    "`inputs` tokens + `max_new_tokens` must be <= 64. Given: 55 `inputs` tokens and 10 `max_new_tokens`"
                ))
        let free = try NativeGenerateRequest(json(#"{"inputs":"hi"}"#)).parameters
        #expect(
            failure { () throws(NativeError) in try free.validate(inputTokenCount: 64, limits) }
                == .validation("`inputs` must have less than 63 tokens. Given: 64"))
    }

    @Test(
        "Sampling begins with do_sample or any warper, and temperature 0 ends it",
        arguments: [
            ("", false), (#""do_sample":true"#, true), (#""temperature":0.7"#, true), (#""top_k":5"#, true),
            (#""top_p":0.9"#, true), (#""typical_p":0.9"#, true), (#""do_sample":true,"temperature":0"#, false),
            (#""top_p":1.0"#, false), (#""repetition_penalty":1.2"#, false),
        ])
    func sampling(fields: String, samples: Bool) throws {
        let parameters = try NativeGenerateRequest(json(#"{"inputs":"hi","parameters":{\#(fields)}}"#)).parameters
        #expect(parameters.samples == samples)
    }

    @Test("A schema that is null constrains nothing; a missing one constrains to an object")
    func responseFormat() throws {
        func format(_ text: String) throws -> NativeParameters.ResponseFormat? {
            try NativeGenerateRequest(json(#"{"inputs":"hi","parameters":{"response_format":\#(text)}}"#))
                .parameters.responseFormat
        }
        #expect(try format(#"{"type":"json_object","schema":null}"#) == .unconstrained)
        #expect(try format(#"{"type":"text"}"#) == .unconstrained)
        #expect(try format(#"{"type":"json_object"}"#) == .constrained("json_object"))
        #expect(try format("null") == nil)
    }
}
