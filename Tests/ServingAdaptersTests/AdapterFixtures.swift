import Foundation
import ServingAdapters
import ServingCPU
import ServingJSON
import ServingModelFiles
import ServingModels
import ServingTensors
import Testing

/// The tiny llama model, PEFT folders for it, and what PEFT answers.
enum AdapterFixtures {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fixtures").path

    static var modelPath: String { root + "/models/llama" }
    static func path(_ name: String) -> String { root + "/adapters/" + name }

    static func model(_ path: String = modelPath) throws -> ModelDescription {
        try ModelDescription(folder: ModelFolder(path: path))
    }

    static func weights(_ name: String) throws -> AdapterWeights {
        let model = try model()
        return try AdapterFolder(path: path(name)).weights(for: model.config, base: model.weights)
    }

    /// The model's logits with merged weights against a file of expected ones: the largest difference of
    /// log-probabilities.
    static func difference(
        _ config: DecoderConfig, _ weights: DecoderWeights, expected path: String
    ) throws -> Double {
        let json = try JSONValue(readingFile: path)
        let ids = try #require(json["input_ids"]?.arrayValue).compactMap { $0.intValue.map { TokenID($0) } }
        let positions = json["positions"]?.arrayValue?.compactMap(\.intValue) ?? Array(ids.indices)
        let expected = try #require(json["logits"]?.arrayValue).map { row in
            row.arrayValue?.compactMap(\.doubleValue) ?? []
        }
        let backend = try CPUBackend(threadCount: 1, float32: true)
        let model = try DecoderModel(config: config, weights: weights, backend: backend)
        var options = DecoderRunner<CPUBackend>.Options(
            keyValueBytes: 0, keyValueElement: .f32, maxBatchedTokens: ids.count)
        options.keyValueBytes = 80 * DecoderRunner<CPUBackend>.bytesPerBlock(config, options)
        let runner = try DecoderRunner(model: model, backend: backend, options: options)
        let batch = ForwardBatch(
            tokenIDs: ids,
            sequences: [.init(tokenRange: 0..<ids.count, firstPosition: 0, blockTable: Array(0..<8))],
            logitTokenIndices: positions)
        let rows = try runner.forward(batch)
        var largest = 0.0
        for (index, expected) in expected.enumerated() {
            let found = logProbabilities(Array(rows[index]).map(Double.init))
            for (a, b) in zip(found, logProbabilities(expected)) { largest = max(largest, abs(a - b)) }
        }
        return largest
    }

    private static func logProbabilities(_ scores: [Double]) -> [Double] {
        let highest = scores.max() ?? 0
        let total = scores.reduce(0) { $0 + exp($1 - highest) }
        return scores.map { $0 - highest - log(total) }
    }
}

/// A folder of its own for a test, removed with it.
final class ScratchFolder {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "adapters-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// An adapter's folder from a fixture's, with changes to the config and to the tensors.
    func adapter(
        like name: String, config change: (inout JSONObject) -> Void = { _ in },
        tensors: (inout [String: (shape: [Int], values: [Float])]) -> Void = { _ in }
    ) throws -> String {
        let source = try AdapterFolder(path: AdapterFixtures.path(name))
        var object = source.configObject
        change(&object)
        try JSONValue.object(object).text().write(
            toFile: path + "/adapter_config.json", atomically: true, encoding: .utf8)
        var all: [String: (shape: [Int], values: [Float])] = [:]
        for entry in source.tensors.entries {
            let tensor = try #require(try source.tensors.tensor(named: entry.name))
            let values = tensor.bytes.withMemoryRebound(to: UInt8.self) { bytes in
                (0..<bytes.count / 4).map { index in
                    UnsafeRawBufferPointer(bytes).loadUnaligned(fromByteOffset: 4 * index, as: Float.self)
                }
            }
            all[entry.name] = (entry.shape, values)
        }
        tensors(&all)
        var writer = SafetensorsWriter()
        for (name, tensor) in all.sorted(by: { $0.key < $1.key }) {
            writer.add(StoredTensor(name: name, shape: tensor.shape, values: tensor.values))
        }
        try writer.write(to: path + "/adapter_model.safetensors")
        return path
    }
}

extension StoredTensor {
    /// All elements of a float32 tensor.
    var floats: [Float] {
        (0..<bytes.count / 4).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
    }
}
