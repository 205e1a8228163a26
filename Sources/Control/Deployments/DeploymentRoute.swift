/// What the gateway has to know of a deployment to lead requests to it. The control plane publishes a new one at each
/// change.
package struct DeploymentRoute: Sendable, Hashable {
    package var name: DeploymentName
    package var deploymentID: String
    package var condition: DeploymentCondition
    /// Replicas that take requests.
    package var replicas: [RoutableReplica]
    /// Model that the replicas serve.
    package var baseModel: String
    /// Whether requests may name adapters.
    package var allowsAdapters: Bool
    /// Requests that one replica handles at a time before another is started; what the autoscaler aims at.
    package var scaleUpThreshold: Int

    package struct RoutableReplica: Sendable, Hashable {
        package var id: ReplicaID
        package var endpoint: ReplicaEndpoint

        package init(id: ReplicaID, endpoint: ReplicaEndpoint) {
            self.id = id
            self.endpoint = endpoint
        }
    }

    package init(
        name: DeploymentName, deploymentID: String, condition: DeploymentCondition, replicas: [RoutableReplica],
        baseModel: String, allowsAdapters: Bool = true, scaleUpThreshold: Int = 1
    ) {
        self.name = name
        self.deploymentID = deploymentID
        self.condition = condition
        self.replicas = replicas
        self.baseModel = baseModel
        self.allowsAdapters = allowsAdapters
        self.scaleUpThreshold = scaleUpThreshold
    }
}

/// What the gateway says of a deployment's load at one moment.
package struct LoadReading: Sendable, Hashable {
    /// Requests that replicas are working on.
    package var runningCount: Int
    /// Requests that wait at the gateway for a replica.
    package var queuedCount: Int
    /// Requests under way by replica.
    package var outstanding: [ReplicaID: Int]
    /// When the last request came or ended; nil before the first.
    package var lastActivity: Timestamp?

    package init(
        runningCount: Int = 0, queuedCount: Int = 0, outstanding: [ReplicaID: Int] = [:], lastActivity: Timestamp? = nil
    ) {
        self.runningCount = runningCount
        self.queuedCount = queuedCount
        self.outstanding = outstanding
        self.lastActivity = lastActivity
    }
}

/// One finished request, as the gateway tells the metrics history.
package struct RequestSample: Sendable, Hashable {
    package enum Outcome: String, Sendable, Hashable, CaseIterable {
        case success
        /// The client's mistake (4xx).
        case rejected
        /// Turned away: queue full or deadline over (429, 504).
        case overloaded
        /// The replica's or the gateway's failure (5xx).
        case failed
        /// The client went.
        case dropped
    }

    package var deployment: DeploymentName
    /// Nil for the base model.
    package var adapter: String?
    package var endedAt: Timestamp
    package var outcome: Outcome
    /// Waiting at the gateway and in the replica's queue.
    package var queueDuration: Duration
    /// From the first step to the last token.
    package var inferenceDuration: Duration
    package var totalDuration: Duration
    package var timeToFirstToken: Duration?
    /// Mean time between tokens.
    package var interTokenDuration: Duration?
    package var promptTokenCount: Int
    package var generatedTokenCount: Int

    package init(deployment: DeploymentName, adapter: String?, endedAt: Timestamp, outcome: Outcome) {
        self.deployment = deployment
        self.adapter = adapter
        self.endedAt = endedAt
        self.outcome = outcome
        queueDuration = .zero
        inferenceDuration = .zero
        totalDuration = .zero
        promptTokenCount = 0
        generatedTokenCount = 0
    }
}
