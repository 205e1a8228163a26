import Foundation
import ServingJSON
import ServingModelFiles
import ServingModels
import ServingTensors
import Testing

@testable import ServingAdapters

@Suite("Mapping adapters to a model")
struct AdapterMappingTests {
    static let llamaAdapters = [
        "r8-all", "r8-all-second", "rank-pattern", "dora", "embedding", "lm-head", "modules-to-save",
        "layers-to-transform", "r16-rslora", "r13-odd",
    ]

    @Test("gives PEFT's logits once merged into the weights", arguments: llamaAdapters)
    func logits(_ name: String) throws {
        let model = try AdapterFixtures.model()
        let weights = try WeightMerger.merged(
            model.weights, with: AdapterFixtures.weights(name), config: model.config)
        let difference = try AdapterFixtures.difference(
            model.config, weights, expected: AdapterFixtures.path(name) + "/expected.json")
        #expect(difference < 2e-3)
        // Otherwise the test would show nothing.
        #expect(
            try AdapterFixtures.difference(
                model.config, model.weights, expected: AdapterFixtures.path(name) + "/expected.json") > 0.05)
    }

    @Test("uses every tensor once and leaves out a table that is the model's own")
    func tensorCounts() throws {
        func count(_ weights: AdapterWeights) -> Int {
            weights.linearUpdates.reduce(0) { $0 + $1.tensors.count } + (weights.embedding?.tensors.count ?? 0)
        }
        #expect(try count(AdapterFixtures.weights("r8-all")) == 42)
        #expect(try count(AdapterFixtures.weights("dora")) == 63)
        #expect(try count(AdapterFixtures.weights("lm-head")) == 8)
        #expect(try count(AdapterFixtures.weights("embedding")) == 8)
        #expect(try AdapterFixtures.weights("lm-head").head?.weight == nil)
        #expect(try AdapterFixtures.weights("modules-to-save").head?.weight != nil)
    }

    @Test("reads names with an adapter's own name in them, and prefixes of text towers")
    func names() throws {
        func parse(_ name: String) -> AdapterTensorName? { AdapterTensorName(name) }
        let module = "model.layers.0.self_attn.q_proj"
        for name in ["\(module).lora_A.weight", "base_model.model.\(module).lora_A.default.weight"] {
            #expect(parse(name)?.module == module && parse(name)?.part == .loraA)
        }
        #expect(parse("base_model.model.model.embed_tokens.lora_embedding_B.default")?.part == .embeddingB)
        #expect(parse("m.lora_magnitude_vector.default.weight")?.part == .magnitude)
        #expect(parse("lm_head.modules_to_save.default.weight") == parse("lm_head.weight"))
        #expect(parse("lm_head.base_layer.weight")?.module == "lm_head")
        for name in ["weight", "m.lora_A", "m.lora_A.weight.x.y", "m.lora_C.x", "m.lora_B.a.b.weight", "", "a..weight"]
        {
            #expect(parse(name) == nil, "\(name)")
        }
        for prefix in ["model.", "language_model.model.", "model.language_model.", ""] {
            #expect(
                AdapterModule(prefix + "layers.7.mlp.up_proj", hasSandwichNorms: false) == .linear(layer: 7, .up))
        }
        #expect(AdapterModule("language_model.lm_head", hasSandwichNorms: false) == .head)
        #expect(AdapterModule("model.vision_tower.layers.0.mlp.up_proj", hasSandwichNorms: false) == nil)
        #expect(AdapterModule("model.layers.-1.mlp.up_proj", hasSandwichNorms: false) == nil)
        let norm = "model.layers.0.post_attention_layernorm"
        #expect(AdapterModule(norm, hasSandwichNorms: true) == .norm(layer: 0, .postAttention))
        #expect(AdapterModule(norm, hasSandwichNorms: false) == .norm(layer: 0, .feedForward))
    }

    /// A Phi-3 model of zeros; only shapes matter.
    private func phi3(_ scratch: ScratchFolder) throws -> ModelDescription {
        let config: JSONValue = [
            "model_type": "phi3", "hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4,
            "num_hidden_layers": 3, "num_key_value_heads": 2, "vocab_size": 320, "max_position_embeddings": 512,
            "tie_word_embeddings": false,
        ]
        try config.text().write(toFile: scratch.path + "/config.json", atomically: true, encoding: .utf8)
        var writer = SafetensorsWriter()
        func add(_ name: String, _ shape: [Int]) {
            writer.add(StoredTensor(name: name, shape: shape, values: .init(repeating: 0, count: shape.reduce(1, *))))
        }
        add("model.embed_tokens.weight", [320, 64])
        add("lm_head.weight", [320, 64])
        add("model.norm.weight", [64])
        for layer in 0..<3 {
            let prefix = "model.layers.\(layer)."
            add(prefix + "input_layernorm.weight", [64])
            add(prefix + "post_attention_layernorm.weight", [64])
            add(prefix + "self_attn.qkv_proj.weight", [128, 64])
            add(prefix + "self_attn.o_proj.weight", [64, 64])
            add(prefix + "mlp.gate_up_proj.weight", [192, 64])
            add(prefix + "mlp.down_proj.weight", [64, 96])
        }
        try writer.write(to: scratch.path + "/model.safetensors")
        return try AdapterFixtures.model(scratch.path)
    }

    @Test("splits the rows of fused modules, which share A")
    func fused() throws {
        let scratch = try ScratchFolder()
        let model = try phi3(scratch)
        let folder = try AdapterFolder(path: AdapterFixtures.path("phi3-fused"))
        let weights = try folder.weights(for: model.config, base: model.weights)
        let name = "base_model.model.model.layers.1.self_attn.qkv_proj.lora_B.weight"
        let whole = try #require(try folder.tensors.tensor(named: name)).floats
        let layer = weights.layers[1]
        let parts = [layer.query, layer.key, layer.value].compactMap { $0?.lowRank }
        #expect(parts.map { $0.loraB.shape } == [[64, 8], [32, 8], [32, 8]])
        #expect(parts.flatMap { $0.loraB.floats } == whole)
        #expect(Set(parts.map { $0.loraA.bytes.baseAddress }).count == 1)
        #expect(layer.gate?.lowRank?.loraB.shape == [96, 8] && layer.up?.lowRank?.loraB.shape == [96, 8])
    }

    @Test("accepts a bias for a layer that has none")
    func bias() throws {
        let weights = try AdapterFixtures.weights("bias-all-lora")
        #expect(weights.layers.allSatisfy { $0.query?.bias?.shape == [64] && $0.output?.bias?.shape == [64] })
    }

    @Test("brings query and key rows into the order of a model that turns neighbours")
    func permutes() throws {
        let model = try AdapterFixtures.model()
        var config = model.config
        config.rotaries[0].pairing = .neighbours
        let folder = try AdapterFolder(path: AdapterFixtures.path("dora"))
        let plain = try folder.weights(for: model.config, base: model.weights).layers[0]
        let turned = try folder.weights(for: config, base: model.weights).layers[0]
        // Row (h, i, j) of a head of 16 is row (h, j, i) before.
        let order = (0..<64).map { $0 / 16 * 16 + $0 % 2 * 8 + $0 % 16 / 2 }
        let (before, after) = (try #require(plain.query), try #require(turned.query))
        let rows = try #require(before.magnitude).floats
        #expect(after.magnitude?.floats == order.map { rows[$0] })
        let loraB = try #require(before.lowRank).loraB.floats
        #expect(after.lowRank?.loraB.floats == order.flatMap { loraB[$0 * 8..<$0 * 8 + 8] })
        #expect(turned.value?.lowRank?.loraB.floats == plain.value?.lowRank?.loraB.floats)
        #expect(turned.key?.lowRank?.loraB.floats != plain.key?.lowRank?.loraB.floats)
    }
}
