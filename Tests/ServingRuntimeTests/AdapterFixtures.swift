import Foundation
import ServingJSON
import ServingTensors
import Testing

/// Adapters of tiny models with the logits that PEFT computed (Tests/Fixtures/adapters).
struct AdapterFixture: Sendable, CustomTestStringConvertible {
    let name: String
    let file: String
    let folders: [String]
    let modelPath: String

    var testDescription: String { name }

    static let repository: String = {
        let file = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        return file.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
    }()

    static let committedFolder = repository + "/Tests/Fixtures/adapters"
    private static let sharedFolder =
        URL(fileURLWithPath: repository).deletingLastPathComponent().path + "/shared/fixtures"

    /// Every adapter whose model is here: those of the repository, and of a folder of fixtures beside it.
    static let all: [AdapterFixture] = {
        var fixtures: [String: AdapterFixture] = [:]
        for root in [committedFolder, sharedFolder + "/adapters"] {
            for name in (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? [] {
                let folder = root + "/" + name
                guard let base = base(folder + "/expected.json"), let model = modelPath(base) else { continue }
                fixtures[name] = AdapterFixture(
                    name: name, file: folder + "/expected.json", folders: [folder], modelPath: model)
            }
        }
        return fixtures.values.sorted { $0.name < $1.name }
    }()

    /// Merges of two adapters.
    static let merges: [AdapterFixture] = [
        "linear", "linear-negative", "ties", "ties-frequency", "magnitude_prune", "cat", "svd",
    ]
    .compactMap { name in
        modelPath("llama").map { model in
            AdapterFixture(
                name: name, file: committedFolder + "/merges/\(name).json",
                folders: ["r8-all", "r8-all-second"].map { committedFolder + "/" + $0 }, modelPath: model)
        }
    }

    private static func base(_ path: String) -> String? {
        guard let data = try? Data(contentsOf: URL(fileURLWithPath: path)) else { return nil }
        return (try? JSONValue(parsing: Array(data)))?["base"]?.stringValue
    }

    static func modelPath(_ name: String) -> String? {
        [repository + "/Tests/Fixtures/models/" + name, sharedFolder + "/tiny-models/" + name]
            .first { FileManager.default.fileExists(atPath: $0 + "/config.json") }
    }

    func json() throws -> JSONValue {
        try JSONValue(parsing: Array(try Data(contentsOf: URL(fileURLWithPath: file))))
    }
}
