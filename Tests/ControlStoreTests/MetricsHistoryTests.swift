import Deployments
import Testing

@testable import ControlStore

@Suite struct MetricsHistoryTests {
    private let scratch: ScratchFolder
    private let store: ControlStore
    /// Aligned to a quarter of an hour.
    private static let begin: Int64 = 1_700_000_100_000
    private let clock = ManualClock(begin)
    private let name: DeploymentName

    init() async throws {
        scratch = try ScratchFolder()
        store = try await ControlStore.open(folder: scratch.path)
        name = try DeploymentName("chat")
    }

    private func sample(_ adapter: String? = nil, _ outcome: RequestSample.Outcome = .success) -> RequestSample {
        var sample = RequestSample(deployment: name, adapter: adapter, endedAt: clock.now(), outcome: outcome)
        sample.generatedTokenCount = 10
        sample.promptTokenCount = 5
        sample.inferenceDuration = .milliseconds(200)
        sample.queueDuration = .milliseconds(20)
        sample.totalDuration = .milliseconds(220)
        sample.timeToFirstToken = .milliseconds(50)
        sample.interTokenDuration = .milliseconds(15)
        return sample
    }

    private func gauges(_ replicas: Int, _ utilization: Double? = nil) -> ReplicaGauges {
        ReplicaGauges(
            deployment: name, at: clock.now(), readyReplicas: replicas, utilization: utilization, queued: replicas * 2,
            running: replicas)
    }

    private func moment(_ offset: Int64) -> Timestamp { Timestamp(milliseconds: Self.begin + offset) }

