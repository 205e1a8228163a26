/// How an engine schedules.
public struct EngineConfiguration: Sendable, Equatable {
    /// Token budget of a step; nil takes the model's. Never more than the model's.
    public var maxBatchedTokens: Int?
    /// Most sequences computed in one step. Cut to the token budget, so that every running sequence can advance.
    public var maxRunningSequences: Int
    /// Most sequences that wait besides the running ones; a request over it is refused with `queueFull`.
    public var maxWaitingSequences: Int
    /// Most prompt tokens of one sequence in a step, so that one long prompt leaves room for others; nil for no limit.
    public var maxPrefillChunk: Int?
    /// Whether requests share the KV blocks of equal prefixes.
    public var usesPrefixCache: Bool

    /// A configuration.
    public init(
        maxBatchedTokens: Int? = nil, maxRunningSequences: Int = 256, maxWaitingSequences: Int = 1024,
        maxPrefillChunk: Int? = nil, usesPrefixCache: Bool = true
    ) {
        self.maxBatchedTokens = maxBatchedTokens
        self.maxRunningSequences = maxRunningSequences
        self.maxWaitingSequences = maxWaitingSequences
        self.maxPrefillChunk = maxPrefillChunk
        self.usesPrefixCache = usesPrefixCache
    }
}
