import ServingJSON
import ServingModels
import Testing

@Suite("config.json")
struct DecoderConfigTests {
    /// A field set to a JSON text, or removed for nil, and what the message must name.
    struct Fault: Sendable, CustomTestStringConvertible {
        let field: String
        let value: JSONValue?
        let code: ModelError.Code
        let mentions: [String]

        var testDescription: String { "\(field): \(value?.text().prefix(60) ?? "removed")" }

        init(_ field: String, _ value: JSONValue?, _ mentions: [String], _ code: ModelError.Code = .invalidConfig) {
            (self.field, self.value, self.mentions, self.code) = (field, value, mentions, code)
        }
    }

    static let llama = JSONObject([
        ("model_type", "llama"), ("vocab_size", 320), ("hidden_size", 64), ("intermediate_size", 96),
        ("num_hidden_layers", 3), ("num_attention_heads", 4), ("num_key_value_heads", 2),
        ("max_position_embeddings", 512),
    ])

    static let faults: [Fault] = [
        Fault("model_type", "mamba", ["model_type", "mamba", "llama, mistral, qwen2"], .unsupported),
        Fault("model_type", nil, ["model_type is missing"]), Fault("model_type", 7, ["model_type", "string", "7"]),
        Fault("vocab_size", nil, ["vocab_size is missing"]), Fault("hidden_size", nil, ["hidden_size is missing"]),
        Fault("intermediate_size", nil, ["intermediate_size is missing"]),
        Fault("num_hidden_layers", nil, ["num_hidden_layers is missing"]),
        Fault("num_attention_heads", nil, ["num_attention_heads is missing"]),
        Fault("vocab_size", "320", ["vocab_size", "whole number", "\"320\""]),
        Fault("vocab_size", true, ["vocab_size", "whole number", "true"]),
        Fault("vocab_size", 3.5, ["vocab_size", "whole number", "3.5"]),
        Fault("hidden_size", 1e18, ["hidden_size", "whole number", "1e+18"]),
        Fault("hidden_size", 0, ["hidden_size", "whole number", "0"]),
        Fault("hidden_size", .integer(.max), ["hidden_size", "9223372036854775807"]),
        Fault("intermediate_size", -96, ["intermediate_size", "-96"]),
        Fault("num_hidden_layers", .number(.nan), ["num_hidden_layers", "whole number"]),
        Fault("num_hidden_layers", 1e18, ["num_hidden_layers"]),
        Fault("num_hidden_layers", 50_000, ["50000 layers", "4096"]),
        Fault("num_attention_heads", [4], ["num_attention_heads", "[4]"]),
        Fault("num_attention_heads", 5, ["hidden_size 64", "num_attention_heads 5"]),
        Fault("num_key_value_heads", 3, ["4 attention heads", "3 key-value heads"]),
        Fault("num_key_value_heads", 8, ["4 attention heads", "8 key-value heads"]),
        Fault("head_dim", 100_000, ["100000"], .unsupported),
        Fault("rms_norm_eps", "small", ["rms_norm_eps", "number", "small"]),
        Fault("rms_norm_eps", .number(.nan), ["rms_norm_eps", "finite"]),
        Fault("rms_norm_eps", -1, ["rms_norm_eps", "above 0", "-1"]),
        Fault("hidden_act", "relu", ["relu", "silu"], .unsupported),
        Fault("max_position_embeddings", -5, ["max_position_embeddings", "-5"]),
        Fault("tie_word_embeddings", "yes", ["tie_word_embeddings", "true or false", "yes"]),
        Fault("rope_theta", 0, ["rope_theta", "above 0"]), Fault("rope_theta", 1, ["rope_theta", "1"]),
        Fault("rope_theta", .number(.infinity), ["rope_theta", "finite"]),
        Fault("rope_scaling", "linear", ["rope_scaling", "object", "linear"]),
        Fault("rope_scaling", ["type": "spiral", "factor": 2], ["spiral", "llama3, yarn, longrope"], .unsupported),
        Fault("rope_scaling", ["type": "linear"], ["rope_scaling.factor is missing"]),
        Fault("rope_scaling", ["type": "linear", "factor": -2], ["rope_scaling.factor", "above 0", "-2"]),
        Fault("rope_scaling", ["rope_type": "llama3", "factor": 8], ["rope_scaling.low_freq_factor is missing"]),
        Fault(
            "rope_parameters", ["rope_type": "longrope", "short_factor": [1, 2], "long_factor": [1, 2]],
            ["rope_parameters.short_factor", "8 numbers"]),
        Fault(
            "rope_parameters", ["rope_type": "longrope", "short_factor": ["a", 1, 1, 1, 1, 1, 1, 1]],
            ["rope_parameters.short_factor", "8 numbers"]),
    ]

    @Test(arguments: faults) func faultsAreNamedOnOneLine(_ fault: Fault) throws {
        var config = Self.llama
        config[fault.field] = fault.value
        let error = #expect(throws: ModelError.self) { try DecoderConfig(huggingFace: config) }
        let found = try #require(error)
        #expect(found.code == fault.code, "\(found)")
        for mention in fault.mentions { #expect(found.message.contains(mention), "\(found) lacks \(mention)") }
        #expect(!found.message.contains("\n"))
    }

    @Test func readsTheCommonForm() throws {
        let config = try DecoderConfig(huggingFace: Self.llama)
        #expect(config.headDimension == 16)
        #expect(config.layerCount == 3)
        #expect(config.contextLength == 512)
        #expect(config.layers.allSatisfy { $0.slidingWindow == nil })
    }

    @Test func refusesAContextBeyondTheModels() throws {
        #expect(try DecoderConfig(huggingFace: Self.llama, contextLength: 512).contextLength == 512)
        let error = #expect(throws: ModelError.self) { try DecoderConfig(huggingFace: Self.llama, contextLength: 513) }
        #expect(error?.message.contains("513") == true)
        #expect(error?.message.contains("512") == true)
    }

    @Test func layersSlideWhereTheirFamilyDoes() throws {
        var config = Self.llama
        (config["num_hidden_layers"], config["sliding_window"]) = (7, 16)
        func windows(_ type: String, _ more: [(String, JSONValue)] = []) throws -> [Int?] {
            var config = config
            config["model_type"] = .string(type)
            for (field, value) in more { config[field] = value }
            return try DecoderConfig(huggingFace: config).layers.map(\.slidingWindow)
        }
        #expect(try windows("llama") == Array(repeating: nil, count: 7))
        #expect(try windows("mistral") == Array(repeating: 16, count: 7))
        #expect(try windows("gemma2") == [16, nil, 16, nil, 16, nil, 16])
        #expect(try windows("gemma3_text") == [16, 16, 16, 16, 16, nil, 16])
        #expect(try windows("qwen2") == Array(repeating: nil, count: 7))
        #expect(
            try windows("qwen2", [("use_sliding_window", true), ("max_window_layers", 5)])
                == [nil, nil, nil, nil, nil, 16, 16])
    }
}
