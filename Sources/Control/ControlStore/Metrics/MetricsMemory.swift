import Deployments

/// Names a bucket of the finest resolution.
struct MetricsKey: Sendable, Hashable {
    var deployment: DeploymentName
    var scope: MetricsScope
    /// Milliseconds, a multiple of the resolution.
    var start: Int64
}

/// How long buckets are, and how long they are kept.
enum MetricsResolution: Int64, Sendable, CaseIterable {
    case tenSeconds = 10
    case minute = 60
    case quarterHour = 900

    var milliseconds: Int64 { rawValue * 1000 }
    var retention: Duration {
        switch self {
        case .tenSeconds: .seconds(2 * 3600)
        case .minute: .seconds(48 * 3600)
        case .quarterHour: .seconds(30 * 24 * 3600)
        }
    }
    /// The setting that says up to when buckets of this resolution were made from finer ones, in milliseconds.
    var progressKey: String { "metrics.rolled.\(rawValue)" }

    /// The start of the bucket that a moment is in.
    func start(of milliseconds: Int64) -> Int64 { floorToMultiple(of: self.milliseconds, milliseconds) }
}

/// The multiple of a positive number at or before another.
func floorToMultiple(of unit: Int64, _ number: Int64) -> Int64 {
    let rest = number % unit
    let floor = number.subtractingReportingOverflow(rest >= 0 ? rest : rest + unit)
    return floor.overflow ? number - rest : floor.partialValue
}

/// Buckets that are not on disk yet.
///
/// A bucket is open until its time is over, then closed: nothing is added to a closed one, so that it can be written
/// once.
struct MetricsMemory: Sendable {
    private(set) var buckets: [MetricsKey: MetricsBucket] = [:]
    /// Buckets that start before this are closed.
    private(set) var closedThrough: Int64
    /// Adapters that are told apart, by deployment, each with the start of the bucket that it was last seen in.
    private var adapters: [DeploymentName: [String: Int64]] = [:]
    /// What there was no room for.
    private(set) var droppedCount = 0

    private let adapterLimit: Int
    private let bucketLimit: Int
    /// An adapter without requests for so long gives its place to another.
    private static let adapterIdleMilliseconds: Int64 = 15 * 60 * 1000

    init(now: Timestamp, adapterLimit: Int = 100, bucketLimit: Int = 50_000) {
        closedThrough = MetricsResolution.tenSeconds.start(of: now.milliseconds)
        self.adapterLimit = adapterLimit
        self.bucketLimit = bucketLimit
    }

    mutating func record(_ sample: RequestSample, now: Timestamp) {
        let start = start(of: sample.endedAt, now: now)
        for scope in [.all, scope(of: sample, start: start)] {
            update(MetricsKey(deployment: sample.deployment, scope: scope, start: start)) { $0.add(sample) }
        }
    }

    mutating func record(_ gauges: ReplicaGauges, now: Timestamp) {
        let start = start(of: gauges.at, now: now)
        update(MetricsKey(deployment: gauges.deployment, scope: .all, start: start)) { $0.add(gauges) }
    }

    /// What comes late goes into the oldest open bucket; nothing goes into the future.
    private func start(of moment: Timestamp, now: Timestamp) -> Int64 {
        max(MetricsResolution.tenSeconds.start(of: min(moment, now).milliseconds), closedThrough)
    }

    private mutating func update(_ key: MetricsKey, _ change: (inout MetricsBucket) -> Void) {
        guard buckets[key] != nil || buckets.count < bucketLimit else {
            droppedCount += 1
            return
        }
        change(&buckets[key, default: MetricsBucket()])
    }

    private mutating func scope(of sample: RequestSample, start: Int64) -> MetricsScope {
        guard let adapter = sample.adapter else { return .base }
        var known = adapters[sample.deployment] ?? [:]
        if known[adapter] == nil, known.count >= adapterLimit {
            known = known.filter { $0.value > start - Self.adapterIdleMilliseconds }
            guard known.count < adapterLimit else {
                adapters[sample.deployment] = known
                return .other
            }
        }
        known[adapter] = start
        adapters[sample.deployment] = known
        return .adapter(adapter)
    }

    /// Closes the buckets whose time is over and gives all closed ones, old ones that could not be written yet among
    /// them. While nothing can be written the oldest are dropped, so that new ones find room.
    mutating func close(now: Timestamp) -> [MetricsKey: MetricsBucket] {
        closedThrough = max(closedThrough, MetricsResolution.tenSeconds.start(of: now.milliseconds))
        adapters = adapters.filter { known in
            known.value.values.contains { $0 > closedThrough - Self.adapterIdleMilliseconds }
        }
        if buckets.count > bucketLimit / 2 {
            let starts = buckets.keys.map(\.start).sorted()
            let oldest = starts[starts.count - bucketLimit / 2]
            for key in buckets.keys where key.start < min(oldest, closedThrough) {
                buckets[key] = nil
                droppedCount += 1
            }
        }
        return buckets.filter { $0.key.start < closedThrough }
    }

    /// Drops buckets that were written.
    mutating func forget(_ keys: some Sequence<MetricsKey>) {
        for key in keys { buckets[key] = nil }
    }
}
