/// What a load showed.
public struct LoadReport: Sendable {
    /// Failures of one kind.
    public struct Failures: Sendable {
        /// The kind, ``RequestFailure/kind``.
        public let kind: String
        /// How many requests ended so.
        public let count: Int
        /// The first of them.
        public let example: RequestFailure
    }

    /// What one adapter was asked.
    public struct AdapterCounts: Sendable {
        /// Its id, or its number where the interface has numbers only.
        public let id: String
        /// Requests that ended, well or not.
        public let requestCount: Int
        /// Those that failed.
        public let failureCount: Int
        /// Tokens of its answers.
        public let outputTokens: Int
        /// Times to first token, or nil where it gave none.
        public let timeToFirstToken: LatencySummary?
    }

    /// Requests that gave a whole answer.
    public let successCount: Int
    /// Requests that did not, by kind, the most frequent first.
    public let failures: [Failures]
    /// Whole answers with fewer tokens than were asked for.
    public let shortCount: Int
    /// Seconds from the start to the last end.
    public let wallSeconds: Double
    /// Tokens of the prompts of whole answers, as the server counts; nil where it doesn't say.
    public let promptTokens: Int?
    /// Tokens of whole answers.
    public let outputTokens: Int
    /// From the start of a request to its first token.
    public let timeToFirstToken: LatencySummary?
    /// Between a token and the one before it, over all answers.
    public let interTokenLatency: LatencySummary?
    /// An answer's time after its first token, by its tokens after the first; one value an answer.
    public let timePerOutputToken: LatencySummary?
    /// From the start of a request to the end of its answer.
    public let latency: LatencySummary?
    /// By number of the adapter; those that were asked.
    public let adapters: [AdapterCounts]

    /// Requests that ended.
    public var requestCount: Int { successCount + failureCount }
    /// Requests that failed.
    public var failureCount: Int { failures.reduce(0) { $0 + $1.count } }

    init(_ outcomes: [RequestOutcome], workload: Workload, template: RequestTemplate, start: Double) {
        let whole = outcomes.filter { $0.failure == nil }
        successCount = whole.count
        shortCount = whole.count { $0.isShort }
        wallSeconds = (outcomes.map(\.end).max() ?? start) - start
        let promptCounts = whole.compactMap(\.promptTokens)
        promptTokens = promptCounts.count == whole.count && !whole.isEmpty ? promptCounts.reduce(0, +) : nil
        outputTokens = whole.reduce(0) { $0 + $1.outputTokens }
        timeToFirstToken = LatencySummary(whole.compactMap(\.timeToFirstToken))
        interTokenLatency = LatencySummary(
            whole.flatMap { outcome in zip(outcome.tokenTimes.dropFirst(), outcome.tokenTimes).map { $0 - $1 } })
        timePerOutputToken = LatencySummary(whole.compactMap(\.timePerOutputToken))
        latency = LatencySummary(whole.map { $0.end - $0.start })
        var examples: [String: RequestFailure] = [:]
        var counts: [String: Int] = [:]
        for failure in outcomes.compactMap(\.failure) {
            examples[failure.kind] = examples[failure.kind] ?? failure
            counts[failure.kind, default: 0] += 1
        }
        failures = examples.map { Failures(kind: $0, count: counts[$0] ?? 0, example: $1) }
            .sorted { ($1.count, $0.kind) < ($0.count, $1.kind) }
        let byAdapter = Dictionary(grouping: outcomes.filter { $0.adapter != nil }) { $0.adapter ?? 0 }
        adapters = byAdapter.sorted { $0.key < $1.key }.map { number, outcomes in
            AdapterCounts(
                id: template.adapterIDs.indices.contains(number) ? template.adapterIDs[number] : "\(number)",
                requestCount: outcomes.count, failureCount: outcomes.count { $0.failure != nil },
                outputTokens: outcomes.reduce(0) { $0 + ($1.failure == nil ? $1.outputTokens : 0) },
                timeToFirstToken: LatencySummary(
                    outcomes.filter { $0.failure == nil }.compactMap(\.timeToFirstToken)))
        }
    }
}

extension RequestOutcome {
    var timeToFirstToken: Double? { tokenTimes.first.map { $0 - start } }

    /// Nil for an answer of one token. The server's count decides: an event may bring several tokens, or none.
    var timePerOutputToken: Double? {
        guard let first = tokenTimes.first, let last = tokenTimes.last, outputTokens > 1, last > first else {
            return nil
        }
        return (last - first) / Double(outputTokens - 1)
    }
}
