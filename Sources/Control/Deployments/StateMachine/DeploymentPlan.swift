/// All that the state machine looks at. Replicas that were launched are among ``replicas`` from the moment of the
/// launch on, as `starting`, also before their launcher tells of them.
package struct DeploymentSituation: Sendable, Hashable {
    package var spec: DeploymentSpec
    package var memory: DeploymentMemory
    /// The replicas there are, ended ones that were not forgotten among them.
    package var replicas: [ReplicaObservation]
    /// Replicas that the autoscaler asks for; ignored where the spec pins a number or wants none.
    package var desiredReplicaCount: Int
    /// Requests that wait at the gateway for a replica.
    package var queuedRequestCount: Int
    package var now: Timestamp
    /// The mark of the spec's template, where the caller has it at hand; else it is worked out.
    package var templateMark: String?

    package init(
        spec: DeploymentSpec, memory: DeploymentMemory = DeploymentMemory(), replicas: [ReplicaObservation] = [],
        desiredReplicaCount: Int = 0, queuedRequestCount: Int = 0, now: Timestamp
    ) {
        self.spec = spec
        self.memory = memory
        self.replicas = replicas
        self.desiredReplicaCount = desiredReplicaCount
        self.queuedRequestCount = queuedRequestCount
        self.now = now
    }
}

/// What is to be done about a deployment, and how it stands.
package struct DeploymentPlan: Sendable, Hashable {
    package enum Action: Sendable, Hashable {
        /// Start a replica of the spec's template.
        case launch
        /// Take a replica out of the gateway's routes, let it finish, end it.
        case drain(ReplicaID, reason: String)
        /// End a replica by force.
        case kill(ReplicaID, reason: String)
        /// Drop an ended replica; its exit goes into the history.
        case forget(ReplicaID)
        /// Nothing is left of a deleted deployment: file it away.
        case retire
    }

    package var actions: [Action]
    package var condition: DeploymentCondition
    package var memory: DeploymentMemory
    /// When to look again though nothing changed; nil where only a change matters.
    package var nextCheck: Duration?

    /// Whether there is nothing to do.
    package var isIdle: Bool { actions.isEmpty }

    package init(
        actions: [Action] = [], condition: DeploymentCondition, memory: DeploymentMemory, nextCheck: Duration? = nil
    ) {
        self.actions = actions
        self.condition = condition
        self.memory = memory
        self.nextCheck = nextCheck
    }
}
