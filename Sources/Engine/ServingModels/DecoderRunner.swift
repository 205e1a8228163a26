public import ServingTensors

/// A decoder with its paged KV cache: the ``ModelRunner`` that the engine drives.
public final class DecoderRunner<Device: Backend>: ModelRunner {
    /// Sizes of cache and steps.
    public struct Options: Sendable {
        /// Bytes for keys and values. At least one sequence of the full context must fit.
        public var keyValueBytes: Int
        /// How keys and values are stored.
        public var keyValueElement: KVCacheLayout.Element
        /// P: positions a KV block.
        public var positionsPerBlock: Int
        /// Most tokens a step.
        public var maxBatchedTokens: Int

        /// Options; blocks of 16 positions suit vector units of 8 and 16 lanes.
        public init(
            keyValueBytes: Int, keyValueElement: KVCacheLayout.Element = .f16, positionsPerBlock: Int = 16,
            maxBatchedTokens: Int = 512
        ) {
            self.keyValueBytes = keyValueBytes
            self.keyValueElement = keyValueElement
            self.positionsPerBlock = positionsPerBlock
            self.maxBatchedTokens = maxBatchedTokens
        }
    }

    /// Sizes that the scheduler plans with.
    public let limits: ModelLimits
    private let model: DecoderModel<Device>
    /// The device it runs on.
    public let backend: Device
    private let cache: Device.KVCache
    private let workspace: DecoderModel<Device>.Workspace
    private var logits: Device.Activation
    private var logitRowCapacity: Int
    /// Last hidden states, made when first asked for.
    private var hiddenStates: Device.Activation?
    /// See ``ModelRunner/hiddenRows``.
    public private(set) var hiddenRows = UnsafeBufferPointer<Float>(start: nil, count: 0)
    /// See ``ModelRunner/drawnTokens``.
    public private(set) var drawnTokens: [TokenDraw.Outcome] = []

    /// Allocates the cache and the workspace of a loaded model.
    public init(model: DecoderModel<Device>, backend: Device, options: Options) throws {
        let config = model.config
        var layout = KVCacheLayout(
            layerCount: config.layerCount, blockCount: 0, positionsPerBlock: options.positionsPerBlock,
            headCount: config.keyValueHeadCount, headDimension: config.headDimension,
            element: options.keyValueElement)
        layout.blockCount = options.keyValueBytes / layout.bytesPerBlock
        let needed = (config.contextLength + options.positionsPerBlock - 1) / options.positionsPerBlock
        guard layout.blockCount >= needed else {
            let neededBytes = needed * layout.bytesPerBlock
            throw ModelError(
                .outOfMemory,
                "a context of \(config.contextLength) tokens needs \((neededBytes + (1 << 20) - 1) >> 20) MiB for keys "
                    + "and values, \(options.keyValueBytes >> 20) MiB are allowed (lower the context or allow more)")
        }
        self.model = model
        self.backend = backend
        limits = ModelLimits(
            vocabularyCount: config.vocabularyCount, contextLength: config.contextLength,
            blockCount: layout.blockCount, positionsPerBlock: options.positionsPerBlock,
            maxBatchedTokens: options.maxBatchedTokens)
        cache = try backend.makeKVCache(layout)
        workspace = try model.makeWorkspace(tokenCount: options.maxBatchedTokens)
        logitRowCapacity = 1
        logits = try backend.makeActivation(rowCapacity: 1, width: config.vocabularyCount)
    }

    /// Bytes of one KV block.
    public static func bytesPerBlock(_ config: DecoderConfig, _ options: Options) -> Int {
        KVCacheLayout(
            layerCount: config.layerCount, blockCount: 1, positionsPerBlock: options.positionsPerBlock,
            headCount: config.keyValueHeadCount, headDimension: config.headDimension,
            element: options.keyValueElement
        ).bytesPerBlock
    }

    /// See ``ModelRunner/drawsTokens``.
    public var drawsTokens: Bool { backend.drawsTokens && limits.vocabularyCount <= TokenDraw.vocabularyLimit }

    /// A device that chooses tokens also goes on with them.
    public var runsAhead: Bool { drawsTokens }

    /// Puts a step on the device; see ``ModelRunner/launch(_:)``.
    public func launch(_ batch: ForwardBatch) throws {
        precondition(
            batch.draws.count == batch.logitTokenIndices.count && batch.hiddenTokenIndices.isEmpty,
            "a launched step's rows are all drawn from")
        try reserveLogits(batch)
        try model.forward(batch, cache: cache, workspace: workspace, logits: logits)
        try backend.launchDraws(batch.draws, from: logits)
    }

    /// Waits for a launched step; see ``ModelRunner/collect()``.
    public func collect() throws -> [TokenDraw.Outcome] { try backend.collectDraws() }

    /// Waits for all launched steps.
    public func discard() { backend.discardDraws() }

    private func reserveLogits(_ batch: ForwardBatch) throws {
        precondition(batch.tokenIDs.count <= limits.maxBatchedTokens, "the step exceeds its token budget")
        let rowCount = batch.logitTokenIndices.count
        guard rowCount > logitRowCapacity else { return }
        let capacity = min(max(rowCount, 2 * logitRowCapacity), limits.maxBatchedTokens)
        logits = try backend.makeActivation(rowCapacity: capacity, width: limits.vocabularyCount)
        logitRowCapacity = capacity
    }

    /// Computes one step; see ``ModelRunner/forward(_:)``.
    public func forward(_ batch: ForwardBatch) throws -> LogitRows {
        let rowCount = batch.logitTokenIndices.count
        try reserveLogits(batch)
        if !batch.hiddenTokenIndices.isEmpty, hiddenStates == nil {
            hiddenStates = try backend.makeActivation(
                rowCapacity: limits.maxBatchedTokens, width: model.config.hiddenSize)
        }
        try model.forward(
            batch, cache: cache, workspace: workspace, logits: logits, hiddenStates: hiddenStates)
        hiddenRows = UnsafeBufferPointer(start: nil, count: 0)
        if let hiddenStates, !batch.hiddenTokenIndices.isEmpty {
            hiddenRows = try backend.withRows(of: hiddenStates) { UnsafeBufferPointer($0) }
        }
        guard rowCount > 0 else {
            drawnTokens = []
            // Nothing to read, but the step must be over before its buffers are used again.
            try backend.finish()
            return LogitRows(
                scores: UnsafeMutableBufferPointer(start: nil, count: 0), vocabularyCount: limits.vocabularyCount)
        }
        drawnTokens = batch.draws.isEmpty ? [] : try backend.draw(batch.draws, from: logits)
        let drawn = Set(batch.draws.map(\.row))
        let wanted = drawn.isEmpty ? nil : (0..<rowCount).filter { !drawn.contains($0) }
        if let wanted, wanted.isEmpty {
            return LogitRows(
                scores: UnsafeMutableBufferPointer(start: nil, count: 0), vocabularyCount: limits.vocabularyCount,
                rowCount: rowCount)
        }
        return try backend.withRows(of: logits, wanted: wanted) {
            LogitRows(
                scores: UnsafeMutableBufferPointer(rebasing: $0[..<(rowCount * limits.vocabularyCount)]),
                vocabularyCount: limits.vocabularyCount)
        }
    }
}
