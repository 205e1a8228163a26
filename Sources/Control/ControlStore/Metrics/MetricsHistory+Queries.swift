package import Deployments
import GRDB

extension MetricsHistory {
    /// Figures of each step from the one that holds `from` to the one that holds the last moment before `to` or now.
    ///
    /// Steps begin at multiples of their length since 1970; each point says where its begins. A step without requests
    /// has a point with zeros. Where only longer buckets are left of a time so long ago, or the step isn't a multiple
    /// of what there is, all steps are lengthened to the next multiple.
    ///
    /// - Throws: `.invalid` where `from` is after `to`, the step isn't longer than nothing, or there are too many
    ///   points.
    package func figures(
        _ deployment: DeploymentName, scope: MetricsScope = .all, from: Timestamp, to: Timestamp, step: Duration
    ) async throws(StoreError) -> [MetricsPoint] {
        let now = clock.now()
        guard from <= to else {
            throw StoreError(.invalid, "metrics of \"\(deployment)\": the range ends before it begins; swap its ends")
        }
        guard step > .zero else {
            throw StoreError(.invalid, "metrics of \"\(deployment)\": a step of \(step); give one of 10 s or more")
        }
        // The future has no figures, and nothing is left of what is older than the longest bucket's retention.
        let oldest = max(from, now - MetricsResolution.quarterHour.retention).milliseconds
        let end = min(to.milliseconds, now.milliseconds.adding(1))
        guard oldest < end else { return [] }
        let (resolution, step) = resolution(from: oldest, now: now, step: step)
        let first = floorToMultiple(of: step, oldest)
        let count = (end - first - 1) / step + 1
        guard count <= limits.points else {
            throw StoreError(
                .invalid,
                "metrics of \"\(deployment)\": \(count) points, at most \(limits.points) are given at a time; take a "
                    + "longer step")
        }
        var sums = [MetricsBucket](repeating: MetricsBucket(), count: Int(count))
        let range = first..<first + count * step
        for (key, bucket) in try await buckets(resolution, deployment, scope, in: range) {
            sums[Int((key.start - first) / step)].merge(bucket)
        }
        return sums.enumerated().map { index, sum in
            let start = first + Int64(index) * step
            return MetricsPoint(
                sum, start: Timestamp(milliseconds: start),
                span: .milliseconds(min(step, max(1000, now.milliseconds - start))))
        }
    }

    /// Figures of the last while, of whole buckets of ten seconds.
    /// - Throws: `.invalid` where the window isn't between nothing and two hours.
    package func latest(
        _ deployment: DeploymentName, scope: MetricsScope = .all, window: Duration = .seconds(60)
    ) async throws(StoreError) -> MetricsPoint {
        let now = clock.now()
        let first = try start(of: window, now: now)
        var sum = MetricsBucket()
        let range = first..<now.milliseconds.adding(1)
        for (_, bucket) in try await buckets(.tenSeconds, deployment, scope, in: range) { sum.merge(bucket) }
        return point(sum, first: first, now: now)
    }

    /// Figures of the last while of all deployments that have any.
    package func latest(window: Duration = .seconds(60)) async throws(StoreError) -> [DeploymentName: MetricsPoint] {
        let now = clock.now()
        let first = try start(of: window, now: now)
        var sums: [DeploymentName: MetricsBucket] = [:]
        for (key, bucket) in try await buckets(.tenSeconds, nil, .all, in: first..<now.milliseconds.adding(1)) {
            sums[key.deployment, default: MetricsBucket()].merge(bucket)
        }
        return sums.mapValues { point($0, first: first, now: now) }
    }

    /// Figures of the last while of a deployment, of each adapter apart.
    package func latestByScope(
        _ deployment: DeploymentName, window: Duration = .seconds(60)
    ) async throws(StoreError) -> [MetricsScope: MetricsPoint] {
        let now = clock.now()
        let first = try start(of: window, now: now)
        var sums: [MetricsScope: MetricsBucket] = [:]
        for (key, bucket) in try await buckets(.tenSeconds, deployment, nil, in: first..<now.milliseconds.adding(1)) {
            sums[key.scope, default: MetricsBucket()].merge(bucket)
        }
        return sums.mapValues { point($0, first: first, now: now) }
    }

    private func start(of window: Duration, now: Timestamp) throws(StoreError) -> Int64 {
        guard window > .zero, window <= MetricsResolution.tenSeconds.retention else {
            throw StoreError(.invalid, "metrics of the last \(window): give a window of up to two hours")
        }
        let unit = MetricsResolution.tenSeconds.milliseconds
        return floorToMultiple(of: unit, now.milliseconds - max(1, window.wholeMilliseconds) + unit - 1)
    }

    private func point(_ sum: MetricsBucket, first: Int64, now: Timestamp) -> MetricsPoint {
        MetricsPoint(
            sum, start: Timestamp(milliseconds: first), span: .milliseconds(max(1000, now.milliseconds - first)))
    }

    /// The longest buckets that a step can be put together from, and that step, in milliseconds.
    private func resolution(from: Int64, now: Timestamp, step: Duration) -> (MetricsResolution, step: Int64) {
        // A minute of leave: rows are dropped when something is flushed, not to the second.
        let age = now.milliseconds - from + 60_000
        let kept = MetricsResolution.allCases.first { $0.retention.wholeMilliseconds > age }
        let finest = kept ?? .quarterHour
        let unit = finest.milliseconds
        // Longer than all that is kept makes one point.
        let wanted = min(step.wholeMilliseconds, 366 * 24 * 3_600_000)
        let step = max(1, (wanted + unit - 1) / unit) * unit
        let coarsest = MetricsResolution.allCases.last {
            $0.rawValue >= finest.rawValue && step % $0.milliseconds == 0
        }
        return (coarsest ?? finest, step)
    }
}

extension MetricsHistory {
    /// The buckets of a range whose ends are multiples of the resolution: of that resolution as far as it was added up,
    /// of finer ones after, and those that are not on disk yet.
    private func buckets(
        _ resolution: MetricsResolution, _ deployment: DeploymentName?, _ scope: MetricsScope?, in range: Range<Int64>
    ) async throws(StoreError) -> [(MetricsKey, MetricsBucket)] {
        // Memory first: what is written between the two looks is then in both, and is told by its key and part.
        let unsaved = unsaved(deployment: deployment, scope: scope)
        return try await store.read("read metrics") { [part] database in
            let table = MetricsTable(database: database)
            var found: [(MetricsKey, MetricsBucket)] = []
            var from = range.lowerBound
            for coarser in MetricsResolution.allCases.reversed() where coarser != .tenSeconds {
                guard coarser.rawValue <= resolution.rawValue else { continue }
                let through = min(range.upperBound, max(from, try table.progress(coarser)))
                try table.each(
                    coarser, deployment: deployment, scope: scope, from: from, to: through
                ) { key, _, bucket in found.append((key, bucket)) }
                from = through
            }
            try table.each(
                .tenSeconds, deployment: deployment, scope: scope, from: from, to: range.upperBound
            ) { key, writer, bucket in
                if writer != part || unsaved[key] == nil { found.append((key, bucket)) }
            }
            for (key, bucket) in unsaved where key.start >= from && key.start < range.upperBound {
                found.append((key, bucket))
            }
            return found
        }
    }
}

extension Int64 {
    fileprivate func adding(_ other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other < 0 ? .min : .max) : sum
    }
}
