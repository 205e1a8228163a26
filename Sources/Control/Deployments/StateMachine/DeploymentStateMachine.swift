/// The rules by which replicas of a deployment are started, replaced and ended. Called by the reconciler at each change
/// and when a plan's ``DeploymentPlan/nextCheck`` is over; what it answers is all that the reconciler does.
///
/// A look has no effect of its own, and looking twice does no harm: what was asked for is remembered, and asked for
/// again only where nothing came of it. The plan's memory is to be given to the next look.
package enum DeploymentStateMachine {
    package static func plan(
        _ situation: DeploymentSituation, limits: DeploymentLimits = DeploymentLimits()
    ) -> DeploymentPlan {
        var look = DeploymentLook(situation, limits)
        look.countExits()
        look.endUnfit()
        look.giveUpIfHopeless()
        look.forgiveIfSteady()
        look.setCount()
        return look.plan()
    }

    /// Remembers that a replica could not even be launched; the next look says when to try again.
    /// - Parameter isFinal: whether another try must fail as well; otherwise it goes on being tried for ever, because
    ///   the fault (no room, a cluster that doesn't answer) is not the deployment's.
    package static func noteFailedLaunch(
        _ message: String, isFinal: Bool, templateMark: String, at now: Timestamp, in memory: inout DeploymentMemory,
        limits: DeploymentLimits = DeploymentLimits()
    ) {
        if memory.failingTemplateMark != templateMark { memory.clearFailures() }
        memory.failingTemplateMark = templateMark
        // Launches are made together or after the pause; what fails within it belongs to the same try.
        let pause = limits.backoff(failureCount: memory.failureCount)
        let isSameTry = memory.lastFailure.map { now.since($0.at) < pause } ?? false
        if !isSameTry { memory.failureCount += 1 }
        if !isFinal { memory.failureCount = min(memory.failureCount, max(1, limits.failureLimit - 1)) }
        memory.lastFailure = ReplicaExit(at: now)
        memory.lastFailureCause = "could not be launched: \(message)"
        if isFinal { memory.hasGivenUp = true }
    }
}

/// One look at a deployment, while it is under way.
struct DeploymentLook {
    let spec: DeploymentSpec
    let limits: DeploymentLimits
    let now: Timestamp
    /// How many replicas there are to be.
    let target: Int
    let queuedRequestCount: Int
    let mark: String
    var memory: DeploymentMemory
    private(set) var actions: [DeploymentPlan.Action] = []
    private(set) var nextCheck: Duration?
    /// Replicas that have ended.
    private(set) var ended: [ReplicaObservation] = []
    /// Replicas that were asked to end.
    private(set) var ending: [ReplicaObservation] = []
    /// The rest.
    private(set) var live: [ReplicaObservation] = []
    private(set) var launchCount = 0
    /// Whether a replica ended in this look in a way that every further one would.
    var hasFinalFailure = false

    init(_ situation: DeploymentSituation, _ limits: DeploymentLimits) {
        spec = situation.spec
        self.limits = limits
        now = situation.now
        memory = situation.memory
        queuedRequestCount = max(0, situation.queuedRequestCount)
        target = Self.target(situation)
        let needsMark = !situation.replicas.isEmpty || target > 0 || memory.failingTemplateMark != nil
        mark = needsMark ? situation.templateMark ?? situation.spec.template.mark : ""
        if spec.intent != .running || memory.failingTemplateMark.map({ $0 != mark }) == true { memory.clearFailures() }
        sortReplicas(situation.replicas)
    }

    /// The most replicas that anything may ask for.
    static let largestTarget = ConfigRange.maxReplicas.upperBound

    private static func target(_ situation: DeploymentSituation) -> Int {
        guard situation.spec.intent == .running else { return 0 }
        let config = situation.spec.config
        let asked =
            situation.spec.pinnedReplicaCount
            ?? min(max(situation.desiredReplicaCount, config.minReplicas), config.maxReplicas)
        let isAwaited = situation.queuedRequestCount > 0
        return min(max(asked, isAwaited ? 1 : 0), largestTarget)
    }

