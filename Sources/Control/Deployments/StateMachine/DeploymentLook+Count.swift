/// How many replicas of which template there are.
extension DeploymentLook {
    /// Starts and drains replicas until there are as many as there are to be, of this template.
    mutating func setCount() {
        memory.wasEverReady = memory.wasEverReady || live.contains(where: \.isReady)
        guard !live.isEmpty || target > 0 else { return }
        guard target > 0 else { return drain(live, reasonForNone) }
        guard live.count != target || hasOutdated else { return }
        drainOutdated()
        drainSurplus()
        launchMissing()
    }

    var current: [ReplicaObservation] { live.filter { $0.templateMark == mark } }
    var outdated: [ReplicaObservation] { live.filter { $0.templateMark != mark } }
    var hasOutdated: Bool { live.contains { $0.templateMark != mark } }
    var readyCount: Int { live.count(where: \.isReady) }

    private var reasonForNone: String {
        switch spec.intent {
        case .stopped: "the deployment was stopped"
        case .deleted: "the deployment was deleted"
        case .running: spec.pinnedReplicaCount == nil ? "no request came for the cooldown" : "scaled to 0 replicas"
        }
    }

    /// Drains replicas of other templates as far as replicas of this one stand in for them.
    private mutating func drainOutdated() {
        let outdated = outdated
        guard !outdated.isEmpty else { return }
        let reason = "it is replaced by revision \(spec.revision)"
        let currentReadyCount = live.count { $0.isReady && $0.templateMark == mark }
        guard currentReadyCount < target else { return drain(outdated, reason) }
        // What was never ready serves nobody, and would be replaced at once.
        drain(outdated.filter { !$0.isReady && !$0.isUnresponsive }, reason)
        let surplus = readyCount - target
        guard surplus > 0 else { return }
        drain(outdated.filter(\.isReady).sorted(by: Self.isDrainedBefore).prefix(surplus), reason)
    }

    /// Drains what is more than the target, or while replicas are replaced, more than one above it.
    private mutating func drainSurplus() {
        let current = current
        let reason = "scaled down to \(target) replica\(target == 1 ? "" : "s")"
        if current.count > target {
            drain(current.sorted(by: Self.isDrainedBefore).prefix(current.count - target), reason)
        }
        let surplus = live.count - largestLiveCount
        guard surplus > 0 else { return }
        let unready = live.filter { !$0.isReady }.sorted { left, right in
            let (isLeftOutdated, isRightOutdated) = (left.templateMark != mark, right.templateMark != mark)
            return isLeftOutdated == isRightOutdated ? Self.isDrainedBefore(left, right) : isLeftOutdated
        }
        drain(unready.prefix(surplus), reason)
    }

    /// One more than the target while replicas are replaced, so that none is missing meanwhile.
    private var largestLiveCount: Int { hasOutdated ? target + 1 : target }

    private mutating func launchMissing() {
        let current = current
        let missing = min(target - current.count, largestLiveCount - live.count)
        guard missing > 0, !memory.hasGivenUp else { return }
        guard memory.failureCount > 0 else { return launch(missing) }
        let left = backoffLeft
        guard left <= .zero else { return check(after: left) }
        // After a failure one replica tries whether it works; all of them would fail together.
        if current.contains(where: \.isReady) {
            launch(missing)
        } else if current.isEmpty {
            launch(1)
        }
    }

    /// Not ready before ready; then the newest of those that never served, the least busy and then the newest of the
    /// rest.
    static func isDrainedBefore(_ left: ReplicaObservation, _ right: ReplicaObservation) -> Bool {
        if left.isReady != right.isReady { return right.isReady }
        if left.isReady, left.outstandingRequestCount != right.outstandingRequestCount {
            return left.outstandingRequestCount < right.outstandingRequestCount
        }
        if left.launchedAt != right.launchedAt { return left.launchedAt > right.launchedAt }
        return left.id > right.id
    }
}
