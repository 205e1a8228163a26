/// What a deployment's owner asked for, as the store keeps it.
///
/// Made by the control plane's service, read by ``DeploymentStateMachine`` and the autoscaler.
package struct DeploymentSpec: Sendable, Hashable {
    /// What its owner wants of it.
    package enum Intent: String, Sendable, Hashable, CaseIterable {
        /// As many replicas as the load asks for.
        case running
        /// None, and no request wakes it.
        case stopped
        /// None, and it is history once the last one has gone.
        case deleted
    }

    /// Unique among deployments that are not deleted.
    package var name: DeploymentName
    /// Unique for ever (a UUID in lower case).
    package var id: String
    package var description: String
    package var config: DeploymentConfig
    /// Number of `config` in the deployment's history, from 1.
    package var revision: Int
    /// Counts every change of the spec; what clients compare to see that nobody else changed it.
    package var generation: Int
    package var intent: Intent
    /// A number of replicas set by hand, which stops the autoscaler until limits are set again; nil lets it decide.
    package var pinnedReplicaCount: Int?
    /// Counts restarts: replicas of an earlier one are replaced.
    package var restartCount: Int
    package var createdAt: Timestamp
    package var updatedAt: Timestamp

    package init(
        name: DeploymentName, id: String, description: String = "", config: DeploymentConfig, createdAt: Timestamp
    ) {
        self.name = name
        self.id = id
        self.description = description
        self.config = config
        revision = 1
        generation = 1
        intent = .running
        restartCount = 0
        self.createdAt = createdAt
        updatedAt = createdAt
    }

    /// Names what a replica of this spec runs. Replicas with another template are of an earlier config or from before a
    /// restart, and are replaced; scaling limits, cooldown and description are not part of it.
    package var template: ReplicaTemplate {
        var config = config
        let defaults = DeploymentConfig(baseModel: "")
        config.cooldown = defaults.cooldown
        config.minReplicas = defaults.minReplicas
        config.maxReplicas = defaults.maxReplicas
        config.scaleUpThreshold = defaults.scaleUpThreshold
        config.usesGuaranteedCapacity = defaults.usesGuaranteedCapacity
        config.logsRequests = defaults.logsRequests
        return ReplicaTemplate(config: config, restartCount: restartCount)
    }
}
