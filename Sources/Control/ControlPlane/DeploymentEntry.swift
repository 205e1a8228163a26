import ControlStore
import Deployments

/// One deployment as the reconciler holds it in memory.
struct DeploymentEntry: Sendable {
    var spec: DeploymentSpec
    /// The mark of the spec's template: working it out takes longer than a look.
    var templateMark: String
    var memory: DeploymentMemory
    var desiredReplicaCount: Int
    var condition: DeploymentCondition
    var replicas: [ReplicaID: TrackedReplica] = [:]
    var autoscaler: Autoscaler
    /// What the gateway was told last.
    var published: DeploymentRoute?
    /// Wakes the reconciler though nothing changed.
    var timer: Task<Void, Never>?
    /// Counts changes that viewers may want to see.
    var viewVersion = 0

    init(_ stored: StoredDeployment, now: Timestamp) {
        spec = stored.spec
        templateMark = stored.spec.template.mark
        memory = stored.memory
        desiredReplicaCount = stored.desiredReplicaCount
        condition =
            stored.condition ?? DeploymentCondition(.pending, reason: "Recorded", message: "nothing was started yet")
        autoscaler = Autoscaler(
            limits: ScalingLimits(stored.spec.config),
            state: AutoscalerState(resumingWith: stored.desiredReplicaCount, now: now))
    }

    /// A deployment that was just recorded.
    init(_ spec: DeploymentSpec, now: Timestamp) {
        self.spec = spec
        templateMark = spec.template.mark
        memory = DeploymentMemory()
        desiredReplicaCount = Self.firstReplicaCount(spec.config)
        condition = DeploymentCondition(.pending, reason: "Recorded", message: "nothing was started yet")
        autoscaler = Autoscaler(
            limits: ScalingLimits(spec.config),
            state: AutoscalerState(resumingWith: desiredReplicaCount, now: now))
    }

    /// Replicas of a new deployment: one at least, also where it may scale to zero, for only then is it known to work.
    static func firstReplicaCount(_ config: DeploymentConfig) -> Int { max(1, config.minReplicas) }

    var readyReplicas: [TrackedReplica] { replicas.values.filter(\.isReady).sorted { $0.id < $1.id } }
    /// Replicas that have not ended.
    var liveCount: Int { replicas.values.count { !$0.isEnded } }

    var route: DeploymentRoute {
        var route = DeploymentRoute(
            name: spec.name, deploymentID: spec.id, condition: condition,
            replicas: readyReplicas.compactMap { replica in
                replica.endpoint.map { DeploymentRoute.RoutableReplica(id: replica.id, endpoint: $0) }
            },
            baseModel: spec.config.baseModel, allowsAdapters: !spec.config.disablesAdapters,
            scaleUpThreshold: spec.config.scaleUpThreshold)
        // What comes while the last one goes must wait, not find a replica that refuses.
        if spec.intent != .running { route.replicas = [] }
        return route
    }
}
