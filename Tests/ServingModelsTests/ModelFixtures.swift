import Foundation
import ServingJSON
import ServingModelFiles
import ServingModels
import ServingTensors
import Testing

/// A tiny model with reference logits.
struct ModelFixture: Sendable, CustomTestStringConvertible {
    let name: String
    let path: String

    var testDescription: String { name }

    /// What transformers computes for it.
    struct Expectation {
        let inputIDs: [TokenID]
        /// Positions of `inputIDs` whose logits are known.
        let positions: [Int]
        /// (positions, V).
        let logits: [[Float]]
        let greedyPromptIDs: [TokenID]
        let greedyIDs: [TokenID]
    }

    func expectation() throws -> Expectation {
        let json = try Fixtures.json(path + "/expected.json")
        func ids(_ name: String) throws -> [TokenID] {
            try #require(json[name]?.arrayValue).compactMap { $0.intValue.flatMap { TokenID(exactly: $0) } }
        }
        let logits = try #require(json["logits"]?.arrayValue).map { row in
            row.arrayValue?.compactMap { $0.doubleValue.map { Float($0) } } ?? []
        }
        let inputIDs = try ids("input_ids")
        return Expectation(
            inputIDs: inputIDs,
            positions: json["positions"]?.arrayValue?.compactMap(\.intValue) ?? Array(inputIDs.indices), logits: logits,
            greedyPromptIDs: try ids("greedy_prompt_ids"), greedyIDs: try ids("greedy"))
    }

    func folder() throws -> ModelFolder { try ModelFolder(path: path) }

    func description() throws -> ModelDescription { try ModelDescription(folder: folder()) }
}

enum Fixtures {
    /// The repository, symbolic links resolved.
    static let repository: String = {
        let file = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        return file.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
    }()

    static let folder = repository + "/Tests/Fixtures/models"

    /// The models that the repository holds.
    static let committed = ["llama-bf16-tied", "qwen2", "gemma2"].map {
        ModelFixture(name: $0, path: folder + "/" + $0)
    }

    static func committed(_ name: String) -> ModelFixture { ModelFixture(name: name, path: folder + "/" + name) }

    /// More models, one a family and rotation, in a folder beside the repository; empty where there is none.
    static let shared: [ModelFixture] = {
        let folder = URL(fileURLWithPath: repository).deletingLastPathComponent().path + "/shared/fixtures/tiny-models"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.sorted().map { ModelFixture(name: $0, path: folder + "/" + $0) }
    }()

    /// Every model there is, each once.
    static let all = shared.isEmpty ? committed : shared

    static func json(_ path: String) throws -> JSONValue {
        try JSONValue(parsing: Array(try Data(contentsOf: URL(fileURLWithPath: path))))
    }
}

/// A folder that is removed with the object.
final class Scratch {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "pbctl-models-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    @discardableResult
    func write(_ name: String, _ text: String) throws -> String {
        let file = path + "/" + name
        try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        return file
    }
}

/// Sebastiano Vigna's generator, for repeatable tests.
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
