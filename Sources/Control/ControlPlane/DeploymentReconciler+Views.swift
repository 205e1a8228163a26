package import ControlAPI
package import ControlStore
package import Deployments

extension DeploymentReconciler {
    /// A deployment with its replicas; nil where there is none of that name that is not deleted. Figures and addresses
    /// are the service's to add.
    package func view(named name: DeploymentName) -> DeploymentView? { idsByName[name].flatMap { view(id: $0) } }

    /// The same by its id.
    package func view(id: String) -> DeploymentView? {
        guard let entry = entries[id] else { return nil }
        let reading = load(entry.spec.name)
        var view = DeploymentView(entry.spec, entry.condition)
        view.accelerator = placement.kind(entry.spec.config)
        view.currentReplicas = entry.readyReplicas.count
        view.desiredReplicas =
            entry.spec.intent == .running ? entry.spec.pinnedReplicaCount ?? entry.desiredReplicaCount : 0
        view.replicas = entry.replicas.values.sorted { ($0.launchedAt, $0.id) < ($1.launchedAt, $1.id) }.map {
            ReplicaView($0, currentMark: entry.templateMark, requestCount: reading.outstanding[$0.id] ?? 0)
        }
        view.load = LoadView(running: reading.runningCount, queued: reading.queuedCount)
        return view
    }

    /// Those of the deployments that are not deleted meanwhile.
    package func views(of names: some Sequence<DeploymentName> & Sendable) -> [DeploymentView] {
        names.compactMap { view(named: $0) }
    }

    /// Names and ids of all deployments that are not deleted.
    package func names() -> [DeploymentName] { idsByName.keys.sorted() }

    /// How many deployments there are, and replicas that have not ended.
    package func counts() -> (deployments: Int, replicas: Int) {
        (entries.count, entries.values.reduce(0) { $0 + $1.liveCount })
    }

    /// The machine's GPUs, with how many replicas each has.
    func gpus() -> [GPUView] {
        let counts = replicaCounts()
        return placement.gpus.map { gpu in
            GPUView(
                device: gpu.device.description, name: gpu.name, memoryBytes: gpu.memoryBytes,
                replicas: counts[gpu.device] ?? 0)
        }
    }

    /// The id of a deployment that is not deleted.
    package func id(named name: DeploymentName) -> String? { idsByName[name] }

    /// What the autoscaler wants, before a pinned number has its say.
    package func desiredReplicaCount(_ id: String) -> Int { entries[id]?.desiredReplicaCount ?? 0 }

    /// Ids of a deployment's replicas that have not been forgotten.
    package func replicaIDs(_ id: String) -> [ReplicaID] {
        (entries[id]?.replicas.values.sorted { $0.launchedAt < $1.launchedAt } ?? []).map(\.id)
    }

    /// A stream of signs that a deployment changed; see ``DeploymentViewers/add(_:)``.
    package func watch(_ id: String) -> (number: Int, signs: AsyncStream<Void>)? {
        entries[id] == nil ? nil : viewers.add(id)
    }

    package func endWatch(_ id: String, _ number: Int) { viewers.remove(id, number) }
}

extension DeploymentView {
    /// A deployment without replicas.
    package init(_ spec: DeploymentSpec, _ condition: DeploymentCondition) {
        self.init(
            name: spec.name.text, uuid: spec.id, status: condition.status, model: spec.config.baseModel,
            config: spec.config.json(revealingSecrets: false), createdAt: spec.createdAt)
        description = spec.description
        statusReason = condition.reason
        statusMessage = condition.message
        maxInputLength = spec.config.maxTotalTokens.map { $0 - 1 } ?? 0
        accelerator = spec.config.accelerator ?? "cpu"
        quantization = spec.config.quantization
        pinnedReplicas = spec.pinnedReplicaCount
        usesGuaranteedCapacity = spec.config.usesGuaranteedCapacity
        revision = spec.revision
        generation = spec.generation
        updatedAt = spec.updatedAt
        notes = spec.config.notes().map { NoteView(field: $0.field, text: $0.text) }
    }

    /// A deployment that is history.
    package init(_ stored: StoredDeployment) {
        self.init(
            stored.spec,
            stored.deletedAt == nil
                ? stored.condition ?? DeploymentCondition(.pending, reason: "Recorded", message: "")
                : DeploymentCondition(.deleted, reason: "Deleted", message: "kept as history"))
        deletedAt = stored.deletedAt
    }
}

extension ReplicaView {
    init(_ replica: TrackedReplica, currentMark: String, requestCount: Int) {
        self.init(
            id: replica.id.text, phase: replica.phase.name, revision: replica.revision, launchedAt: replica.launchedAt)
        isOutdated = replica.templateMark != currentMark
        readyAt = replica.readyAt
        endpoint = replica.endpoint?.description
        processID = replica.processID.map { Int($0) }
        device = replica.device?.description
        utilization = replica.utilization
        gpuMemoryBytes = replica.gpuMemoryBytes
        requests = requestCount
        switch replica.phase {
        case .queued(let reason): message = reason
        case .loading(let percent): self.percent = percent
        case .exited(let exit): message = exit.sentence
        case .starting: message = replica.refusal ?? ""
        default: break
        }
    }
}
