import Foundation
import ServingJSON
import ServingModelFiles
import ServingModels
import ServingTensors
import Testing

/// What references compute: the tiny models, and PEFT folders for one of them.
enum CUDAFixtures {
    private static let repository = URL(filePath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()
    static let repositoryPath = repository.path
    private static let committed = repository.appending(path: "Tests/Fixtures").path
    /// More of both beside the repository, where they are.
    private static let shared = repository.deletingLastPathComponent().appending(path: "shared/fixtures").path

    static let models: [String] = {
        let more = list(shared + "/tiny-models")
        return more.isEmpty ? ["llama-bf16-tied", "qwen2", "gemma2"].map { committed + "/models/" + $0 } : more
    }()
    static let adaptedModel = committed + "/models/llama"
    /// Those for ``adaptedModel``.
    static let adapters = list(committed + "/adapters").filter {
        !$0.hasSuffix("phi3-fused") && !$0.hasSuffix("bias-all-lora")
    }

    static func model(_ path: String) throws -> ModelDescription {
        try ModelDescription(folder: ModelFolder(path: path))
    }

    struct Expectation {
        let ids: [TokenID]
        let positions: [Int]
        let logits: [[Float]]

        init(_ folder: String) throws {
            let json = try JSONValue(readingFile: folder + "/expected.json")
            ids = try #require(json["input_ids"]?.arrayValue).compactMap { $0.intValue.map { TokenID($0) } }
            positions = json["positions"]?.arrayValue?.compactMap(\.intValue) ?? Array(ids.indices)
            logits = try #require(json["logits"]?.arrayValue).map { row in
                row.arrayValue?.compactMap { $0.doubleValue.map { Float($0) } } ?? []
            }
        }
    }

    private static func list(_ folder: String) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.sorted().map { folder + "/" + $0 }.filter {
            FileManager.default.fileExists(atPath: $0 + "/expected.json")
        }
    }
}
