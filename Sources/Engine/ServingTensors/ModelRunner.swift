/// What the engine loop needs of a loaded model: the forward pass over a paged KV cache.
///
/// `DecoderRunner` in ServingModels is the real one; tests use models of a few lines. Called from one thread only.
public protocol ModelRunner: AnyObject {
    /// Sizes that the scheduler plans with.
    var limits: ModelLimits { get }

    /// Computes one step and returns the logits of `batch.logitTokenIndices`, one row each, in that order.
    ///
    /// The rows belong to the runner and are overwritten by the next call. Keys and values of every token in the batch
    /// are in the cache when this returns. A thrown error leaves the cache of the batch's own tokens undefined and all
    /// other sequences intact.
    func forward(_ batch: ForwardBatch) throws -> LogitRows

    /// The last hidden states, after the final norm, of the last step's `hiddenTokenIndices`: one row of E each, in
    /// that order. Valid until the next step. Empty for a runner that has none.
    var hiddenRows: UnsafeBufferPointer<Float> { get }

    /// Whether the batch's draws are done; otherwise there must be none.
    var drawsTokens: Bool { get }

    /// What became of the last step's draws, in their order. The rows of logits that they were from need not be there.
    var drawnTokens: [TokenDraw.Outcome] { get }

    /// Whether a step may be launched while the one before it is computed.
    var runsAhead: Bool { get }

    /// Puts a step on the device, behind at most one that was launched and not collected. All its rows of logits are
    /// drawn from, and no hidden states are wanted.
    func launch(_ batch: ForwardBatch) throws

    /// Waits for the earliest step that was launched and not collected, and tells what became of its draws.
    func collect() throws -> [TokenDraw.Outcome]

    /// Waits for all launched steps and forgets them.
    func discard()
}

extension ModelRunner {
    /// None.
    public var hiddenRows: UnsafeBufferPointer<Float> { UnsafeBufferPointer(start: nil, count: 0) }

    /// Not unless a runner says so.
    public var drawsTokens: Bool { false }

    /// None.
    public var drawnTokens: [TokenDraw.Outcome] { [] }

    /// Not unless a runner says so.
    public var runsAhead: Bool { false }

    /// Not for a runner that computes a step at a time.
    public func launch(_ batch: ForwardBatch) throws { preconditionFailure("a step ahead of its turn") }

    /// Not for a runner that computes a step at a time.
    public func collect() throws -> [TokenDraw.Outcome] { preconditionFailure("no step was launched") }

    /// There are none.
    public func discard() {}
}

/// Sizes of a loaded model and of its KV cache.
public struct ModelLimits: Sendable, Equatable {
    /// V: entries of a row of logits.
    public var vocabularyCount: Int
    /// Longest sequence, prompt and answer together, in tokens.
    public var contextLength: Int
    /// N: KV blocks in the pool.
    public var blockCount: Int
    /// P: positions a KV block.
    public var positionsPerBlock: Int
    /// Most tokens one step may compute.
    public var maxBatchedTokens: Int

    /// Sizes of a model.
    public init(
        vocabularyCount: Int, contextLength: Int, blockCount: Int, positionsPerBlock: Int, maxBatchedTokens: Int
    ) {
        self.vocabularyCount = vocabularyCount
        self.contextLength = contextLength
        self.blockCount = blockCount
        self.positionsPerBlock = positionsPerBlock
        self.maxBatchedTokens = maxBatchedTokens
    }
}

/// Raw scores, (M, V) in float32, owned by the runner and valid until its next step. The rows may be changed in place.
public struct LogitRows {
    /// M rows of V scores, contiguous; none where the device chose all tokens.
    public let scores: UnsafeMutableBufferPointer<Float>
    /// V.
    public let vocabularyCount: Int
    /// M.
    public let rowCount: Int

    /// A view of scores. `rowCount` is told where they are not there.
    public init(scores: UnsafeMutableBufferPointer<Float>, vocabularyCount: Int, rowCount: Int? = nil) {
        self.scores = scores
        self.vocabularyCount = vocabularyCount
        self.rowCount = rowCount ?? (vocabularyCount == 0 ? 0 : scores.count / vocabularyCount)
    }

    /// The scores of one row, (V).
    public subscript(row: Int) -> UnsafeMutableBufferPointer<Float> {
        UnsafeMutableBufferPointer(rebasing: scores[row * vocabularyCount..<(row + 1) * vocabularyCount])
    }
}
