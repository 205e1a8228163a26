public import ServingCUDA
import ServingModels
import ServingTensors

/// How fast a GPU decodes and reads prompts, with models of random weights, which need no files.
///
/// Steps are those that the engine makes, tokens chosen on the device and given back to it.
public final class GPUBenchmark {
    /// What one cell of the table is.
    public struct Cell: Sendable {
        /// Sequences at a time.
        public var batch: Int
        /// Positions that each has behind it.
        public var context: Int
        /// Distinct adapters that sequences have in turn; 0 for none.
        public var adapterCount: Int
        /// R.
        public var rank: Int

        /// A cell.
        public init(batch: Int, context: Int, adapterCount: Int = 0, rank: Int = 16) {
            self.batch = batch
            self.context = context
            self.adapterCount = adapterCount
            self.rank = rank
        }
    }

    /// A median over repetitions.
    public struct Measurement: Sendable {
        /// Milliseconds a step.
        public let milliseconds: Double
        /// Tokens of all sequences a second.
        public let tokensPerSecond: Double
    }

    /// What is measured.
    public let model: RandomModel
    private let backend: CUDABackend
    private let runner: DecoderRunner<CUDABackend>
    private var adapters: [Int: [any ResidentAdapter]] = [:]
    private var random = RandomNumbers(seed: 9)
    private static let blockSize = 16

    /// Makes weights and loads them onto a device.
    ///
    /// - Parameters:
    ///   - keyValueBytes: Memory for keys and values.
    ///   - promptTokens: Most tokens of a step.
    public init(
        _ device: CUDADevice, _ options: CUDABackend.Options, _ shape: RandomModel.Shape, contextLength: Int,
        keyValueBytes: Int?, promptTokens: Int
    ) throws {
        model = RandomModel(shape, contextLength: contextLength)
        backend = try CUDABackend(device, options)
        let decoder = try DecoderModel(
            config: model.description.config, weights: model.description.weights, backend: backend)
        // Some of what is left is for activations and adapters.
        let bytes = try keyValueBytes ?? device.freeBytes() / 10 * 7
        runner = try DecoderRunner(
            model: decoder, backend: backend,
            options: .init(
                keyValueBytes: bytes, keyValueElement: options.element == .f32 ? .f32 : .f16,
                maxBatchedTokens: promptTokens))
    }

    /// Decodes `stepCount` tokens a sequence, some times over.
    public func decode(_ cell: Cell, stepCount: Int, repeats: Int) throws -> Measurement {
        let limits = runner.limits
        let blocksEach = (cell.context + stepCount + 8 + Self.blockSize - 1) / Self.blockSize
        guard blocksEach * cell.batch <= limits.blockCount, cell.batch <= limits.maxBatchedTokens else {
            throw CUDAError(
                .outOfMemory,
                "\(cell.batch) sequences of \(cell.context) positions need \(blocksEach * cell.batch) KV blocks and there "
                    + "are \(limits.blockCount)")
        }
        let uploaded = try adapters(cell)
        let tables = (0..<cell.batch).map { index in (0..<blocksEach).map { BlockID(index * blocksEach + $0) } }
        let draws = (0..<cell.batch).map {
            TokenDraw(row: $0, adjustments: [], temperature: 0, topK: 0, topP: 1, minP: 0, typicalP: 1, fraction: 0)
        }
        func batch(_ position: Int, isFirst: Bool) -> ForwardBatch {
            var batch = ForwardBatch(
                tokenIDs: (0..<cell.batch).map { _ in
                    isFirst ? TokenID(random.index(below: limits.vocabularyCount)) : 0
                }, sequences: [], logitTokenIndices: Array(0..<cell.batch))
            batch.sequences = (0..<cell.batch).map { index in
                .init(
                    tokenRange: index..<index + 1, firstPosition: position, blockTable: tables[index],
                    adapter: uploaded.isEmpty ? nil : uploaded[index % uploaded.count])
            }
            batch.draws = draws
            if !isFirst { batch.tokenSources = Array(0..<cell.batch) }
            return batch
        }
        /// Steps as the engine makes them, one ahead.
        func decode(_ count: Int) throws {
            try runner.launch(batch(cell.context, isFirst: true))
            for offset in 1..<count {
                try runner.launch(batch(cell.context + offset, isFirst: false))
                _ = try runner.collect()
            }
            _ = try runner.collect()
        }
        // Kernels are loaded, algorithms chosen, steps recorded.
        try decode(4)
        let clock = ContinuousClock()
        let times = try (0..<repeats).map { _ in try clock.measure { try decode(stepCount) } }
        return Self.median(times, perStep: stepCount, tokens: cell.batch)
    }

    /// Reads a prompt of so many tokens in one step, some times over.
    public func prefill(tokenCount: Int, repeats: Int) throws -> Measurement {
        var batch = ForwardBatch(
            tokenIDs: (0..<tokenCount).map { _ in TokenID(random.index(below: runner.limits.vocabularyCount)) },
            sequences: [], logitTokenIndices: [tokenCount - 1])
        batch.sequences = [
            .init(
                tokenRange: 0..<tokenCount, firstPosition: 0,
                blockTable: (0..<(tokenCount + Self.blockSize - 1) / Self.blockSize).map { BlockID($0) })
        ]
        for _ in 0..<2 { _ = try runner.forward(batch) }
        let clock = ContinuousClock()
        let times = try (0..<repeats).map { _ in try clock.measure { _ = try runner.forward(batch) } }
        return Self.median(times, perStep: 1, tokens: tokenCount)
    }

    private func adapters(_ cell: Cell) throws -> [any ResidentAdapter] {
        guard cell.adapterCount > 0 else { return [] }
        var known = adapters[cell.rank] ?? []
        let parts = model.adapter(rank: cell.rank)
        let uploader = backend.makeUploader()
        while known.count < cell.adapterCount { known.append(try uploader.upload(parts)) }
        adapters = [cell.rank: known]
        return Array(known.prefix(cell.adapterCount))
    }

    private static func median(_ times: [Duration], perStep count: Int, tokens: Int) -> Measurement {
        let sorted = times.sorted()
        let middle = sorted[sorted.count / 2].components
        let seconds = (Double(middle.seconds) + Double(middle.attoseconds) * 1e-18) / Double(count)
        return Measurement(milliseconds: seconds * 1000, tokensPerSecond: Double(tokens) / seconds)
    }
}
