package import Deployments

/// What is seen of a deployment's replicas at one moment.
package struct ReplicaGauges: Sendable, Hashable {
    package var deployment: DeploymentName
    package var at: Timestamp
    package var readyReplicas: Int
    /// How busy the replicas' devices are, 0 to 1; nil where nobody can say.
    package var utilization: Double?
    /// Requests that wait at the gateway.
    package var queued: Int
    /// Requests that replicas work on.
    package var running: Int

    package init(
        deployment: DeploymentName, at: Timestamp, readyReplicas: Int, utilization: Double? = nil, queued: Int = 0,
        running: Int = 0
    ) {
        self.deployment = deployment
        self.at = at
        self.readyReplicas = readyReplicas
        self.utilization = utilization
        self.queued = queued
        self.running = running
    }
}

/// What happened in one stretch of time. Only sums, so that merging the buckets of parts gives the bucket of the whole.
struct MetricsBucket: Sendable, Hashable {
    /// Values seen from time to time.
    struct Gauge: Sendable, Hashable {
        var count = 0
        var sum = 0
        var highest = 0

        var mean: Double? { count == 0 ? nil : Double(sum) / Double(count) }

        mutating func add(_ value: Int) {
            merge(Gauge(count: 1, sum: max(0, value), highest: max(0, value)))
        }

        mutating func merge(_ other: Gauge) {
            count = count.adding(other.count)
            sum = sum.adding(other.sum)
            highest = max(highest, other.highest)
        }
    }

    /// Requests by outcome, in the order of `RequestSample.Outcome.allCases`.
    var requestCounts = [Int](repeating: 0, count: RequestSample.Outcome.allCases.count)
    var promptTokenCount = 0
    var generatedTokenCount = 0
    var inference = DurationHistogram()
    var queue = DurationHistogram()
    var total = DurationHistogram()
    var timeToFirstToken = DurationHistogram()
    var interToken = DurationHistogram()
    var replicas = Gauge()
    /// In millionths.
    var utilization = Gauge()
    var queued = Gauge()
    var running = Gauge()

    /// Adds a request. One that was rejected has no durations; one that was turned away only waited.
    mutating func add(_ sample: RequestSample) {
        if let index = RequestSample.Outcome.allCases.firstIndex(of: sample.outcome) {
            requestCounts[index] = requestCounts[index].adding(1)
        }
        promptTokenCount = promptTokenCount.adding(max(0, sample.promptTokenCount))
        generatedTokenCount = generatedTokenCount.adding(max(0, sample.generatedTokenCount))
        guard sample.outcome != .rejected else { return }
        queue.add(sample.queueDuration)
        guard sample.outcome != .overloaded else { return }
        total.add(sample.totalDuration)
        if sample.outcome == .success || sample.inferenceDuration > .zero { inference.add(sample.inferenceDuration) }
        if let duration = sample.timeToFirstToken { timeToFirstToken.add(duration) }
        if let duration = sample.interTokenDuration { interToken.add(duration) }
    }

    mutating func add(_ gauges: ReplicaGauges) {
        replicas.add(gauges.readyReplicas)
        queued.add(gauges.queued)
        running.add(gauges.running)
        if let share = gauges.utilization, share.isFinite { utilization.add(Int(min(max(share, 0), 1000) * 1e6)) }
    }

    mutating func merge(_ other: MetricsBucket) {
        for index in requestCounts.indices {
            requestCounts[index] = requestCounts[index].adding(other.requestCounts[index])
        }
        promptTokenCount = promptTokenCount.adding(other.promptTokenCount)
        generatedTokenCount = generatedTokenCount.adding(other.generatedTokenCount)
        for histogram in Self.histograms { self[keyPath: histogram].merge(other[keyPath: histogram]) }
        for gauge in Self.gauges { self[keyPath: gauge].merge(other[keyPath: gauge]) }
    }

    /// In the order of the stored form.
    static var histograms: [WritableKeyPath<MetricsBucket, DurationHistogram>] {
        [\.inference, \.queue, \.total, \.timeToFirstToken, \.interToken]
    }

    /// In the order of the stored form.
    static var gauges: [WritableKeyPath<MetricsBucket, Gauge>] { [\.replicas, \.utilization, \.queued, \.running] }
}
