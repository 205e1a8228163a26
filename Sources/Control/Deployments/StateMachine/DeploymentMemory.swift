/// What the state machine keeps from one look to the next; stored with the deployment.
package struct DeploymentMemory: Sendable, Hashable {
    /// Template that the failures below are of; others start afresh.
    package var failingTemplateMark: String?
    /// Starts and lives of replicas that failed in a row. Replicas that were started together and fail together count
    /// once.
    package var failureCount: Int
    package var lastFailure: ReplicaExit?
    /// What the last failure was, where its exit doesn't tell (`it gave no answer for 15 s`).
    package var lastFailureCause: String?
    /// Whether starting was given up until the owner changes or starts the deployment.
    package var hasGivenUp: Bool
    /// Whether a replica of this deployment was ever ready.
    package var wasEverReady: Bool
    /// What is known of replicas besides what is seen of them; those that are not seen any more are dropped.
    package var replicas: [ReplicaID: ReplicaNote]

    package init() {
        failureCount = 0
        hasGivenUp = false
        wasEverReady = false
        replicas = [:]
    }

    /// Starts afresh, as if nothing had failed. For a deployment that its owner starts again without having changed it.
    package mutating func clearFailures() {
        failingTemplateMark = nil
        failureCount = 0
        lastFailure = nil
        lastFailureCause = nil
        hasGivenUp = false
    }
}

/// What the state machine remembers of one replica.
package struct ReplicaNote: Sendable, Hashable {
    /// Why a replica was asked to end.
    package enum Ending: String, Sendable, Hashable {
        /// It is not needed any more; its exit is no failure.
        case drain
        /// It did not answer.
        case unresponsive
        /// It did not get further with starting.
        case stuck
    }

    package var ending: Ending?
    /// When it was first asked to end.
    package var endingSince: Timestamp?
    /// When it was last asked, by draining or by force; it is asked again where nothing comes of it.
    package var askedAt: Timestamp?
    /// Whether it was to be ended by force.
    package var isKilled: Bool
    /// How far it had got with loading, and when it was first seen there; not stored.
    package var percent: Int?
    package var progressAt: Timestamp?
    /// Whether its exit was dealt with, though it is not forgotten yet.
    package var isExitCounted: Bool

    package init() {
        isKilled = false
        isExitCounted = false
    }
}
