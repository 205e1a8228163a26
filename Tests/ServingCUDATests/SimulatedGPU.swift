import Foundation
import ServingAdapters
import ServingModelFiles
import ServingModels
import ServingTensors
import Testing

@testable import ServingCUDA

/// The simulated driver, under the names that the real libraries have.
enum SimulatedGPU {
    /// Where the tests' products lie.
    private static let products = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        .resolvingSymlinksInPath()

    static let names = [
        "libcuda.so.1", "libcublas.so.13", "libcublasLt.so.13", "libnvrtc.so.13", "libnvidia-ml.so.1",
    ]

    /// A new folder with some of the libraries.
    static func folder(_ names: [String] = names) throws -> String {
        let path = NSTemporaryDirectory() + "pbctl-cuda-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        for name in names {
            try FileManager.default.createSymbolicLink(atPath: path + "/" + name, withDestinationPath: library)
        }
        return path
    }

    /// The library, next to the tests' own.
    static let library: String = {
        let name = "libCUDASimulator.so"
        let places =
            [products.path]
            + Bundle.allBundles.map(\.bundlePath).map { path in
                URL(fileURLWithPath: path).deletingLastPathComponent().path
            }
        return places.map { $0 + "/" + name }.first { FileManager.default.fileExists(atPath: $0) } ?? name
    }()

    /// Where NVIDIA's own kernel compiler lies, if somewhere.
    static let compilerFolder = ProcessInfo.processInfo.environment["PBCTL_NVRTC_PATH"]

    static func libraries(in folder: String) throws -> CUDALibraries {
        try CUDALibraries(search: LibrarySearch(folders: [folder]))
    }

    /// Runs a test with the simulator set up differently, and repairs the device after it.
    static func with<Result>(_ name: String, _ value: String, _ body: () throws -> Result) throws -> Result {
        try set(name, value)
        defer { try? set(name, nil) }
        return try body()
    }

    static func with<Result>(
        _ name: String, _ value: String, _ body: () async throws -> Result
    ) async throws -> Result {
        try set(name, value)
        defer { try? set(name, nil) }
        return try await body()
    }

    /// Sets one of the simulator's variables; without a value it is as before, and the device works again.
    private static func set(_ name: String, _ value: String?) throws {
        _ = try device()
        let handle = try #require(dlopen(library, RTLD_NOW))
        typealias Setter = @convention(c) (UnsafePointer<CChar>, UnsafePointer<CChar>?) -> Void
        typealias Repair = @convention(c) () -> Void
        unsafeBitCast(try #require(dlsym(handle, "cuda_simulator_set")), to: Setter.self)(name, value)
        guard value == nil else { return }
        unsafeBitCast(try #require(dlsym(handle, "cuda_simulator_repair")), to: Repair.self)()
    }

    /// One for all tests, with compiled kernels kept while they run.
    static func device() throws -> CUDADevice { try shared.get() }
    static let cache = NSTemporaryDirectory() + "pbctl-kernels-\(getpid())"

    private static let shared = Result { try CUDADevice(libraries(in: folder()), ordinal: 0) }

    static func backend(
        _ element: WeightElement, _ change: (inout CUDABackend.Options) -> Void = { _ in }
    ) throws -> CUDABackend {
        var options = CUDABackend.Options()
        options.element = element
        options.cacheFolder = cache
        change(&options)
        return try CUDABackend(device(), options)
    }
}

/// A model on some device, stepped by hand.
final class SteppedModel<Device: Backend> {
    let runner: DecoderRunner<Device>
    let description: ModelDescription

    init(_ description: ModelDescription, on backend: Device, isExact: Bool) throws {
        self.description = description
        let model = try DecoderModel(config: description.config, weights: description.weights, backend: backend)
        var options = DecoderRunner<Device>.Options(
            keyValueBytes: 0, keyValueElement: isExact ? .f32 : .f16, maxBatchedTokens: 128)
        options.keyValueBytes = 80 * DecoderRunner<Device>.bytesPerBlock(description.config, options)
        runner = try DecoderRunner(model: model, backend: backend, options: options)
    }

    /// Logits of some positions of a sequence, computed in chunks, in blocks that do not follow one another.
    func logits(
        of ids: [TokenID], at positions: [Int]? = nil, chunks: [Int]? = nil, adapter: (any ResidentAdapter)? = nil
    ) throws -> [[Float]] {
        let wanted = positions ?? Array(ids.indices)
        let blockSize = runner.limits.positionsPerBlock
        let table = (0..<(ids.count + blockSize - 1) / blockSize).map { BlockID(($0 * 37 + 11) % 79) }
        var rows: [[Float]] = []
        var done = 0
        for count in chunks ?? [ids.count] {
            let inChunk = wanted.filter { $0 >= done && $0 < done + count }.map { $0 - done }
            let batch = ForwardBatch(
                tokenIDs: Array(ids[done..<done + count]),
                sequences: [
                    .init(tokenRange: 0..<count, firstPosition: done, blockTable: table, adapter: adapter)
                ],
                logitTokenIndices: inChunk)
            let found = try runner.forward(batch)
            rows += inChunk.indices.map { Array(found[$0]) }
            done += count
        }
        return rows
    }
}

/// The largest difference of log-probabilities; infinite where shapes differ or a number is not finite.
func largestDifference(_ found: [[Float]], _ expected: [[Float]]) -> Double {
    guard found.count == expected.count else { return .infinity }
    var largest = 0.0
    for (found, expected) in zip(found, expected) {
        guard found.count == expected.count, found.allSatisfy(\.isFinite) else { return .infinity }
        for (a, b) in zip(logProbabilities(found), logProbabilities(expected)) { largest = max(largest, abs(a - b)) }
    }
    return largest
}

private func logProbabilities(_ scores: [Float]) -> [Double] {
    let highest = scores.reduce(-Double.infinity) { max($0, Double($1)) }
    let total = scores.reduce(0) { $0 + exp(Double($1) - highest) }
    return scores.map { Double($0) - highest - log(total) }
}
