/// What the engine holds and has done, as of its last step.
public struct EngineStatistics: Sendable, Equatable {
    /// Sequences that are computed in steps.
    public var runningCount = 0
    /// Sequences that wait, the preempted ones among them.
    public var waitingCount = 0
    /// KV blocks in use by running sequences.
    public var usedBlockCount = 0
    /// KV blocks that nobody uses but that hold a prefix for later; given up when blocks are needed.
    public var cachedBlockCount = 0
    /// KV blocks that hold nothing.
    public var freeBlockCount = 0
    /// Steps computed.
    public var stepCount = 0
    /// Steps that were launched while the one before was computed.
    public var aheadStepCount = 0
    /// Steps in which the model failed.
    public var failedStepCount = 0
    /// Steps begun, by what they computed.
    public var steps = StepCounts()
    /// Those of them in which the model failed.
    public var failedSteps = StepCounts()
    /// Whether the last step failed.
    public var hasFailedLately = false
    /// Tokens computed by the model, recomputed ones counted again.
    public var computedTokenCount = 0
    /// Tokens generated.
    public var generatedTokenCount = 0
    /// Times a sequence gave up its blocks for an earlier one.
    public var preemptionCount = 0
    /// Sequences that took blocks from the prefix cache when they were let in.
    public var prefixHitCount = 0
    /// Tokens that needed no computing because of that.
    public var prefixHitTokenCount = 0
}

/// Steps by what they computed. One step may do several of these, and then counts for each.
public struct StepCounts: Sendable, Equatable {
    /// Prompt tokens, or tokens of sequences that had lost their blocks.
    public var prefill = 0
    /// One new token of a sequence.
    public var decode = 0
    /// Hidden states.
    public var embedding = 0

    /// None.
    public init() {}

    static func += (sum: inout StepCounts, counts: StepCounts) {
        sum.prefill += counts.prefill
        sum.decode += counts.decode
        sum.embedding += counts.embedding
    }
}
