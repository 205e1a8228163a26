import Deployments
import Synchronization

/// The replicas of a ``NullLauncher``, as processes would be those of a real one: a second launcher finds them.
package final class NullWorld: Sendable {
    private struct Entry: Sendable {
        var replica: LaunchedReplica
        var behaviour: NullLauncher.Behaviour
        var endpoint: ReplicaEndpoint?
        /// When it ends because it was told to, and whether its grace ended it.
        var stop: (at: Timestamp, isKilled: Bool)?
    }

    private struct State {
        var entries: [ReplicaID: Entry] = [:]
        var lines: [ReplicaID: [LogLine]] = [:]
        var launchCount = 0
    }

    private let state = Mutex(State())
    let feed = ChangeFeed()

    package init() {}

    /// Launches so far, refused ones too.
    package var launchCount: Int { state.withLock { $0.launchCount } }

    func nextLaunchNumber() -> Int {
        state.withLock { state in
            state.launchCount += 1
            return state.launchCount
        }
    }

    func has(_ id: ReplicaID) -> Bool { state.withLock { $0.entries[id] != nil } }

    /// False where there is one of that id already.
    func add(
        _ request: ReplicaLaunchRequest, _ behaviour: NullLauncher.Behaviour, _ endpoint: ReplicaEndpoint?,
        at now: Timestamp
    ) -> Bool {
        let isNew = state.withLock { state in
            guard state.entries[request.id] == nil else { return false }
            var replica = LaunchedReplica(
                id: request.id, deployment: request.deployment, deploymentID: request.deploymentID,
                revision: request.revision, templateMark: request.templateMark, launchedAt: now,
                state: .queued(reason: "it waits for a place"))
            replica.device = ReplicaDevice(arguments: request.arguments)
            var entry = Entry(replica: replica, behaviour: behaviour, endpoint: endpoint)
            Self.advance(&entry, to: now)
            state.entries[request.id] = entry
            state.lines[request.id] = state.lines[request.id] ?? []
            return true
        }
        if isNew { feed.tell(request.id) }
        return isNew
    }

    func list(at now: Timestamp) -> [LaunchedReplica] {
        let (replicas, changed) = state.withLock { state in
            var changed: [ReplicaID] = []
            var replicas: [LaunchedReplica] = []
            replicas.reserveCapacity(state.entries.count)
            for id in state.entries.keys {
                guard let replica = Self.look(id, &state, now, &changed) else { continue }
                replicas.append(replica)
            }
            return (replicas, changed)
        }
        for id in changed { feed.tell(id) }
        return replicas
    }

    func replica(_ id: ReplicaID, at now: Timestamp) -> LaunchedReplica? {
        let (replica, changed) = state.withLock { state in
            var changed: [ReplicaID] = []
            return (Self.look(id, &state, now, &changed), changed)
        }
        for id in changed { feed.tell(id) }
        return replica
    }

    func stop(_ id: ReplicaID, grace: Duration, at now: Timestamp) {
        let isChanged = state.withLock { state in
            var changed: [ReplicaID] = []
            guard let replica = Self.look(id, &state, now, &changed), !replica.hasEnded,
                var entry = state.entries[id]
            else { return !changed.isEmpty }
            let isKilled = max(.zero, grace) < entry.behaviour.drainDuration
            let end = now + (isKilled ? max(.zero, grace) : entry.behaviour.drainDuration)
            if entry.stop.map({ end < $0.at }) ?? true { entry.stop = (end, isKilled) }
            entry.replica.isStopping = true
            Self.advance(&entry, to: now)
            state.entries[id] = entry
            return true
        }
        if isChanged { feed.tell(id) }
    }

    func end(_ id: ReplicaID, _ exit: ReplicaExit, at now: Timestamp) {
        let isChanged = state.withLock { state in
            var changed: [ReplicaID] = []
            guard let replica = Self.look(id, &state, now, &changed), !replica.hasEnded else { return !changed.isEmpty }
            state.entries[id]?.replica.state = .ended(exit)
            state.entries[id]?.replica.endpoint = nil
            return true
        }
        if isChanged { feed.tell(id) }
    }

    func forget(_ id: ReplicaID, at now: Timestamp) {
        let isChanged = state.withLock { state in
            var changed: [ReplicaID] = []
            guard let replica = Self.look(id, &state, now, &changed), replica.hasEnded else { return !changed.isEmpty }
            state.entries[id] = nil
            return true
        }
        if isChanged { feed.tell(id) }
    }

    func say(_ line: LogLine) { state.withLock { $0.lines[line.replica]?.append(line) } }

    /// Nil where there never was such a replica.
    func lines(_ id: ReplicaID) -> [LogLine]? { state.withLock { $0.lines[id] } }

    private static func look(
        _ id: ReplicaID, _ state: inout State, _ now: Timestamp, _ changed: inout [ReplicaID]
    ) -> LaunchedReplica? {
        guard var entry = state.entries[id] else { return nil }
        let before = entry.replica
        advance(&entry, to: now)
        if entry.replica != before {
            state.entries[id] = entry
            changed.append(id)
        }
        return entry.replica
    }

    /// Brings a replica to a moment: what its behaviour and its stop have made of it by then.
    private static func advance(_ entry: inout Entry, to now: Timestamp) {
        guard !entry.replica.hasEnded else { return }
        let behaviour = entry.behaviour
        let launchedAt = entry.replica.launchedAt
        let crashAt = behaviour.crash.map { launchedAt + $0.after }
        if let crash = behaviour.crash, let crashAt, crashAt <= now, entry.stop.map({ crashAt <= $0.at }) ?? true {
            entry.replica.endpoint = nil
            entry.replica.state = .ended(
                ReplicaExit(code: crash.code, signal: crash.signal, lastLines: crash.lastLines, at: crashAt))
        } else if let stop = entry.stop, stop.at <= now {
            entry.replica.endpoint = nil
            // 9 is SIGKILL.
            entry.replica.state = .ended(
                ReplicaExit(code: stop.isKilled ? nil : 0, signal: stop.isKilled ? 9 : nil, at: stop.at))
        } else if launchedAt + behaviour.queueDuration <= now {
            entry.replica.state = .running
            if let listensAfter = behaviour.listensAfter, launchedAt + listensAfter <= now {
                entry.replica.endpoint = entry.endpoint
            }
        }
    }
}
