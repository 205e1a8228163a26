import Foundation
import ServingModelFiles
import ServingModels
import ServingTensors
import Testing

@Suite("Weights of a model folder")
struct DecoderWeightsTests {
    /// A copy of the smallest model whose tensors went through `change`, as ModelDescription sees it.
    private func describe(
        changing change: (StoredTensor) -> (name: String, shape: [Int])?, adding extra: [(String, [Int])] = []
    ) throws -> ModelDescription {
        let fixture = Fixtures.committed("llama-bf16-tied")
        let scratch = try Scratch()
        try scratch.write("config.json", String(contentsOfFile: fixture.path + "/config.json", encoding: .utf8))
        let shards = try fixture.folder().openTensors()
        var writer = SafetensorsWriter()
        for name in shards.names {
            let tensor = try #require(try shards.tensor(named: name))
            guard let (name, shape) = change(tensor) else { continue }
            let count = shape.reduce(1, *) * 2
            let bytes = Array(tensor.bytes.prefix(count))
            writer.add(
                name, .bf16, shape: shape, bytes: bytes + Array(repeating: 0, count: max(0, count - bytes.count)))
        }
        for (name, shape) in extra {
            writer.add(name, .bf16, shape: shape, bytes: Array(repeating: 0, count: shape.reduce(1, *) * 2))
        }
        try writer.write(to: scratch.path + "/model.safetensors")
        return try ModelDescription(folder: ModelFolder(path: scratch.path))
    }

    private func message(_ body: () throws -> ModelDescription) -> String {
        let error = #expect(throws: ModelError.self) { _ = try body() }
        #expect(error?.code == .invalidWeights)
        return error?.message ?? ""
    }

    @Test func anUnchangedCopyIsAModel() throws {
        #expect(try describe { ($0.name, $0.shape) }.config.layerCount == 3)
    }

    @Test func aMissingTensorIsNamed() {
        let name = "model.layers.1.self_attn.k_proj.weight"
        let text = message { try describe { $0.name == name ? nil : ($0.name, $0.shape) } }
        #expect(text.contains(name))
        #expect(text.contains("missing"))
    }

    @Test func missingEmbeddingsAreNamed() {
        let name = "model.embed_tokens.weight"
        #expect(message { try describe { $0.name == name ? nil : ($0.name, $0.shape) } }.contains(name))
    }

    @Test(arguments: [[96, 63], [95, 64], [96], [64, 96], [1, 96, 64]])
    func aWrongShapeIsNamedWithBothShapes(_ shape: [Int]) {
        let name = "model.layers.2.mlp.gate_proj.weight"
        let text = message { try describe { $0.name == name ? (name, shape) : ($0.name, $0.shape) } }
        #expect(text.contains(name))
        #expect(text.contains("\(shape)"))
        #expect(text.contains("[96, 64]"))
    }

    @Test(arguments: [
        "model.layers.0.self_attn.q_norm.bias", "model.layers.3.mlp.up_proj.weight",
        "model.layers.0.mlp.experts.weight",
        "something_else",
    ])
    func aTensorThatWouldNotBeUsedIsNamed(_ name: String) {
        #expect(message { try describe(changing: { ($0.name, $0.shape) }, adding: [(name, [64])]) }.contains(name))
    }

    @Test func oldFilesMayCarryRotaryFrequencies() throws {
        let extra = [("model.layers.0.self_attn.rotary_emb.inv_freq", [8])]
        #expect(try describe(changing: { ($0.name, $0.shape) }, adding: extra).config.layerCount == 3)
    }
}
