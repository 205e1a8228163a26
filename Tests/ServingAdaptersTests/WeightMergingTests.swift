import CServingAdapters
import Foundation
import ServingJSON
import ServingModelFiles
import ServingModels
import ServingTensors
import Testing

@testable import ServingAdapters

@Suite("Merging an adapter into a model")
struct WeightMergingTests {
    private func adapter(_ name: String) -> (DecoderConfig, DecoderWeights) throws(AdapterError) -> AdapterWeights {
        { config, base throws(AdapterError) in
            try AdapterFolder(path: AdapterFixtures.path(name)).weights(for: config, base: base)
        }
    }

    /// The tiny llama as converters to GGUF write it.
    private func ggufBase(_ scratch: ScratchFolder, type: TensorType = .f32, isTied: Bool = false) throws -> String {
        let folder = try ModelFolder(path: AdapterFixtures.modelPath)
        let shards = try folder.openTensors()
        var writer = GGUFWriter()
        writer.set("general.architecture", .string("llama"))
        writer.set("general.name", .string("tiny"))
        for (key, value) in [
            ("block_count", 3), ("embedding_length", 64), ("feed_forward_length", 96), ("attention.head_count", 4),
            ("attention.head_count_kv", 2), ("context_length", 512), ("rope.dimension_count", 16),
            ("attention.key_length", 16), ("attention.value_length", 16),
        ] as [(String, UInt32)] {
            writer.set("llama." + key, .uint32(value))
        }
        writer.set("llama.attention.layer_norm_rms_epsilon", .float32(1e-5))
        writer.set("general.file_type", .uint32(0))
        for name in shards.names where !isTied || name != "lm_head.weight" {
            let tensor = try #require(try shards.tensor(named: name))
            let isTurned = name.contains("q_proj") || name.contains("k_proj")
            let ordered = isTurned ? tensor.permutedRows(headDimension: 16) : tensor
            let matrix = MergedMatrix(base: ordered, update: nil)
            let renamed = Self.ggufName(name)
            if tensor.shape.count == 1 {
                writer.add(renamed, .f32, shape: tensor.shape) { sink throws(ModelFileError) in try sink(ordered.bytes)
                }
            } else {
                writer.add(renamed, type, shape: tensor.shape) { sink throws(ModelFileError) in
                    try matrix.write(type, name: name, to: sink)
                }
            }
        }
        let path = scratch.path + "/base.gguf"
        try writer.write(to: path)
        return path
    }

    private static func ggufName(_ name: String) -> String {
        var name = name
        for (from, to) in [
            ("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"), ("lm_head", "output"),
            ("model.layers.", "blk."), ("self_attn.o_proj", "attn_output"), ("self_attn.", "attn_"), ("mlp.", "ffn_"),
            ("_proj", ""), ("post_attention_layernorm", "ffn_norm"), ("input_layernorm", "attn_norm"),
        ] {
            name = name.replacingOccurrences(of: from, with: to)
        }
        return name
    }

    private func difference(gguf path: String, _ name: String) throws -> Double {
        let model = try ModelDescription(gguf: GGUFFile(path: path))
        return try AdapterFixtures.difference(
            model.config, model.weights, expected: AdapterFixtures.path(name) + "/expected.json")
    }

    @Test(
        "writes a GGUF file with PEFT's logits, row order included",
        arguments: ["r8-all", "dora", "embedding", "lm-head", "modules-to-save"])
    func gguf(_ name: String) throws {
        let scratch = try ScratchFolder()
        let output = scratch.path + "/merged.gguf"
        var calls: [Int] = []
        let result = try MergedModelWriter.write(
            basePath: ggufBase(scratch), to: output, progress: { done, _ in calls.append(done) },
            adapter: adapter(name))
        #expect(try difference(gguf: output, name) < 2e-3)
        #expect(calls == Array(1...result.tensorCount) && result.tensorCount == 30)
        let file = try GGUFFile(path: output)
        #expect(file["general.name"]?.stringValue == "tiny" && file["general.file_type"]?.intValue == 0)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: scratch.path).sorted() == ["base.gguf", "merged.gguf"])
    }