    /// Sorts replicas by what became of them. Where one is told of twice, an exit counts, else what came first.
    private mutating func sortReplicas(_ replicas: [ReplicaObservation]) {
        guard !replicas.isEmpty || !memory.replicas.isEmpty else { return }
        var seen: [ReplicaID: Bool] = [:]
        for replica in replicas where replica.hasEnded && seen.updateValue(true, forKey: replica.id) == nil {
            ended.append(replica)
        }
        for replica in replicas where !replica.hasEnded && seen.updateValue(true, forKey: replica.id) == nil {
            if replica.phase == .draining, memory.replicas[replica.id]?.ending == nil {
                memory.replicas[replica.id, default: ReplicaNote()].ending = .drain
                memory.replicas[replica.id]?.endingSince = now
            }
            if memory.replicas[replica.id]?.ending == nil { live.append(replica) } else { ending.append(replica) }
        }
        guard !memory.replicas.isEmpty else { return }
        memory.replicas = memory.replicas.filter { seen[$0.key] != nil }
        for id in memory.replicas.keys { memory.replicas[id]?.bringToPresent(now) }
    }

    // MARK: - Asking

    /// Asks for another look after a time, unless one is asked for sooner.
    mutating func check(after duration: Duration) {
        let duration = max(duration, .milliseconds(1))
        nextCheck = min(nextCheck ?? duration, duration)
    }

    mutating func act(_ action: DeploymentPlan.Action) { actions.append(action) }

    mutating func launch(_ count: Int) {
        launchCount += count
        for _ in 0..<count { actions.append(.launch) }
    }

    /// Drains live replicas.
    mutating func drain(_ replicas: some Sequence<ReplicaObservation>, _ reason: String) {
        var ids: Set<ReplicaID> = []
        for replica in replicas {
            ids.insert(replica.id)
            ask(replica, .drain, byForce: false, reason)
        }
        guard !ids.isEmpty else { return }
        ending += live.filter { ids.contains($0.id) }
        live.removeAll { ids.contains($0.id) }
    }

    /// Asks a replica to end.
    mutating func ask(_ replica: ReplicaObservation, _ cause: ReplicaNote.Ending, byForce: Bool, _ reason: String) {
        var note = memory.replicas[replica.id] ?? ReplicaNote()
        note.ending = note.ending ?? cause
        note.endingSince = note.endingSince ?? now
        note.askedAt = now
        note.isKilled = note.isKilled || byForce
        memory.replicas[replica.id] = note
        act(byForce ? .kill(replica.id, reason: reason) : .drain(replica.id, reason: reason))
        check(after: byForce ? limits.askAgainAfter : limits.drainLimit)
    }

    /// Takes replicas that are to be ended by force out of the live ones.
    mutating func kill(_ replicas: [(replica: ReplicaObservation, cause: ReplicaNote.Ending, reason: String)]) {
        guard !replicas.isEmpty else { return }
        for (replica, cause, reason) in replicas { ask(replica, cause, byForce: true, reason) }
        let ids = Set(replicas.map(\.replica.id))
        ending += live.filter { ids.contains($0.id) }
        live.removeAll { ids.contains($0.id) }
    }
}

extension ReplicaNote {
    /// Makes up for a clock that was set back, which would have the limits last for longer, and for what wasn't stored.
    fileprivate mutating func bringToPresent(_ now: Timestamp) {
        if ending != nil, endingSince.map({ $0 > now }) ?? true { endingSince = now }
        if let moment = askedAt, moment > now { askedAt = now }
        if let moment = progressAt, moment > now { progressAt = now }
    }
}

extension ReplicaObservation {
    var hasEnded: Bool { if case .exited = phase { true } else { false } }
    var isReady: Bool { phase == .ready }
    var isUnresponsive: Bool { if case .unresponsive = phase { true } else { false } }
    var isQueued: Bool { if case .queued = phase { true } else { false } }
}
