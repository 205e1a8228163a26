import Foundation
import ServingJSON
import ServingModels
import ServingTensors
import Testing

@testable import ServingAdapters

/// What the config says of modules against the tensors that are there, with a model and without.
@Suite("Modules that a config names") struct AdapterTargetTests {
    private func error(_ change: (inout JSONObject) -> Void) throws -> AdapterError? {
        let scratch = try ScratchFolder()
        let folder = try AdapterFolder(path: scratch.adapter(like: "r8-all", config: change))
        let model = try AdapterFixtures.model()
        func caught(_ body: () throws(AdapterError) -> Void) -> AdapterError? {
            do throws(AdapterError) { try body() } catch { return error }
            return nil
        }
        let error = caught { () throws(AdapterError) in
            _ = try folder.weights(for: model.config, base: model.weights)
        }
        #expect(caught { () throws(AdapterError) in try folder.checkTensors() } == error)
        return error
    }

    @Test("by one expression must match every module that is changed")
    func patterns() throws {
        #expect(try error { $0["target_modules"] = ".*_proj" } == nil)
        #expect(
            try error { $0["target_modules"] = #"model\.layers\.\d+\.(self_attn|mlp)\.(q|k|v|o|gate|up|down)_proj"# }
                == nil)
        #expect(try error { $0["target_modules"] = "(?!vision).*_proj" } == nil)
        let found = try error { $0["target_modules"] = ".*v_proj" }
        #expect(found?.code == .invalidAdapter && found?.message.contains("does not match") == true)
        #expect(try error { $0["target_modules"] = "_proj" }?.code == .invalidAdapter)
    }

    @Test("to leave out must not be changed")
    func exclusions() throws {
        #expect(try error { $0["exclude_modules"] = ["lm_head"] } == nil)
        for value in [["q_proj"], ".*q_proj"] as [JSONValue] {
            let found = try error { $0["exclude_modules"] = value }
            #expect(found?.message.contains("exclude_modules") == true)
        }
    }

    @Test("must stand in the layers that it calls by name")
    func layersPatterns() throws {
        let layers: JSONValue = [0, 1, 2]
        #expect(
            try error {
                $0["layers_to_transform"] = layers
                $0["layers_pattern"] = "layers"
            } == nil)
        let found = try error {
            $0["layers_to_transform"] = layers
            $0["layers_pattern"] = ["h", "blocks"]
        }
        #expect(found?.message.contains("layers_pattern") == true)
    }

    @Test("Values that are not finite and factors without partner are found without a model")
    func tensors() throws {
        func message(_ change: (inout [String: (shape: [Int], values: [Float])]) -> Void) throws -> String {
            let scratch = try ScratchFolder()
            let folder = try AdapterFolder(path: scratch.adapter(like: "r8-all", tensors: change))
            return try #require(throws: AdapterError.self) { try folder.checkTensors() }.message
        }
        let name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
        #expect(try message { $0[name]?.values[3] = .nan }.contains("element 3 is infinite or no number"))
        #expect(try message { $0[name] = nil }.contains("has no partner"))
        #expect(try message { $0[name] = ([4, 64], [Float](repeating: 0, count: 256)) }.contains("shapes"))
        #expect(
            try message { $0["base_model.model.h.0.attn.c_attn.lora_A.weight"] = ([1], [0]) }.contains("no model here"))
    }

    @Test("Ranks above those that are served are merged all the same")
    func largeRanks() throws {
        let scratch = try ScratchFolder()
        let rank = 300
        let path = try scratch.adapter(like: "r8-all") {
            $0["r"] = .integer(Int64(rank))
        } tensors: { tensors in
            for (name, tensor) in tensors {
                let isFirst = name.contains("lora_A")
                let others = tensor.values.count / 8
                let shape = isFirst ? [rank, others] : [others, rank]
                tensors[name] = (shape, (0..<rank * others).map { Float($0 % 7 - 3) * 1e-3 })
            }
        }
        let model = try AdapterFixtures.model()
        let weights = try AdapterFolder(path: path).weights(for: model.config, base: model.weights)
        let error = #expect(throws: AdapterError.self) { try weights.checkServable() }
        #expect(error?.code == .unsupported && error?.message.contains("merge") == true)
        let merged = try WeightMerger.merged(model.weights, with: weights, config: model.config)
        let (before, after) = (model.weights.layers[0].up.weight, merged.layers[0].up.weight)
        #expect(!before.bytes.elementsEqual(after.bytes))
        let both = AdapterMerge(ids: ["a", "b"], weights: [1, 1], strategy: .cat)
        #expect(try AdapterCombination.combine([weights, weights], both).maxRank == 600)
        #expect(throws: AdapterError.self) { try AdapterCombination.combine([weights, weights], both, rankLimit: 256) }
    }

    @Test("A file that was rewritten is noticed although its length and time are as before")
    func rewritten() throws {
        let scratch = try ScratchFolder()
        let path = try scratch.adapter(like: "r8-all")
        let before = try AdapterFingerprint(folder: path)
        let file = path + "/adapter_model.safetensors"
        let time = try #require(FileManager.default.attributesOfItem(atPath: file)[.modificationDate] as? Date)
        let handle = try #require(FileHandle(forUpdatingAtPath: file))
        handle.seek(toFileOffset: UInt64(before.tensorByteCount - 1))
        handle.write(Data([1]))
        try handle.close()
        try FileManager.default.setAttributes([.modificationDate: time], ofItemAtPath: file)
        #expect(try AdapterFingerprint(folder: path) != before)
    }
}
