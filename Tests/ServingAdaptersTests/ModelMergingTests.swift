import Foundation
import ServingAdapters
import ServingModelFiles
import ServingModels
import ServingTensors
import Testing

@Suite("Loading a model with an adapter in its weights")
struct ModelMergingTests {
    private static let fixtures = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fixtures").path

    private func model(_ name: String = "llama") throws -> ModelDescription {
        try ModelDescription(folder: ModelFolder(path: Self.fixtures + "/models/" + name))
    }

    private func adapter(_ name: String) -> String { Self.fixtures + "/adapters/" + name }

    /// A float32 tensor of an adapter's file.
    private func values(_ name: String, in adapter: String) throws -> [Double] {
        let file = try SafetensorsFile(path: self.adapter(adapter) + "/adapter_model.safetensors")
        return floats(try #require(try file.tensor(named: "base_model.model." + name))).map(Double.init)
    }

    private func floats(_ tensor: StoredTensor) -> [Float] {
        (0..<tensor.bytes.count / 4).map { tensor.bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
    }

    private func isSame(_ left: StoredTensor, _ right: StoredTensor) -> Bool {
        left.bytes.baseAddress == right.bytes.baseAddress && left.type == right.type && left.shape == right.shape
    }

    @Test("leaves a model alone where no adapter is given")
    func none() throws {
        let model = try model()
        let same = try model.merging(adapterAt: nil)
        #expect(same.config == model.config)
        #expect(isSame(same.weights.layers[1].up.weight, model.weights.layers[1].up.weight))
    }

    @Test("adds alpha / sqrt(R) * B A to every layer that a rank-stabilised adapter changes")
    func rankStabilised() throws {
        let model = try model()
        let merged = try model.merging(adapterAt: adapter("r16-rslora"))
        for (index, (before, after)) in zip(model.weights.layers, merged.weights.layers).enumerated() {
            let pairs: [(String, LinearWeights, LinearWeights)] = [
                ("self_attn.q_proj", before.query, after.query), ("self_attn.k_proj", before.key, after.key),
                ("self_attn.o_proj", before.output, after.output), ("mlp.gate_proj", before.gate, after.gate),
                ("mlp.down_proj", before.down, after.down),
            ]
            for (name, before, after) in pairs {
                let module = "model.layers.\(index).\(name)."
                let loraA = try values(module + "lora_A.weight", in: "r16-rslora")
                let loraB = try values(module + "lora_B.weight", in: "r16-rslora")
                let (original, found) = (floats(before.weight), floats(after.weight))
                let (rank, columns) = (16, before.weight.columnCount)
                try #require(loraA.count == rank * columns && after.weight.type == .f32)
                var largest = 0.0
                for place in original.indices {
                    let (row, column) = (place / columns, place % columns)
                    let product = (0..<rank).reduce(0.0) { $0 + loraB[row * rank + $1] * loraA[$1 * columns + column] }
                    largest = max(largest, abs(Double(original[place]) + 16 / 4 * product - Double(found[place])))
                }
                #expect(largest < 2e-5, "\(module): \(largest)")
                #expect(original != found)
            }
        }
        #expect(isSame(merged.weights.embedding, model.weights.embedding))
        #expect(isSame(merged.weights.layers[0].attentionNorm, model.weights.layers[0].attentionNorm))
    }

    @Test("keeps BF16 as BF16, and embedding and head one where neither changes")
    func halfPrecision() throws {
        let model = try model("llama-bf16-tied")
        let merged = try model.merging(adapterAt: adapter("r8-all"))
        let (before, after) = (model.weights.layers[2].down.weight, merged.weights.layers[2].down.weight)
        #expect(before.type == .bf16 && after.type == .bf16 && !before.bytes.elementsEqual(after.bytes))
        #expect(isSame(merged.weights.head.weight, merged.weights.embedding))
    }

    @Test("takes weights that were trained in full")
    func fullyTrained() throws {
        let model = try model()
        let merged = try model.merging(adapterAt: adapter("modules-to-save"))
        let head = try values("lm_head.weight", in: "modules-to-save").map { Float($0) }
        #expect(floats(merged.weights.head.weight) == head)
        #expect(isSame(merged.weights.embedding, model.weights.embedding))
    }

    @Test(
        "refuses values that the encoding can't hold, blocks included",
        arguments: [TensorType.f16, .q8_0, .q4_0, .q4_1])
    func beyondEncoding(_ type: TensorType) throws {
        let model = try model()
        func update(_ value: Float) -> AdapterWeights {
            var values = [Float](repeating: 1, count: 96 * 64)
            values[5 * 64 + 40] = value
            var adapter = AdapterWeights(layerCount: 3)
            adapter.layers[1].up = LinearUpdate(weight: StoredTensor(name: "w", shape: [96, 64], values: values))
            return adapter
        }
        func merge(_ value: Float) throws(AdapterError) {
            _ = try WeightMerger.merged(model.weights, with: update(value), config: model.config, type: type)
        }
        let beyond = try #require(throws: AdapterError.self) { try merge(-1e9) }
        #expect(beyond.code == .invalidAdapter && beyond.message.contains("row 5"), "\(beyond)")
        #expect(beyond.message.contains("beyond \(type.name)"))
        for value in [Float.nan, .infinity] {
            let error = try #require(throws: AdapterError.self) { try merge(value) }
            #expect(error.message.contains("row 5 of the merged weight is not finite"), "\(error)")
        }
        #expect(throws: Never.self) { try merge(6e4) }
    }

    @Test("says what is wrong with a folder that is no adapter of this model")
    func faults() throws {
        let model = try model()
        let missing = try #require(throws: AdapterError.self) {
            _ = try model.merging(adapterAt: adapter("not-there"))
        }
        // The text goes to clients, who need not know where adapters lie.
        #expect(missing.code == .notFound && !missing.message.contains(Self.fixtures))
        let foreign = try #require(throws: AdapterError.self) {
            _ = try self.model("gemma2").merging(adapterAt: adapter("r8-all"))
        }
        #expect(foreign.code == .incompatible, "\(foreign)")
    }
}
