/// Exits, failures, and replicas that won't get anywhere.
extension DeploymentLook {
    /// Has ended replicas forgotten, and counts those that nobody asked to end.
    mutating func countExits() {
        for replica in ended {
            guard case .exited(let exit) = replica.phase else { continue }
            var note = memory.replicas[replica.id] ?? ReplicaNote()
            if !note.isExitCounted {
                note.isExitCounted = true
                memory.replicas[replica.id] = note
                takeIn(exit, of: replica, note.ending)
            }
            act(.forget(replica.id))
        }
    }

    private mutating func takeIn(_ exit: ReplicaExit, of replica: ReplicaObservation, _ ending: ReplicaNote.Ending?) {
        switch ending {
        case .drain: break
        case .unresponsive, .stuck:
            // It was counted when it was ended; only now is it known what it wrote.
            if memory.failingTemplateMark == replica.templateMark, memory.lastFailureCause != nil {
                memory.lastFailure?.lastLines = exit.lastLines
            }
        case nil:
            count(exit, of: replica, cause: nil)
            if exit.isFinal, replica.readyAt == nil, replica.templateMark == mark { hasFinalFailure = true }
        }
    }

    /// Counts a failure of a replica of this template.
    private mutating func count(_ exit: ReplicaExit, of replica: ReplicaObservation, cause: String?) {
        guard spec.intent == .running, replica.templateMark == mark else { return }
        // Its clock may be ahead of ours, or the moment unknown.
        let at = min(max(exit.at, replica.launchedAt), now)
        let isNewTry = memory.lastFailure.map { replica.launchedAt >= $0.at } ?? true
        if isNewTry, let readyAt = replica.readyAt, at.since(readyAt) >= limits.steadyAfter { memory.clearFailures() }
        // Replicas that were started together and fail together are one failure.
        if isNewTry || memory.failureCount == 0 { memory.failureCount += 1 }
        memory.failingTemplateMark = mark
        memory.lastFailure = exit
        memory.lastFailure?.at = at
        memory.lastFailureCause = cause
    }

    /// Gives up where nothing of this template is ready and another try is pointless.
    mutating func giveUpIfHopeless() {
        let isAnyReady = live.contains { $0.isReady && $0.templateMark == mark }
        if isAnyReady {
            memory.hasGivenUp = false
        } else if hasFinalFailure || memory.failureCount >= limits.failureLimit {
            memory.hasGivenUp = true
        }
    }

    /// Ends replicas by force that don't answer, that get no further with starting, or that don't finish draining.
    mutating func endUnfit() {
        var unfit: [(replica: ReplicaObservation, cause: ReplicaNote.Ending, reason: String)] = []
        for replica in live {
            if case .unresponsive(let since) = replica.phase {
                let left = limits.unresponsiveLimit - now.since(since)
                if left < .zero {
                    let reason = "it gave no answer for \(now.since(since).text)"
                    unfit.append((replica, .unresponsive, reason))
                } else {
                    check(after: left + .milliseconds(1))
                }
            }
            if let stuckFor = durationWithoutProgress(replica) {
                let left = limits.startLimit - stuckFor
                if left < .zero {
                    unfit.append((replica, .stuck, "it got no further with starting for \(stuckFor.text)"))
                } else {
                    check(after: left + .milliseconds(1))
                }
            }
        }
        for (replica, cause, _) in unfit {
            let what =
                cause == .stuck
                ? "got no further with starting for \(limits.startLimit.text)"
                : "gave no answer for \(limits.unresponsiveLimit.text)"
            count(ReplicaExit(at: now), of: replica, cause: "\(what) and was ended")
        }
        kill(unfit)
        for replica in ending where !unfit.contains(where: { $0.replica.id == replica.id }) { remind(replica) }
    }

    /// How long a starting replica has got no further; nil for others. Waiting for a place is no lack of progress.
    private mutating func durationWithoutProgress(_ replica: ReplicaObservation) -> Duration? {
        let percent: Int
        switch replica.phase {
        case .starting: percent = -1
        case .loading(let loaded): percent = loaded
        case .queued, .ready, .unresponsive, .draining, .exited:
            if memory.replicas[replica.id]?.progressAt != nil {
                memory.replicas[replica.id]?.percent = nil
                memory.replicas[replica.id]?.progressAt = nil
            }
            return nil
        }
        var note = memory.replicas[replica.id] ?? ReplicaNote()
        if let at = note.progressAt, let earlier = note.percent, percent <= earlier, at <= now { return now.since(at) }
        note.percent = percent
        note.progressAt = now
        memory.replicas[replica.id] = note
        return .zero
    }

    /// Asks a replica that was asked to end once more, where it is time.
    private mutating func remind(_ replica: ReplicaObservation) {
        guard let note = memory.replicas[replica.id], let since = note.endingSince else { return }
        let drainLeft = limits.drainLimit - now.since(since)
        let isSilent: Bool
        if case .unresponsive(let silentSince) = replica.phase {
            isSilent = now.since(silentSince) > limits.unresponsiveLimit
        } else {
            isSilent = false
        }
        let askedAgo = now.since(note.askedAt ?? since)
        if note.isKilled {
            guard askedAgo >= limits.askAgainAfter else { return check(after: limits.askAgainAfter - askedAgo) }
            ask(replica, .drain, byForce: true, "it has not ended yet")
        } else if isSilent || drainLeft < .zero {
            let reason = isSilent ? "it gives no answer" : "it was still busy after \(limits.drainLimit.text)"
            ask(replica, .drain, byForce: true, reason)
        } else if replica.phase != .draining, askedAgo >= limits.askAgainAfter {
            ask(replica, .drain, byForce: false, "it was asked before")
        } else {
            check(after: drainLeft + .milliseconds(1))
            if replica.phase != .draining { check(after: limits.askAgainAfter - askedAgo) }
        }
    }

    /// Forgets failures once a replica that was started after them has been ready for long enough.
    mutating func forgiveIfSteady() {
        guard memory.failureCount > 0, let failedAt = memory.lastFailure?.at else { return }
        for replica in live where replica.isReady && replica.templateMark == mark && replica.launchedAt >= failedAt {
            let left = limits.steadyAfter - now.since(replica.readyAt ?? replica.launchedAt)
            if left <= .zero {
                memory.clearFailures()
                return
            }
            check(after: left)
        }
    }

    /// How long to wait before the next start; zero where there is nothing to wait for.
    var backoffLeft: Duration {
        guard memory.failureCount > 0, let failedAt = memory.lastFailure?.at else { return .zero }
        let backoff = limits.backoff(failureCount: memory.failureCount)
        // A moment ahead of the clock is no reason to wait for longer.
        return failedAt > now ? backoff : max(.zero, backoff - now.since(failedAt))
    }
}