    @Test(
        "encodes all weights as asked",
        arguments: [(TensorType.f16, 1, 0.01), (.bf16, 32, 0.1), (.q8_0, 7, 0.2), (.q4_1, 3, 3), (.q4_0, 2, 3)])
    func types(_ type: TensorType, _ fileType: Int, _ tolerance: Double) throws {
        let scratch = try ScratchFolder()
        let output = scratch.path + "/merged.gguf"
        try MergedModelWriter.write(basePath: ggufBase(scratch), type: type, to: output, adapter: adapter("r8-all"))
        let file = try GGUFFile(path: output)
        #expect(file["general.file_type"]?.intValue == fileType)
        for tensor in file.tensors {
            let isTable = tensor.name == "token_embd.weight" || tensor.name == "output.weight"
            let matrixType = isTable && [.q4_0, .q4_1].contains(type) ? TensorType.q8_0 : type
            #expect(tensor.type == (tensor.shape.count == 2 ? matrixType : .f32), "\(tensor.name)")
        }
        #expect(try difference(gguf: output, "r8-all") < tolerance)
    }

    @Test("keeps what is not changed, and takes Q8_0 for changed weights of a quantised model")
    func quantisedBase() throws {
        let scratch = try ScratchFolder()
        let base = try ggufBase(scratch, type: .q4_0)
        let output = scratch.path + "/merged.gguf"
        let result = try MergedModelWriter.write(basePath: base, to: output, adapter: adapter("layers-to-transform"))
        #expect(result.changedTensorCount == 7)
        let (before, after) = (try GGUFFile(path: base), try GGUFFile(path: output))
        for tensor in after.tensors {
            let original = try #require(before.tensor(named: tensor.name))
            if tensor.name.hasPrefix("blk.1."), tensor.shape.count == 2 {
                #expect(tensor.type == .q8_0)
            } else {
                #expect(tensor.type == original.type && tensor.bytes.elementsEqual(original.bytes), "\(tensor.name)")
            }
        }
        let model = try ModelDescription(gguf: before)
        let merged = try WeightMerger.merged(
            model.weights, with: adapter("layers-to-transform")(model.config, model.weights), config: model.config)
        #expect(merged.layers[1].query.weight.type == .q8_0 && merged.layers[0].query.weight.type == .q4_0)
    }

    @Test("unties embedding and head where only one of them changes", arguments: ["lm-head", "embedding"])
    func unties(_ name: String) throws {
        let scratch = try ScratchFolder()
        let output = scratch.path + "/merged.gguf"
        // The table that the adapter saved beside its update is not this base's: take it out.
        let path = try scratch.adapter(like: name, tensors: { $0 = $0.filter { !$0.key.contains("base_layer") } })
        try MergedModelWriter.write(basePath: ggufBase(scratch, isTied: true), to: output) {
            config, base throws(AdapterError) in try AdapterFolder(path: path).weights(for: config, base: base)
        }
        let file = try GGUFFile(path: output)
        let (table, head) = (
            try #require(file.tensor(named: "token_embd.weight")), try #require(file.tensor(named: "output.weight"))
        )
        let original = try #require(try GGUFFile(path: scratch.path + "/base.gguf").tensor(named: "token_embd.weight"))
        #expect(table.bytes.elementsEqual(original.bytes) == (name == "lm-head"))
        #expect(head.bytes.elementsEqual(original.bytes) == (name == "embedding"))
    }

