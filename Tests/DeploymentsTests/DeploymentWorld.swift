import Deployments

/// A deployment with its replicas, on a clock of its own; plans are carried out as a control plane and a launcher
/// would.
struct DeploymentWorld {
    var spec: DeploymentSpec
    var memory = DeploymentMemory()
    var replicas: [ReplicaObservation] = []
    var desired = 1
    var queued = 0
    var now = Timestamp(milliseconds: 1_000_000)
    var isRetired = false
    var launchCount = 0
    var limits = DeploymentLimits()

    init(minReplicas: Int = 0, maxReplicas: Int = 10) throws {
        var config = DeploymentConfig(baseModel: "m")
        config.minReplicas = minReplicas
        config.maxReplicas = maxReplicas
        spec = try DeploymentSpec(name: DeploymentName("d"), id: "1", config: config, createdAt: now)
    }

    var mark: String { spec.template.mark }

    /// What the state machine says, without doing it.
    func plan() -> DeploymentPlan {
        var situation = DeploymentSituation(
            spec: spec, memory: memory, replicas: replicas, desiredReplicaCount: desired, queuedRequestCount: queued,
            now: now)
        situation.templateMark = mark
        return DeploymentStateMachine.plan(situation, limits: limits)
    }

    /// What the state machine says, done.
    @discardableResult
    mutating func look() -> DeploymentPlan {
        let plan = plan()
        memory = plan.memory
        for action in plan.actions { perform(action) }
        return plan
    }

    mutating func perform(_ action: DeploymentPlan.Action) {
        switch action {
        case .launch: add(.starting)
        case .drain(let id, _): update(id) { $0.phase = .draining }
        case .kill(let id, _): end(id, code: nil, signal: 9)
        case .forget(let id): replicas.removeAll { $0.id == id }
        case .retire: isRetired = true
        }
    }

    @discardableResult
    mutating func add(_ phase: ReplicaPhase, mark: String? = nil, outstanding: Int = 0) -> ReplicaID {
        launchCount += 1
        let id = ReplicaID("d-\(launchCount < 10 ? "0" : "")\(launchCount)")
        replicas.append(
            ReplicaObservation(
                id: id, templateMark: mark ?? self.mark, revision: spec.revision, phase: phase, launchedAt: now,
                readyAt: phase == .ready ? now : nil, outstandingRequestCount: outstanding))
        return id
    }

    mutating func update(_ id: ReplicaID, _ change: (inout ReplicaObservation) -> Void) {
        if let position = replicas.firstIndex(where: { $0.id == id }) { change(&replicas[position]) }
    }

    mutating func makeReady(_ id: ReplicaID) {
        let now = now
        update(id) {
            $0.phase = .ready
            $0.readyAt = $0.readyAt ?? now
        }
    }

    mutating func end(_ id: ReplicaID, code: Int32? = 1, signal: Int32? = nil, lines: [String] = []) {
        let now = now
        update(id) { $0.phase = .exited(ReplicaExit(code: code, signal: signal, lastLines: lines, at: now)) }
    }

    /// Ends what drains.
    mutating func endDraining() {
        for replica in replicas where replica.phase == .draining { end(replica.id, code: 0) }
    }

    /// Makes all that start ready.
    mutating func makeAllReady() {
        for replica in replicas where !replica.hasEnded && replica.phase != .draining { makeReady(replica.id) }
    }

    mutating func pass(_ duration: Duration) { now = now + duration }

    /// A change of the config that replicas must be replaced for.
    mutating func changeTemplate() {
        spec.config.maxTotalTokens = (spec.config.maxTotalTokens ?? 10) + 1
        spec.revision += 1
    }

    var ready: [ReplicaObservation] { replicas.filter { $0.phase == .ready } }

    /// Looks, ends what drains and makes ready what starts, until nothing is to be done; nil where that never comes.
    mutating func settle(within steps: Int = 100) -> DeploymentPlan? {
        for _ in 0..<steps {
            endDraining()
            makeAllReady()
            pass(.milliseconds(100))
            let plan = look()
            if plan.actions.isEmpty { return plan }
        }
        return nil
    }
}

extension ReplicaObservation {
    var hasEnded: Bool { if case .exited = phase { true } else { false } }
}

extension DeploymentPlan {
    var launchCount: Int { actions.count { $0 == .launch } }
    var drained: [ReplicaID] { actions.compactMap { if case .drain(let id, _) = $0 { id } else { nil } } }
    var killed: [ReplicaID] { actions.compactMap { if case .kill(let id, _) = $0 { id } else { nil } } }
    var forgotten: [ReplicaID] { actions.compactMap { if case .forget(let id) = $0 { id } else { nil } } }
}