    @Test func theLastMinuteIsSeenBeforeAndAfterItIsOnDisk() async throws {
        let history = MetricsHistory(store: store, clock: clock)
        for second in 0..<60 {
            history.record(sample())
            history.record(gauges(second < 30 ? 1 : 3, 0.5))
            clock.advance(1000)
        }
        let unsaved = try await history.latest(name)
        try await history.flush()
        let saved = try await history.latest(name)
        #expect(unsaved == saved)
        #expect(saved.requestCount == 60 && saved.span == .seconds(60))
        #expect(
            saved.requestsPerSecond == 1 && saved.generatedTokensPerSecond == 10 && saved.promptTokensPerSecond == 5)
        #expect(saved.inference?.mean == .milliseconds(200) && saved.queue?.mean == .milliseconds(20))
        #expect(saved.timeToFirstToken?.count == 60 && saved.interToken?.count == 60 && saved.total?.count == 60)
        #expect(saved.meanReplicaCount == 2 && saved.highestReplicaCount == 3)
        #expect(saved.utilization == 0.5 && saved.meanQueuedCount == 4 && saved.highestRunningCount == 3)
        let all = try await history.latest()
        #expect(all == [name: saved])
        clock.advance(3_600_000)
        let idle = try await history.latest(name)
        #expect(idle.requestCount == 0 && idle.inference == nil && idle.meanReplicaCount == nil)
    }

    @Test func durationsCountByOutcome() async throws {
        let history = MetricsHistory(store: store, clock: clock)
        for outcome in RequestSample.Outcome.allCases { history.record(sample(nil, outcome)) }
        let point = try await history.latest(name)
        #expect(point.requestCounts == Dictionary(uniqueKeysWithValues: RequestSample.Outcome.allCases.map { ($0, 1) }))
        #expect(point.queue?.count == 4 && point.total?.count == 3 && point.inference?.count == 3)
    }

    @Test func rollUpsEqualBruteForceOverRandomSamples() async throws {
        var numbers = SeededNumbers(state: 11)
        let history = MetricsHistory(store: store, clock: clock)
        var exact: [(at: Int64, bucket: MetricsBucket)] = []
        let days = 3.0
        let end = Int64(days * 24 * 3_600_000)
        var passed: Int64 = 0
        while passed < end {
            for _ in 0..<Int.random(in: 0...3, using: &numbers) {
                var sample = sample(nil, RequestSample.Outcome.allCases.randomElement(using: &numbers) ?? .success)
                sample.inferenceDuration = .microseconds(Int64.random(in: 0...60_000_000, using: &numbers))
                sample.generatedTokenCount = Int.random(in: 0...500, using: &numbers)
                history.record(sample)
                var bucket = MetricsBucket()
                bucket.add(sample)
                exact.append((clock.now().milliseconds, bucket))
            }
            if Bool.random(using: &numbers) {
                let gauges = gauges(Int.random(in: 0...5, using: &numbers), Double.random(in: 0...1, using: &numbers))
                history.record(gauges)
                var bucket = MetricsBucket()
                bucket.add(gauges)
                exact.append((clock.now().milliseconds, bucket))
            }
            let step = Int64.random(in: 1...600_000, using: &numbers)
            clock.advance(step)
            passed += step
            if Int.random(in: 0..<3, using: &numbers) == 0 { try await history.flush() }
        }
        let now = clock.now()
        for (age, step) in [
            (3600, 10), (3600, 30), (7000, 60), (100_000, 60), (100_000, 900), (200_000, 900), (250_000, 7200),
        ] {
            let from = now + .seconds(-age)
            let points = try await history.figures(name, from: from, to: now, step: .seconds(step))
            let unit = Int64(step) * 1000
            var sums: [Int64: MetricsBucket] = [:]
            for sample in exact { sums[sample.at / unit * unit, default: MetricsBucket()].merge(sample.bucket) }
            for point in points {
                let sum = sums[point.start.milliseconds] ?? MetricsBucket()
                #expect(point == MetricsPoint(sum, start: point.start, span: point.span), "\(step) s, \(age) s ago")
            }
            #expect(points.first.map { $0.start <= from } == true)
            #expect(points.count == (age + step - 1) / step || points.count == (age + step - 1) / step + 1)
        }
    }

    @Test func stepsLengthenWhereOnlyLongerBucketsAreLeft() async throws {
        let history = MetricsHistory(store: store, clock: clock)
        for _ in 0..<24 {
            history.record(sample())
            try await history.flush()
            clock.advance(3_600_000)
        }
        try await history.flush()
        let recent = try await history.figures(
            name, from: clock.now() + .seconds(-3600), to: clock.now(), step: .seconds(1))
        #expect(recent.count == 360)
        let day = try await history.figures(name, from: moment(0), to: clock.now(), step: .seconds(10))
        #expect(day.count == 24 * 60 && day.reduce(0) { $0 + $1.requestCount } == 24)
        let odd = try await history.figures(name, from: moment(0), to: clock.now(), step: .seconds(61))
        #expect(odd.reduce(0) { $0 + $1.requestCount } == 24 && odd[1].start.since(odd[0].start) == .seconds(120))
        let whole = try await history.figures(
            name, from: Timestamp(milliseconds: .min), to: Timestamp(milliseconds: .max), step: .seconds(Int64.max))
        #expect(whole.reduce(0) { $0 + $1.requestCount } == 24)
    }

    @Test func oddRangesAreAnsweredOrRefused() async throws {
        let history = MetricsHistory(store: store, clock: clock)
        history.record(sample())
        clock.advance(60_000)
        func ask(_ from: Int64, _ to: Int64, _ step: Duration) async -> Result<Int, StoreError> {
            do throws(StoreError) {
                return .success(try await history.figures(name, from: moment(from), to: moment(to), step: step).count)
            } catch {
                return .failure(error)
            }
        }
        func code(_ result: Result<Int, StoreError>) -> StoreError.Code? {
            if case .failure(let error) = result { error.code } else { nil }
        }
        #expect(await ask(0, 0, .seconds(10)) == .success(0))
        #expect(await ask(120_000, 180_000, .seconds(10)) == .success(0))
        #expect(await ask(0, 3_600_000, .seconds(10)) == .success(7))
        #expect(await ask(0, 1, .milliseconds(1)) == .success(1))
        #expect(code(await ask(10, 0, .seconds(10))) == .invalid)
        #expect(code(await ask(0, 10, .zero)) == .invalid)
        #expect(code(await ask(0, 10, .seconds(-1))) == .invalid)
        clock.advance(30 * 24 * 3_600_000)
        #expect(code(await ask(0, .max / 4, .seconds(60))) == nil)
        var limits = MetricsLimits()
        limits.points = 5
        let many = MetricsHistory(store: store, clock: clock, limits: limits)
        let error = await #expect(throws: StoreError.self) {
            _ = try await many.figures(name, from: clock.now() + .seconds(-3600), to: clock.now(), step: .seconds(60))
        }
        #expect(error?.code == .invalid)
        for window in [Duration.zero, .seconds(-1), .seconds(7201)] {
            let error = await #expect(throws: StoreError.self) { _ = try await history.latest(name, window: window) }
            #expect(error?.code == .invalid)
        }
        #expect(try await history.latest(DeploymentName("unknown")).requestCount == 0)
    }

    @Test func adaptersAreToldApartUpToABound() async throws {
        var limits = MetricsLimits()
        limits.adaptersPerDeployment = 3
        let history = MetricsHistory(store: store, clock: clock, limits: limits)
        history.record(sample())
        for adapter in ["a", "b", "c", "d", "e", "a"] { history.record(sample(adapter)) }
        let found = try await history.latestByScope(name)
        #expect(
            found.mapValues(\.requestCount) == [
                .all: 7, .base: 1, .adapter("a"): 2, .adapter("b"): 1, .adapter("c"): 1, .other: 2,
            ])
        // One that was idle for long gives its place away.
        clock.advance(20 * 60_000)
        history.record(sample("d"))
        try await history.flush()
        #expect(try await history.latest(name, scope: .adapter("d")).requestCount == 1)
        #expect(try await history.latest(name, scope: .adapter("a"), window: .seconds(7200)).requestCount == 2)
    }

    @Test func lateAndEarlySamplesAreKeptInOpenBuckets() async throws {
        let history = MetricsHistory(store: store, clock: clock)
        clock.advance(100_000)
        try await history.flush()
        var late = sample()
        late.endedAt = moment(-500_000)
        history.record(late)
        var early = sample()
        early.endedAt = Timestamp(milliseconds: .max)
        history.record(early)
        let points = try await history.figures(name, from: moment(0), to: moment(200_000), step: .seconds(10))
        #expect(points.map(\.requestCount) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2])
    }

    @Test func aRestartWithinABucketLosesNothing() async throws {
        let first = MetricsHistory(store: store, clock: clock)
        first.record(sample())
        try await first.finish()
        first.record(sample())
        try await first.finish()
        try await first.finish()
        let second = MetricsHistory(store: store, clock: clock)
        second.record(sample())
        #expect(try await second.latest(name).requestCount == 3)
        clock.advance(60_000)
        try await second.flush()
        clock.advance(900_000)
        second.record(sample())
        clock.advance(900_000)
        try await second.flush()
        let points = try await second.figures(name, from: moment(0), to: clock.now(), step: .seconds(900))
        #expect(points.map(\.requestCount) == [3, 1, 0])
    }

    @Test func queriesWhileItIsWrittenCountEachRequestOnce() async throws {
        let history = MetricsHistory(store: store, clock: clock)
        let range = (moment(0), moment(3_600_000))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [clock] in
                for _ in 0..<150 {
                    history.record(sample())
                    clock.advance(10_000)
                    try await history.flush()
                }
            }
            group.addTask { [name] in
                var last = 0
                for _ in 0..<150 {
                    let points = try await history.figures(name, from: range.0, to: range.1, step: .seconds(900))
                    let count = points.reduce(0) { $0 + $1.requestCount }
                    #expect(count >= last && count <= 150)
                    last = count
                }
            }
            try await group.waitForAll()
        }
        let points = try await history.figures(name, from: range.0, to: range.1, step: .seconds(60))
        #expect(points.reduce(0) { $0 + $1.requestCount } == 150)
    }

    @Test func rowsStayWithinTheirTimeAndNumber() async throws {
        var limits = MetricsLimits()
        limits.rowsPerResolution = 100
        let history = MetricsHistory(store: store, clock: clock, limits: limits)
        for _ in 0..<400 {
            history.record(sample("a"))
            clock.advance(30_000)
            try await history.flush()
        }
        for resolution in MetricsResolution.allCases {
            let now = clock.now()
            let starts = try await store.read("count") { database in
                var starts: [Int64] = []
                try MetricsTable(database: database).each(resolution, from: .min, to: .max) { key, _, _ in
                    starts.append(key.start)
                }
                return starts
            }
            #expect(!starts.isEmpty && starts.count <= 200)
            #expect(starts.allSatisfy { $0 >= (now - resolution.retention).milliseconds })
        }
    }

    @Test func aRowThatCannotBeReadStopsNothing() async throws {
        let history = MetricsHistory(store: store, clock: clock)
        for _ in 0..<3 {
            history.record(sample())
            clock.advance(10_000)
        }
        try await history.flush()
        try OtherProgram.run(
            """
            import sqlite3, sys; c = sqlite3.connect(sys.argv[1])
            c.execute("UPDATE metrics SET figures = x'FF00' WHERE scope = 'all' AND start = (SELECT min(start) FROM metrics)")
            c.commit()
            """, store.path)
        #expect(try await history.latest(name).requestCount == 2)
        clock.advance(900_000)
        history.record(sample())
        clock.advance(900_000)
        try await history.flush()
        let points = try await history.figures(name, from: moment(0), to: moment(1), step: .seconds(900))
        #expect(points.map(\.requestCount) == [2])
    }

    @Test func whatCannotBeWrittenIsBounded() throws {
        var memory = MetricsMemory(now: clock.now(), bucketLimit: 100)
        for _ in 0..<500 {
            memory.record(sample(), now: clock.now())
            clock.advance(10_000)
            let closed = memory.close(now: clock.now())
            #expect(closed.count <= 102)
        }
        #expect(memory.buckets.count <= 100 && memory.droppedCount > 0)
        #expect(memory.buckets.keys.contains { $0.start == clock.now().milliseconds - 10_000 })
    }
}
