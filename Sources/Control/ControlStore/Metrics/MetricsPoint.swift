package import Deployments

/// Which requests of a deployment are meant.
package enum MetricsScope: Sendable, Hashable {
    /// All of them. Figures of replicas are only of this scope.
    case all
    /// Those that name no adapter.
    case base
    case adapter(String)
    /// Those of adapters beyond the bound on how many are told apart.
    case other

    /// As the store keeps it.
    var stored: String {
        switch self {
        case .all: "all"
        case .base: "base"
        case .adapter(let name): "adapter:\(name)"
        case .other: "other"
        }
    }

    init?(stored text: String) {
        switch text {
        case "all": self = .all
        case "base": self = .base
        case "other": self = .other
        default:
            guard text.hasPrefix("adapter:") else { return nil }
            self = .adapter(String(text.dropFirst("adapter:".count)))
        }
    }
}

/// Figures of a stretch of time.
package struct MetricsPoint: Sendable, Hashable {
    /// Of durations. The mean is exact, percentiles are within 5%.
    package struct DurationFigures: Sendable, Hashable {
        package var count: Int
        package var mean: Duration
        package var p50: Duration
        package var p95: Duration
        package var p99: Duration
    }

    package var start: Timestamp
    /// How much of the stretch has passed; what rates are taken over.
    package var span: Duration
    package var requestCounts: [RequestSample.Outcome: Int]
    package var promptTokenCount: Int
    package var generatedTokenCount: Int
    /// Durations are nil where no request had one.
    package var inference: DurationFigures?
    package var queue: DurationFigures?
    package var total: DurationFigures?
    package var timeToFirstToken: DurationFigures?
    package var interToken: DurationFigures?
    /// Ready replicas; nil where nobody looked.
    package var meanReplicaCount: Double?
    package var highestReplicaCount: Int?
    /// 0 to 1; nil where nobody could say.
    package var utilization: Double?
    package var meanQueuedCount: Double?
    package var highestQueuedCount: Int?
    package var meanRunningCount: Double?
    package var highestRunningCount: Int?

    package var requestCount: Int { requestCounts.values.reduce(0) { $0.adding($1) } }
    package var requestsPerSecond: Double { rate(requestCount) }
    package var promptTokensPerSecond: Double { rate(promptTokenCount) }
    package var generatedTokensPerSecond: Double { rate(generatedTokenCount) }

    private func rate(_ count: Int) -> Double { span > .zero ? Double(count) / span.inSeconds : 0 }
}

extension MetricsPoint {
    init(_ bucket: MetricsBucket, start: Timestamp, span: Duration) {
        self.start = start
        self.span = span
        requestCounts = Dictionary(uniqueKeysWithValues: zip(RequestSample.Outcome.allCases, bucket.requestCounts))
        promptTokenCount = bucket.promptTokenCount
        generatedTokenCount = bucket.generatedTokenCount
        inference = DurationFigures(bucket.inference)
        queue = DurationFigures(bucket.queue)
        total = DurationFigures(bucket.total)
        timeToFirstToken = DurationFigures(bucket.timeToFirstToken)
        interToken = DurationFigures(bucket.interToken)
        meanReplicaCount = bucket.replicas.mean
        highestReplicaCount = bucket.replicas.count == 0 ? nil : bucket.replicas.highest
        utilization = bucket.utilization.mean.map { $0 / 1e6 }
        meanQueuedCount = bucket.queued.mean
        highestQueuedCount = bucket.queued.count == 0 ? nil : bucket.queued.highest
        meanRunningCount = bucket.running.mean
        highestRunningCount = bucket.running.count == 0 ? nil : bucket.running.highest
    }
}

extension MetricsPoint.DurationFigures {
    init?(_ histogram: DurationHistogram) {
        guard let mean = histogram.mean, let p50 = histogram.quantile(0.5), let p95 = histogram.quantile(0.95),
            let p99 = histogram.quantile(0.99)
        else { return nil }
        self.init(count: histogram.count, mean: mean, p50: p50, p95: p95, p99: p99)
    }
}
