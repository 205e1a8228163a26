/// Replays a course of load through the very ``Autoscaler`` that deployments use, with a simple model of replicas.
///
/// A replica takes a while to start, works on some requests at a time and takes as long for each. Requests wait in one
/// queue, first come first served; a replica that is given up finishes what it has. The autoscaler looks once a second.
package struct AutoscaleSimulation: Sendable {
    /// What replicas can do.
    package struct Service: Sendable, Hashable {
        /// Seconds that a request takes once a replica works on it.
        package var secondsPerRequest: Double
        /// Requests that a replica works on at a time.
        package var slotsPerReplica: Int
        /// Seconds from the decision to a replica that is ready.
        package var startupSeconds: Double

        package init(secondsPerRequest: Double, slotsPerReplica: Int, startupSeconds: Double) {
            self.secondsPerRequest = min(max(secondsPerRequest, 0.001), 86_400)
            self.slotsPerReplica = min(max(slotsPerReplica, 1), 10_000)
            self.startupSeconds = min(max(startupSeconds, 0), 86_400)
        }

        /// A replica that makes so many tokens a second in all, shared by the requests that it works on.
        package init(tokensPerSecond: Double, tokensPerRequest: Double, slotsPerReplica: Int, startupSeconds: Double) {
            let slots = Double(max(1, slotsPerReplica))
            self.init(
                secondsPerRequest: max(0, tokensPerRequest) / max(tokensPerSecond, 1e-9) * slots,
                slotsPerReplica: slotsPerReplica, startupSeconds: startupSeconds)
        }
    }

    /// How things stood at a moment.
    package struct Point: Sendable, Hashable {
        /// Seconds from the start.
        package var time: Double
        /// Requests that replicas work on.
        package var running: Int
        package var queued: Int
        package var readyReplicas: Int
        package var startingReplicas: Int
        package var desiredReplicas: Int

        /// Requests there are.
        package var load: Int { running + queued }
        package var replicas: Int { readyReplicas + startingReplicas }
    }

    package struct Summary: Sendable, Hashable {
        package var requestCount = 0
        /// Requests that were not answered when the replay was ended.
        package var unansweredCount = 0
        /// Seconds that requests waited for a replica: median, 95th percentile, longest.
        package var waitP50 = 0.0
        package var waitP95 = 0.0
        package var longestWait = 0.0
        /// Time that replicas were there, ready or starting, added up.
        package var replicaSeconds = 0.0
        package var peakReplicas = 0
        package var peakLoad = 0
        /// Share of the replicas' time in which they worked, 0 to 1.
        package var utilization = 0.0
    }

    package private(set) var points: [Point] = []
    package private(set) var decisions: [(time: Double, decision: ScalingDecision)] = []
    package private(set) var summary = Summary()

    /// Replays `trace`, and goes on until all requests are answered and the replicas that may go have gone.
    package init(trace: AutoscaleTrace, limits: ScalingLimits, service: Service, initialReplicas: Int = 0) {
        var limits = limits
        limits.maxReplicas = min(limits.maxReplicas, ConfigRange.maxReplicas.upperBound)
        limits.minReplicas = min(limits.minReplicas, limits.maxReplicas)
        var replay = AutoscaleReplay(trace: trace, limits: limits, service: service, replicas: initialReplicas)
        replay.run()
        (points, decisions, summary) = (replay.points, replay.decisions, replay.summary())
    }
}
