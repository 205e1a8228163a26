import CProcess
package import Deployments
import Glibc

/// Stopping replicas, and what the launcher's thread does between calls: it sees processes end, kills those whose grace
/// has passed, looks for endpoints and keeps logs short.
extension LocalLauncher {
    private static let tickInterval = Duration.milliseconds(100)
    private static let logInterval = Duration.seconds(1)
    private static let timesInterval = Duration.seconds(10)
    private static let cleanUpInterval = Duration.seconds(3600)

    package func stop(_ id: ReplicaID, grace: Duration) throws(LauncherError) {
        try requireOpen()
        guard let replica = replicas[id], let process = replica.process else { return }
        let deadline = ContinuousClock.now + max(.zero, grace)
        var stop = replica.stop ?? LocalReplica.Stop(deadline: deadline)
        stop.deadline = min(stop.deadline, deadline)
        if replica.stop == nil, grace > .zero {
            // First the note: a second signal means "at once" to an engine, so the next server must know of this one.
            replica.folder.noteStop()
            ReplicaProcess.signal(process, replica.descriptor, SIGTERM)
            // One that is suspended would not hear it.
            ReplicaProcess.signal(process, replica.descriptor, SIGCONT)
        }
        replicas[id]?.stop = stop
        killOverdue(id, now: ContinuousClock.now)
        if replica.stop == nil { feed.tell(id) }
    }

    private func killOverdue(_ id: ReplicaID, now: ContinuousClock.Instant) {
        guard let replica = replicas[id], let process = replica.process, let stop = replica.stop, !stop.isKilled,
            stop.deadline <= now
        else { return }
        replicas[id]?.stop?.isKilled = ReplicaProcess.signal(process, replica.descriptor, SIGKILL)
        // Where it could not be: again after a while.
        replicas[id]?.stop?.deadline = now + Self.logInterval
    }

    /// Takes the descriptors of processes that ended; says what to wait for next.
    func turn(_ ready: [Int32]) -> LauncherThread.Watch {
        guard !isClosed else { return LauncherThread.Watch() }
        let now = ContinuousClock.now
        let ended = Set(ready)
        for (id, replica) in replicas {
            guard let process = replica.process else { continue }
            if replica.descriptor >= 0 ? ended.contains(replica.descriptor) : process.hasEnded {
                finish(id, process)
            } else {
                killOverdue(id, now: now)
            }
        }
        if now >= nextTick {
            lookForEndpoints()
            nextTick = now + Self.tickInterval
        }
        if now >= nextLogCheck {
            checkLogs()
            nextLogCheck = now + Self.logInterval
        }
        if now >= nextCleanUp {
            cleanUp()
            nextCleanUp = now + Self.cleanUpInterval
        }
        return watch(now)
    }

    private func watch(_ now: ContinuousClock.Instant) -> LauncherThread.Watch {
        var watch = LauncherThread.Watch()
        var wakeAt: ContinuousClock.Instant?
        func wake(_ moment: ContinuousClock.Instant) { wakeAt = wakeAt.map { min($0, moment) } ?? moment }
        for replica in replicas.values where replica.process != nil {
            if replica.descriptor >= 0 { watch.descriptors.append(replica.descriptor) }
            if replica.endpoint == nil || replica.descriptor < 0 { wake(nextTick) }
            if let stop = replica.stop, !stop.isKilled { wake(stop.deadline) }
            wake(nextLogCheck)
        }
        watch.timeout = wakeAt.map { $0 - now }
        return watch
    }

    /// Notes the end of a process.
    private func finish(_ id: ReplicaID, _ process: ProcessIdentity) {
        guard let replica = replicas[id] else { return }
        // While the process is a zombie of ours its group's id is its own: what is left of the group is no stranger.
        if process.isCurrent { Glibc.kill(-process.pid, SIGKILL) }
        let status = ReplicaProcess.reap(process.pid)
        for mark in status == nil ? ProcessMark.processes(of: folder) : [] where mark.id == id {
            Glibc.kill(mark.process.pid, SIGKILL)
        }
        let exit = ReplicaExit(
            code: status?.code, signal: status?.signal, lastLines: replica.folder.log.lastLines(), at: clock.now())
        // Without it the next server says that nobody saw the end, which is then true of the status only.
        _ = try? replica.folder.write(exit)
        replicas[id]?.unwatch()
        replicas[id]?.state = .ended(exit)
        replicas[id]?.endpoint = nil
        feed.tell(id)
    }

    private func lookForEndpoints() {
        for (id, replica) in replicas where replica.process != nil && !replica.hasToldEndpoint {
            guard let endpoint = replica.endpoint ?? replica.folder.endpoint() else { continue }
            replicas[id]?.endpoint = endpoint
            replicas[id]?.hasToldEndpoint = true
            feed.tell(id)
        }
    }

    private func checkLogs() {
        let now = clock.now()
        for (id, replica) in replicas where replica.process != nil {
            let log = replica.folder.log
            let size = log.size
            if size != replica.notedLogSize, replica.notedAt.map({ now.since($0) >= Self.timesInterval }) ?? true {
                log.noteSize(size, at: now)
                replicas[id]?.notedLogSize = size
                replicas[id]?.notedAt = now
            }
            log.trim()
        }
    }

    private func cleanUp() {
        let running = Set(replicas.filter { $0.value.process != nil }.keys)
        for id in ReplicaAdoption.dropExpired(in: folder, keeping: running, retention, now: clock.now()) {
            if replicas.removeValue(forKey: id) != nil { feed.tell(id) }
        }
    }
}

extension LocalReplica {
    /// Opens the descriptor that tells of the process's end.
    mutating func watch() {
        guard let process, descriptor < 0 else { return }
        descriptor = pbctl_pidfd_open(process.pid)
        // The id may have come round in between; without a descriptor that is seen in the next turn.
        if descriptor >= 0, !process.isCurrent { unwatch() }
    }

    mutating func unwatch() {
        if descriptor >= 0 { Glibc.close(descriptor) }
        descriptor = -1
    }
}
