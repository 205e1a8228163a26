package import Deployments
import Synchronization

/// How deployments fared: requests, tokens, durations, replicas, over the last 30 days.
///
/// The gateway and the autoscaler record, which takes no I/O; buckets of ten seconds go to the ``ControlStore`` once
/// their time is over, are added up to minutes and quarter hours, and old ones are dropped (10 s for 2 hours, 1 min for
/// 48 hours, 15 min for 30 days). A crash loses what the open buckets hold, ten seconds at most. Figures are by name:
/// who asks for a deployment's asks from its creation on, lest those of an earlier one of its name come too.
package final class MetricsHistory: Sendable {
    let store: ControlStore
    let clock: any ControlClock
    let limits: MetricsLimits
    /// Tells rows of this process from those of an earlier one that ended within the same ten seconds.
    let part: Int64
    private let memory: Mutex<MetricsMemory>
    private let failure = Mutex<StoreError?>(nil)

    package init(store: ControlStore, clock: any ControlClock, limits: MetricsLimits = MetricsLimits()) {
        self.store = store
        self.clock = clock
        self.limits = limits
        part = Int64.random(in: 1 ... .max)
        memory = Mutex(MetricsMemory(now: clock.now(), adapterLimit: limits.adaptersPerDeployment))
    }

    /// Why the last flush of ``run()`` failed; nil once one went through.
    package var lastFailure: StoreError? { failure.withLock { $0 } }

    /// What there was no room for, because the store could not be written for long.
    package var droppedCount: Int { memory.withLock { $0.droppedCount } }

    package func record(_ sample: RequestSample) {
        let now = clock.now()
        memory.withLock { $0.record(sample, now: now) }
    }

    package func record(_ gauges: ReplicaGauges) {
        let now = clock.now()
        memory.withLock { $0.record(gauges, now: now) }
    }

    /// Flushes as buckets close until the task is cancelled, then writes what is left. A flush that fails is tried
    /// again.
    package func run() async {
        while !Task.isCancelled {
            // To the bucket's end, but no longer than a second: the clock may be set meanwhile.
            let unit = MetricsResolution.tenSeconds.milliseconds
            let now = clock.now().milliseconds
            try? await Task.sleep(for: .milliseconds(min(1000, floorToMultiple(of: unit, now) + unit - now)))
            do throws(StoreError) {
                try await flush()
                failure.withLock { $0 = nil }
            } catch {
                failure.withLock { $0 = error }
            }
        }
        // A server that ends can do no more about it.
        try? await finish()
    }

    /// Writes the buckets whose time is over. Costs nothing where there are none. What can't be written stays for the
    /// next time.
    package func flush() async throws(StoreError) {
        let now = clock.now()
        let (closed, closedThrough) = memory.withLock { ($0.close(now: now), $0.closedThrough) }
        guard !closed.isEmpty else { return }
        try await save(closed, closedThrough: closedThrough, now: now)
        memory.withLock { $0.forget(closed.keys) }
    }

    /// Writes all there is, also the bucket that is still open, which is written again if more comes.
    package func finish() async throws(StoreError) {
        try await flush()
        let now = clock.now()
        let (open, closedThrough) = memory.withLock { ($0.buckets, $0.closedThrough) }
        guard !open.isEmpty else { return }
        try await save(open, closedThrough: closedThrough, now: now)
    }

    /// What is not on disk yet, of one deployment and scope or of all.
    func unsaved(deployment: DeploymentName?, scope: MetricsScope?) -> [MetricsKey: MetricsBucket] {
        memory.withLock { memory in
            memory.buckets.filter { key, _ in
                (deployment == nil || key.deployment == deployment) && (scope == nil || key.scope == scope)
            }
        }
    }
}

/// How much of it is kept.
package struct MetricsLimits: Sendable, Hashable {
    /// Adapters of a deployment that are told apart; requests of further ones count as ``MetricsScope/other``.
    package var adaptersPerDeployment = 100
    /// Rows of each resolution; beyond, the oldest are dropped though their time isn't over.
    package var rowsPerResolution = 200_000
    /// Points of one answer.
    package var points = 11_000

    package init() {}
}
