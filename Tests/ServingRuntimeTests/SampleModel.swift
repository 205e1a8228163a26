import Foundation
import ServingJSON
import ServingModelFiles
import ServingRuntime
import ServingTensors

/// The sample model (`scripts/fetch-sample-model`) and what it should answer.
enum SampleModel {
    /// Where it is: `PBCTL_SAMPLE_MODEL`, or where the script puts it; nil where it was not fetched.
    static let path: String? = {
        let environment = ProcessInfo.processInfo.environment
        let cache = environment["XDG_CACHE_HOME"] ?? (environment["HOME"] ?? "") + "/.cache"
        let places = [
            environment["PBCTL_SAMPLE_MODEL"], cache + "/pbctl/sample-model/SmolLM2-135M-Instruct.Q4_1.gguf",
        ]
        return places.compactMap { $0 }.first { FileManager.default.fileExists(atPath: $0) }
    }()

    static let fixtures: String = {
        let file = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        return file.deletingLastPathComponent().deletingLastPathComponent().path + "/Fixtures/models/smollm2"
    }()

    /// One recorded greedy answer.
    struct GreedyAnswer {
        let promptIDs: [TokenID]
        let outputIDs: [TokenID]
        /// Steps before the first whose two best tokens are too close to call (margin below 0.3).
        let certainCount: Int
    }

    static func greedyAnswers() throws -> [GreedyAnswer] {
        let text = try String(contentsOfFile: fixtures + "/greedy.jsonl", encoding: .utf8)
        return try text.split(separator: "\n").map { line in
            let json = try JSONValue(parsing: line)
            let margins = json["margin"]?.arrayValue?.compactMap(\.doubleValue) ?? []
            return GreedyAnswer(
                promptIDs: ids(json["prompt_ids"]), outputIDs: ids(json["output_ids"]),
                certainCount: margins.firstIndex { $0 < 0.3 } ?? margins.count)
        }
    }

    static func ids(_ json: JSONValue?) -> [TokenID] {
        (json?.arrayValue ?? []).compactMap { $0.intValue.flatMap { TokenID(exactly: $0) } }
    }

    static func load(_ change: (inout LocalModel.Options) -> Void = { _ in }) throws -> LocalModel {
        guard let path else { throw CocoaError(.fileNoSuchFile) }
        var options = LocalModel.Options(contextLength: 1024, sequenceCount: 16)
        change(&options)
        return try LocalModel(path: path, options: options)
    }
}