    @Test("writes a Hugging Face folder with PEFT's logits", arguments: ["r16-rslora", "dora"])
    func folder(_ name: String) throws {
        let scratch = try ScratchFolder()
        let output = scratch.path + "/merged"
        let result = try MergedModelWriter.write(
            basePath: AdapterFixtures.modelPath, to: output, adapter: adapter(name))
        #expect(result == .init(changedTensorCount: 21, tensorCount: 30))
        let model = try AdapterFixtures.model(output)
        let expected =
            name == "dora" ? "dora/expected.json" : "merges/merge-into-base-r16-rslora.json"
        #expect(
            try AdapterFixtures.difference(model.config, model.weights, expected: AdapterFixtures.path(expected)) < 2e-3
        )
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path) == ["merged"])
        let half = scratch.path + "/half"
        try MergedModelWriter.write(basePath: AdapterFixtures.modelPath, type: .bf16, to: half, adapter: adapter(name))
        let shards = try ModelFolder(path: half).openTensors()
        #expect(shards.names.allSatisfy { shards.entry(named: $0)?.type == .bf16 })
        #expect(try ModelFolder(path: half).config["torch_dtype"]?.stringValue == "bfloat16")
    }

    @Test("leaves nothing behind when it is given up", arguments: [true, false])
    func givenUp(_ isFile: Bool) throws {
        let scratch = try ScratchFolder()
        let base = isFile ? try ggufBase(scratch) : AdapterFixtures.modelPath
        let before = try FileManager.default.contentsOfDirectory(atPath: scratch.path)
        var count = 0
        #expect(throws: ModelFileError.self) {
            try MergedModelWriter.write(
                basePath: base, to: scratch.path + (isFile ? "/merged.gguf" : "/merged"),
                isCancelled: {
                    count += 1
                    return count > 9
                }, adapter: adapter("r8-all"))
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path) == before)
    }

    @Test("is part of loading where it is asked for")
    func loading() throws {
        let model = try AdapterFixtures.model()
        let merged = try model.merging(adapterAt: AdapterFixtures.path("dora"))
        let expected = AdapterFixtures.path("dora") + "/expected.json"
        #expect(try AdapterFixtures.difference(merged.config, merged.weights, expected: expected) < 2e-3)
        let same = try model.merging(adapterAt: nil).weights.layers[0].query.weight
        #expect(same.bytes.baseAddress == model.weights.layers[0].query.weight.bytes.baseAddress)
    }

    @Test("says what to do where a base can't become what is asked")
    func faults() throws {
        let scratch = try ScratchFolder()
        let gguf = try ggufBase(scratch)
        func fault(_ base: String, _ output: String, _ type: TensorType?, _ mention: String) throws {
            let error = try #require(throws: AdapterError.self) {
                try MergedModelWriter.write(basePath: base, type: type, to: output, adapter: adapter("r8-all"))
            }
            #expect(error.code == .invalidRequest && error.message.contains(mention), "\(error)")
        }
        try fault(gguf, scratch.path + "/folder", nil, "ends in .gguf")
        try fault(gguf, gguf, nil, "the base itself")
        try fault(gguf, scratch.path + "/x.gguf", .q4_K, "Q4_K")
        try fault(AdapterFixtures.modelPath, scratch.path + "/x.gguf", nil, "Hugging Face folder")
        try fault(AdapterFixtures.modelPath, scratch.path, nil, "exists already")
        try fault(AdapterFixtures.modelPath, scratch.path + "/y", .q8_0, "can't hold Q8_0")
        try fault(AdapterFixtures.path("dora"), scratch.path + "/z.gguf", nil, "no model")
        let overflow = try #require(throws: ModelFileError.self) {
            try MergedModelWriter.write(basePath: gguf, type: .f16, to: scratch.path + "/x.gguf") {
                config, base throws(AdapterError) in
                var weights = AdapterWeights(layerCount: 3)
                weights.layers[0].up = LinearUpdate(
                    weight: StoredTensor(name: "w", shape: [96, 64], values: .init(repeating: 1e6, count: 96 * 64)))
                return weights
            }
        }
        #expect(overflow.description.contains("beyond F16"))
        #expect(!FileManager.default.fileExists(atPath: scratch.path + "/x.gguf"))
    }

    @Test("encodes blocks as ggml's reference does")
    func blocks() {
        func encode(_ type: TensorType, _ values: [Float]) -> [UInt8] {
            var bytes = [UInt8](repeating: 0, count: values.count / 32 * type.blockByteCount)
            #expect(sa_encode(type.rawValue, values, &bytes, values.count))
            return bytes
        }
        // -16 ... 15 in steps of one.
        let ramp = (0..<32).map { Float($0) - 16 }
        // Q8_0: d = 16 / 127, half 0x3008; quants round half away from zero.
        #expect(encode(.q8_0, ramp).prefix(4) == [0x08, 0x30, 0x81, 0x89])
        // Q4_0: d = -16 / -8 = 2; -16 -> 0, 0 -> 8.
        #expect(encode(.q4_0, ramp).prefix(4) == [0x00, 0x40, 0x80, 0x91])
        // Q4_1: d = 31 / 15, half 0x4022, m = -16, half 0xcc00.
        #expect(encode(.q4_1, ramp).prefix(5) == [0x22, 0x40, 0x00, 0xCC, 0x80])
        // The scale of zeros is -0, as 0 / -8 is.
        #expect(encode(.q4_0, [Float](repeating: 0, count: 32)) == [0, 0x80] + [UInt8](repeating: 0x88, count: 16))
        #expect(encode(.q8_0, [Float](repeating: 0, count: 32)).allSatisfy { $0 == 0 })
    }
}
