import ServingJSON
import Testing

@testable import ServingAdapters

@Suite("adapter_config.json")
struct AdapterConfigTests {
    /// A field set to a JSON text, or removed for nil, and what the message must name.
    struct Fault: Sendable, CustomTestStringConvertible {
        let field: String
        let value: JSONValue?
        let mentions: [String]
        let code: AdapterError.Code
        var testDescription: String { "\(field): \(value?.text() ?? "removed")" }

        init(
            _ field: String, _ value: JSONValue?, _ mentions: [String], _ code: AdapterError.Code = .invalidAdapter
        ) {
            (self.field, self.value, self.mentions, self.code) = (field, value, mentions, code)
        }
    }

    static let good: JSONObject = {
        let members: [(String, JSONValue)] = [
            ("peft_type", "LORA"), ("r", 8), ("lora_alpha", 16), ("target_modules", ["q_proj", "v_proj"]),
        ]
        return JSONObject(members)
    }()

    static let faults: [Fault] = [
        Fault("r", nil, ["adapter_config.json", "\"r\"", "missing"]), Fault("r", 0, ["rank from 1", "found 0"]),
        Fault("r", -4, ["-4"]), Fault("r", "8", ["\"8\""]), Fault("r", 2.5, ["2.5"]), Fault("r", true, ["true"]),
        Fault("r", 2_097_152, ["2097152", "1048576"]), Fault("r", 1e300, ["1e+300"]),
        Fault("lora_alpha", nil, ["lora_alpha", "missing"]), Fault("lora_alpha", 0, ["other than 0"]),
        Fault("lora_alpha", "16", ["lora_alpha", "\"16\""]), Fault("lora_alpha", 1e300, ["finite"]),
        Fault("peft_type", nil, ["peft_type", "missing"]), Fault("peft_type", 3, ["peft_type"]),
        Fault("peft_type", "IA3", ["IA3", "LORA"], .unsupported),
        Fault("init_lora_weights", "pissa_niter_4", ["init_lora_weights", "pissa_niter_4"], .unsupported),
        Fault("init_lora_weights", "olora", ["olora"], .unsupported),
        Fault("init_lora_weights", "loftq", ["loftq"], .unsupported),
        Fault("target_modules", 3, ["target_modules", "list"]), Fault("target_modules", [1], ["target_modules"]),
        Fault("rank_pattern", ["q_proj": 0], ["rank_pattern.q_proj", "found 0"]),
        Fault("target_modules", "(", ["target_modules", "regular expression"]),
        Fault("target_modules", "a**", ["target_modules"]), Fault("exclude_modules", "[", ["exclude_modules"]),
        Fault("exclude_modules", 3, ["exclude_modules"]), Fault("layers_pattern", "h", ["layers_pattern"]),
        Fault("rank_pattern", [1], ["rank_pattern"]),
        Fault("rank_pattern", ["(?=q)": 4], ["(?=q)", "syntax"], .unsupported),
        Fault("alpha_pattern", ["q_proj": "x"], ["alpha_pattern.q_proj"]),
        Fault("use_rslora", 1, ["use_rslora", "true or false"]), Fault("use_dora", "yes", ["use_dora"]),
        Fault("bias", "some", ["bias", "lora_only"]), Fault("modules_to_save", "lm_head", ["modules_to_save"]),
        Fault("layers_to_transform", [-1], ["layers_to_transform"]),
        Fault("layers_to_transform", "1", ["layers_to_transform"]),
        Fault("trainable_token_indices", [1, 2], ["trainable_token_indices"], .unsupported),
        Fault("alora_invocation_tokens", [5], ["alora_invocation_tokens"], .unsupported),
        Fault("layer_replication", [[0, 2]], ["layer_replication"], .unsupported),
        Fault("target_parameters", ["w"], ["target_parameters"], .unsupported),
        Fault("use_qalora", true, ["use_qalora"], .unsupported),
        Fault("use_bdlora", ["nblocks": 2], ["use_bdlora"], .unsupported),
        Fault("arrow_config", ["top_k": 2], ["arrow_config"], .unsupported),
        Fault("brand_new_option", 3, ["brand_new_option", "not known"], .unsupported),
    ]

    @Test("with a fault is refused in words that name field and value", arguments: faults)
    func fault(_ fault: Fault) throws {
        var object = Self.good
        object[fault.field] = fault.value
        let error = try #require(throws: AdapterError.self) { _ = try AdapterConfig(object) }
        #expect(error.code == fault.code)
        for mention in fault.mentions { #expect(error.message.contains(mention), "\(error.message)") }
        #expect(!error.message.contains("\n"))
    }

    @Test("with fields of training and bookkeeping is read")
    func harmless() throws {
        var object = Self.good
        for (key, value) in [
            ("init_lora_weights", "gaussian"), ("lora_dropout", 0.1), ("megatron_core", "megatron.core"),
            ("inference_mode", true), ("qalora_group_size", 16), ("eva_config", ["rho": 2.0]),
            ("layers_to_transform", []),
            ("brand_new_option", false), ("arrow_config", nil),
        ] as [(String, JSONValue)] {
            object[key] = value
        }
        let config = try AdapterConfig(object)
        #expect(config.rank == 8 && config.alpha == 16 && config.targets == .names(["q_proj", "v_proj"]))
        #expect(config.layersToTransform == nil)
    }

    @Test("gives each module its rank and scaling")
    func patterns() throws {
        var object = Self.good
        object["rank_pattern"] = ["q_proj": 2, "layers.1.mlp.up_proj": 12, ".*_proj": 6]
        object["alpha_pattern"] = ["down_proj": 4]
        let config = try AdapterConfig(object)
        #expect(config.rank(of: "model.layers.0.self_attn.q_proj") == 2)
        #expect(config.rank(of: "model.layers.1.mlp.up_proj") == 12)
        #expect(config.rank(of: "model.layers.2.mlp.up_proj") == 6)
        #expect(config.rank(of: "lm_head") == 8)
        #expect(config.scaling(of: "lm_head") == 2)
        #expect(config.scaling(of: "model.layers.0.mlp.down_proj") == 4.0 / 6)
        object["use_rslora"] = true
        #expect(try AdapterConfig(object).scaling(of: "lm_head") == 16 / 8.0.squareRoot())
    }
}
