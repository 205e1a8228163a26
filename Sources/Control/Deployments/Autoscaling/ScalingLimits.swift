package import ServingJSON

/// Between what the autoscaler may choose.
package struct ScalingLimits: Sendable, Hashable {
    package var minReplicas: Int
    package var maxReplicas: Int
    /// Requests that one replica handles at a time before another is started.
    package var threshold: Int
    /// How long the load must have been lower before replicas go.
    package var cooldown: Duration

    /// Limits; what can't be is set right (at least one replica may be there, and the least is not above the most).
    package init(minReplicas: Int, maxReplicas: Int, threshold: Int, cooldown: Duration) {
        self.minReplicas = max(0, minReplicas)
        self.maxReplicas = max(1, self.minReplicas, maxReplicas)
        self.threshold = max(1, threshold)
        self.cooldown = max(.zero, cooldown)
    }

    package init(_ config: DeploymentConfig) {
        self.init(
            minReplicas: config.minReplicas, maxReplicas: config.maxReplicas, threshold: config.scaleUpThreshold,
            cooldown: config.cooldown)
    }

    /// Replicas for so many requests at a time, the limits aside.
    func wanted(for load: Int) -> Int {
        guard load > 0 else { return 0 }
        return (load - 1) / threshold + 1
    }
}

/// The load of a deployment at one moment.
package struct LoadSample: Sendable, Hashable {
    package var at: Timestamp
    /// Requests that replicas are working on.
    package var running: Int
    /// Requests that wait for a replica.
    package var queued: Int
    package var readyReplicas: Int
    /// When the last request came or ended, so that one between two samples is not missed.
    package var lastActivity: Timestamp?

    package init(at: Timestamp, running: Int, queued: Int, readyReplicas: Int, lastActivity: Timestamp? = nil) {
        self.at = at
        self.running = running
        self.queued = queued
        self.readyReplicas = readyReplicas
        self.lastActivity = lastActivity
    }

    /// All requests there are; what is negative counts as none.
    var load: Int {
        let (sum, overflow) = max(0, running).addingReportingOverflow(max(0, queued))
        return overflow ? .max : sum
    }
}

/// A change of the number of replicas, with what led to it.
package struct ScalingDecision: Sendable, Hashable {
    package enum Reason: String, Sendable, Hashable, CaseIterable {
        case loadAboveThreshold = "LoadAboveThreshold"
        case cooldownOver = "CooldownOver"
        case limitsChanged = "LimitsChanged"
        /// A request came while there were no replicas.
        case woken = "Woken"
        /// No request for a whole cooldown.
        case idle = "Idle"
    }

    package var from: Int
    package var to: Int
    package var reason: Reason
    package var sample: LoadSample
    package var limits: ScalingLimits

    /// A sentence for a person.
    package var message: String {
        let change = "\(from) -> \(to) replicas"
        let load = "\(max(0, sample.running)) running + \(max(0, sample.queued)) queued"
        switch reason {
        case .loadAboveThreshold:
            let limit = to == limits.maxReplicas ? ", at most \(to)" : ""
            return "\(change): \(load) requests, one replica for each \(limits.threshold)\(limit)"
        case .woken: return "\(change): a request came (\(load))"
        case .cooldownOver:
            let most = to == limits.minReplicas ? "so many are the least" : "so many were enough"
            return "\(change): \(most) for the last \(limits.cooldown.text)"
        case .idle: return "\(change): no request for \(limits.cooldown.text)"
        case .limitsChanged:
            return "\(change): the limits are now \(limits.minReplicas) to \(limits.maxReplicas), one replica for each "
                + "\(limits.threshold) requests"
        }
    }

    /// The numbers of it, for the event's data.
    package var data: JSONObject {
        JSONObject([
            ("from", .integer(Int64(from))), ("to", .integer(Int64(to))), ("reason", .string(reason.rawValue)),
            ("running", .integer(Int64(sample.running))), ("queued", .integer(Int64(sample.queued))),
            ("readyReplicas", .integer(Int64(sample.readyReplicas))),
            ("minReplicas", .integer(Int64(limits.minReplicas))), ("maxReplicas", .integer(Int64(limits.maxReplicas))),
            ("scaleUpRequestThreshold", .integer(Int64(limits.threshold))),
            ("cooldownTime", .number(limits.cooldown.inSeconds)),
        ])
    }
}
