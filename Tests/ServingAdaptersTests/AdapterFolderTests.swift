import Foundation
import ServingJSON
import ServingModels
import ServingTensors
import Testing

@testable import ServingAdapters

@Suite("Adapters' folders")
struct AdapterFolderTests {
    private func fault(
        _ code: AdapterError.Code, _ mentions: [String], _ path: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let model = try AdapterFixtures.model()
        let error = try #require(throws: AdapterError.self, sourceLocation: sourceLocation) {
            _ = try AdapterFolder(path: path).weights(for: model.config, base: model.weights)
        }
        #expect(error.code == code, "\(error)", sourceLocation: sourceLocation)
        for mention in mentions {
            #expect(error.message.contains(mention), "\(error.message)", sourceLocation: sourceLocation)
        }
        #expect(!error.message.contains(path), "tells where files lie", sourceLocation: sourceLocation)
    }

    private static let query = "base_model.model.model.layers.1.self_attn.q_proj"

    @Test("that are missing, incomplete or pickles are told apart")
    func missing() throws {
        let scratch = try ScratchFolder()
        try fault(.notFound, ["no adapter"], scratch.path + "/absent")
        try fault(.invalidAdapter, ["adapter_config.json", "is not there"], scratch.path)
        let path = try scratch.adapter(like: "r8-all")
        try FileManager.default.removeItem(atPath: path + "/adapter_model.safetensors")
        try fault(.invalidAdapter, ["adapter_model.safetensors", "is not there"], path)
        try "x".write(toFile: path + "/adapter_model.bin", atomically: true, encoding: .utf8)
        try fault(.invalidAdapter, ["pickle", "safe_serialization"], path)
    }

    @Test("with truncated or malformed files are refused", arguments: [0, 5, 100, 3000, 90_000])
    func truncated(_ count: Int) throws {
        let scratch = try ScratchFolder()
        let path = try scratch.adapter(like: "r8-all")
        let data = try Data(contentsOf: URL(filePath: path + "/adapter_model.safetensors"))
        try data.prefix(count).write(to: URL(filePath: path + "/adapter_model.safetensors"))
        try fault(.invalidAdapter, ["adapter_model.safetensors"], path)
        try "{\"r\": [[[".write(toFile: path + "/adapter_config.json", atomically: true, encoding: .utf8)
        try fault(.invalidAdapter, ["adapter_config.json", "at byte"], path)
    }

    @Test("with values that are no numbers are refused", arguments: [Float.nan, .infinity, -.infinity])
    func notFinite(_ value: Float) throws {
        let path = try ScratchFolder()
        try fault(
            .invalidAdapter, ["layers.1.self_attn.q_proj.lora_B.weight", "element 77"],
            path.adapter(like: "r8-all") { _ in
            } tensors: {
                $0[Self.query + ".lora_B.weight"]?.values[77] = value
            })
    }

    @Test("whose tensors contradict the config or the model are refused")
    func contradictions() throws {
        let scratch = try ScratchFolder()
        try fault(.invalidAdapter, ["rank 8", "says 4"], scratch.adapter(like: "r8-all", config: { $0["r"] = 4 }))
        try fault(
            .invalidAdapter, ["no partner", "lora_A"],
            scratch.adapter(like: "r8-all", tensors: { $0[Self.query + ".lora_B.weight"] = nil }))
        try fault(
            .incompatible, ["[32, 8]", "[64, 8]", "another model", "\"llama\""],
            scratch.adapter(
                like: "r8-all",
                tensors: { $0[Self.query + ".lora_B.weight"] = ([32, 8], [Float](repeating: 1, count: 256)) }))
        try fault(
            .incompatible, ["layer 9", "layers 0 to 2"],
            scratch.adapter(
                like: "r8-all",
                tensors: {
                    $0["base_model.model.model.layers.9.mlp.up_proj.lora_A.weight"] = (
                        [8, 64], [Float](repeating: 1, count: 512)
                    )
                }))
        try fault(
            .unsupported, ["classifier.weight", "would not be used"],
            scratch.adapter(like: "r8-all", tensors: { $0["base_model.model.classifier.weight"] = ([2], [1, 2]) }))
        try fault(.invalidAdapter, ["changes nothing"], scratch.adapter(like: "r8-all", tensors: { $0 = [:] }))
        try fault(
            .invalidAdapter, ["target_modules", "\"lm_head\""],
            scratch.adapter(
                like: "modules-to-save", config: { $0["target_modules"] = ["q_proj", "lm_head"] }))
        try fault(
            .invalidAdapter, ["target_modules", "does not name"],
            scratch.adapter(like: "r8-all", config: { $0["target_modules"] = ["q_proj"] }))
        try fault(
            .incompatible, ["2 layers", "3"],
            scratch.adapter(
                like: "r8-all", tensors: { $0 = $0.filter { !$0.key.contains("layers.2.self_attn.v_proj") } }))
        try fault(
            .invalidAdapter, ["layers_to_transform", "layer 2"],
            scratch.adapter(like: "layers-to-transform", config: { $0["layers_to_transform"] = [1, 2] }))
        try fault(
            .invalidAdapter, ["use_dora"], scratch.adapter(like: "dora", config: { $0["use_dora"] = false }))
        try fault(
            .invalidAdapter, ["use_dora", "lora_magnitude_vector"],
            scratch.adapter(like: "r8-all", config: { $0["use_dora"] = true }))
        try fault(
            .invalidAdapter, ["modules_to_save", "score"],
            scratch.adapter(like: "r8-all", config: { $0["modules_to_save"] = ["score"] }))
    }

    @Test("show a change of their files without being read, and of their content whatever the name")
    func changes() throws {
        let (first, second) = (try ScratchFolder(), try ScratchFolder())
        let original = try AdapterFolder(path: first.adapter(like: "r8-all"))
        let copy = try AdapterFolder(path: second.adapter(like: "r8-all"))
        #expect(original.contentHash == copy.contentHash)
        #expect(original.fingerprint != copy.fingerprint)
        #expect(try AdapterFingerprint(folder: first.path) == original.fingerprint)
        let changed = try AdapterFolder(
            path: first.adapter(like: "r8-all", tensors: { $0[Self.query + ".lora_B.weight"]?.values[0] += 0.25 }))
        #expect(changed.fingerprint != original.fingerprint)
        #expect(changed.contentHash != original.contentHash)
        #expect(original.contentHash.description.count == 32)
    }

    @Test("hash differently for each changed byte and length")
    func hashes() {
        var seen = Set<AdapterContentHash>()
        var bytes = [UInt8](repeating: 0, count: 200)
        for count in 0...200 {
            _ = bytes.withUnsafeBytes {
                seen.insert(AdapterContentHash([UnsafeRawBufferPointer(rebasing: $0[..<count])]))
            }
        }
        for index in bytes.indices {
            bytes[index] = 1
            _ = bytes.withUnsafeBytes { seen.insert(AdapterContentHash([$0])) }
            bytes[index] = 0
        }
        #expect(seen.count == 401)
    }

    @Test("are summed up")
    func summary() throws {
        let summary = try AdapterFolder(path: AdapterFixtures.path("rank-pattern")).summary
        #expect(summary.rank == 8 && summary.maxRank == 12 && summary.alpha == 16 && summary.kind == "LoRA")
        #expect(summary.modules.contains("q_proj") && summary.modules.count == 7)
        #expect(
            summary.tensorCount == 42 && summary.types == ["F32"] && summary.byteCount == summary.parameterCount * 4)
        #expect(try AdapterFolder(path: AdapterFixtures.path("dora")).summary.kind == "DoRA")
    }
}
