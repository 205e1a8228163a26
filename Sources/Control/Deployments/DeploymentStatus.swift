/// Where a deployment stands, in Predibase's words.
package enum DeploymentStatus: String, Sendable, Hashable, CaseIterable {
    /// Recorded; nothing was started yet.
    case pending
    /// Its first replica is being started.
    case initializing
    /// At least one replica answers.
    case ready
    /// No replicas; a request starts one.
    case standby
    /// No replicas; only its owner starts it.
    case stopped
    /// No replicas; the last attempt to start one failed.
    case errored
    /// At least one replica answers, and replicas are being replaced after a change or a restart.
    case updating
    /// Kept as history.
    case deleted
}

/// A status with its reason, as users see it.
package struct DeploymentCondition: Sendable, Hashable {
    package var status: DeploymentStatus
    /// One word in upper camel case, stable for scripts (`ReplicasReady`, `CrashLoop`, `ModelNotFound`, ...).
    package var reason: String
    /// A sentence for a person.
    package var message: String

    package init(_ status: DeploymentStatus, reason: String, message: String) {
        self.status = status
        self.reason = reason
        self.message = message
    }
}
