import ControlStore
package import Deployments
import Logging
import ReplicaLaunchers
import ServingJSON

extension DeploymentReconciler {
    // MARK: Finding

    /// Takes in the replicas that an earlier control plane left, and ends those of deployments that are no more.
    func adopt() async throws {
        let found = try await launcher.list()
        var answering: [(ReplicaID, String, ReplicaEndpoint)] = []
        for launched in found {
            guard let id = entries[launched.deploymentID]?.spec.id else {
                logger.warning("Replica of an unknown deployment is ended", metadata: ["replica": "\(launched.id)"])
                try? await launcher.stop(launched.id, grace: .zero)
                try? await launcher.forget(launched.id)
                continue
            }
            let replica = TrackedReplica(launched)
            entries[id]?.replicas[launched.id] = replica
            if let endpoint = replica.endpoint, replica.phase == .starting {
                answering.append((launched.id, id, endpoint))
            }
        }
        // Those that answer now are led to at once: a restart of the server is no outage.
        let probe = probe
        let healthy = await withTaskGroup(of: (ReplicaID, String, Bool).self) { group in
            for (replica, id, endpoint) in answering {
                group.addTask { (replica, id, await probe.health(endpoint) == .healthy) }
            }
            var healthy: [(ReplicaID, String)] = []
            for await (replica, id, isHealthy) in group where isHealthy { healthy.append((replica, id)) }
            return healthy
        }
        let now = clock.now()
        for (replica, id, _) in answering { entries[id]?.replicas[replica]?.adoptedAt = now }
        for (replica, id) in healthy {
            entries[id]?.replicas[replica]?.phase = .ready
            entries[id]?.replicas[replica]?.readyAt = now
            note(id, .normal, "ReplicaAdopted", "\(replica) was running and goes on", replicaData(replica))
        }
        for (id, entry) in entries {
            for replica in entry.replicas.values where !replica.isEnded { startProbing(replica.id, of: id) }
        }
    }

    /// The launcher says that something about a replica changed.
    func launcherChanged(_ replica: ReplicaID) async {
        guard let id = deployment(of: replica) else { return }
        let launched = try? await launcher.replica(replica)
        // Again after the wait: it may have been forgotten meanwhile.
        guard let launched, var tracked = entries[id]?.replicas[replica] else { return }
        let wasReady = tracked.isReady
        guard tracked.take(launched) else { return }
        if tracked.isEnded {
            tracked.probing?.cancel()
            tracked.probing = nil
        }
        entries[id]?.replicas[replica] = tracked
        if wasReady, !tracked.isReady { tellGateway(id) }
        touch(id)
    }

    func deployment(of replica: ReplicaID) -> String? {
        // The name is in front of the last dash.
        guard let dash = replica.text.lastIndex(of: "-"),
            let name = try? DeploymentName(String(replica.text[..<dash])), let id = idsByName[name],
            entries[id]?.replicas[replica] != nil
        else { return entries.first { $0.value.replicas[replica] != nil }?.key }
        return id
    }

    // MARK: Actions

    func launch(_ id: String) {
        guard let spec = entries[id]?.spec else { return }
        let replica = makeReplicaID(spec.name)
        let template = spec.template
        var tracked = TrackedReplica(
            id: replica, templateMark: template.mark, revision: spec.revision, launchedAt: clock.now())
        do throws(DevicePlacement.NoSuchDevice) {
            tracked.device = try placement.device(for: spec.config, replicaCounts())
        } catch {
            // As a launch that failed, which it is: told after this look at the deployment.
            entries[id]?.replicas[replica] = tracked
            let failure = LauncherError(.refused, error.fault.description)
            Task { self.launchFailed(replica, of: id, failure) }
            return
        }
        entries[id]?.replicas[replica] = tracked
        let request = ReplicaLaunchRequest(
            id: replica, deployment: spec.name, deploymentID: id, revision: spec.revision,
            templateMark: template.mark, arguments: template.engineArguments(on: tracked.device),
            environment: template.engineEnvironment())
        let place = tracked.device.map { " on \($0)" } ?? ""
        note(id, .normal, "ReplicaLaunched", "\(replica) is starting\(place)", replicaData(replica))
        FaultPoint.launchNamed.reach()
        let launcher = launcher
        Task {
            do throws(LauncherError) {
                try await launcher.launch(request)
                FaultPoint.launchDone.reach()
                self.launched(replica, of: id)
            } catch {
                self.launchFailed(replica, of: id, error)
            }
        }
    }

    /// Replicas that have not ended, of all deployments, by device. Those that end still hold its memory.
    func replicaCounts() -> [ReplicaDevice: Int] {
        guard !placement.gpus.isEmpty else { return [:] }
        var counts: [ReplicaDevice: Int] = [:]
        for entry in entries.values {
            for replica in entry.replicas.values where !replica.isEnded {
                if let device = replica.device { counts[device, default: 0] += 1 }
            }
        }
        return counts
    }

    private func launched(_ replica: ReplicaID, of id: String) {
        guard let tracked = entries[id]?.replicas[replica], !tracked.isEnded else {
            // It was forgotten while it was on its way.
            Task { try? await self.launcher.stop(replica, grace: .zero) }
            return
        }
        if tracked.isStopping {
            // It was told to end before there was anything to tell.
            let grace = tracked.phase == .draining ? options.drainLimit : .zero
            Task { try? await self.launcher.stop(replica, grace: grace) }
        }
        startProbing(replica, of: id)
    }

    /// There is no replica after all: the next look at the deployment knows why, and tries again or gives up.
    private func launchFailed(_ replica: ReplicaID, of id: String, _ error: LauncherError) {
        guard let tracked = entries[id]?.replicas.removeValue(forKey: replica), var memory = entries[id]?.memory else {
            return
        }
        note(id, .warning, "LaunchFailed", "\(replica) could not be started: \(error.message)", replicaData(replica))
        DeploymentStateMachine.noteFailedLaunch(
            error.message, isFinal: !error.isRetryable, templateMark: tracked.templateMark, at: clock.now(), in: &memory
        )
        entries[id]?.memory = memory
        touch(id)
    }

    func drain(_ replica: ReplicaID, of id: String, _ reason: String) {
        guard let tracked = entries[id]?.replicas[replica], !tracked.isEnded else { return }
        entries[id]?.replicas[replica]?.isStopping = true
        entries[id]?.replicas[replica]?.phase = .draining
        if !tracked.isStopping {
            note(
                id, .normal, "ReplicaDraining", "\(replica) finishes what it has and ends: \(reason)",
                replicaData(replica))
        }
        // First no new requests, then the signal.
        tellGateway(id)
        FaultPoint.drainUnrouted.reach()
        let (launcher, grace) = (launcher, options.drainLimit)
        Task {
            try? await launcher.stop(replica, grace: grace)
            FaultPoint.drainTold.reach()
        }
    }

    func kill(_ replica: ReplicaID, of id: String, _ reason: String) {
        guard entries[id]?.replicas[replica]?.isEnded == false else { return }
        note(id, .warning, "ReplicaKilled", "\(replica) is ended by force: \(reason)", replicaData(replica))
        let launcher = launcher
        Task { try? await launcher.stop(replica, grace: .zero) }
    }

    func forget(_ replica: ReplicaID, of id: String) {
        guard let tracked = entries[id]?.replicas.removeValue(forKey: replica), let spec = entries[id]?.spec else {
            return
        }
        tracked.probing?.cancel()
        if case .exited(let exit) = tracked.phase {
            let how = exit.sentence
            note(
                id, tracked.isStopping ? .normal : .warning, tracked.isStopping ? "ReplicaEnded" : "ReplicaCrashed",
                "\(replica) \(how)", replicaData(replica, exit))
            writer.record(
                ReplicaRecord(
                    id: replica, deploymentID: spec.id, templateMark: tracked.templateMark, revision: tracked.revision,
                    launchedAt: tracked.launchedAt, readyAt: tracked.readyAt, endedAt: exit.at, exit: exit))
        }
        let launcher = launcher
        Task { try? await launcher.forget(replica) }
    }

    // MARK: Asking

    func startProbing(_ replica: ReplicaID, of id: String) {
        guard let tracked = entries[id]?.replicas[replica], !tracked.isEnded, tracked.probing == nil else { return }
        entries[id]?.replicas[replica]?.probing = Task { await self.keepProbing(replica, of: id) }
    }

    /// Asks a replica how it is until it has ended: often while it starts, seldom once it is ready.
    private func keepProbing(_ replica: ReplicaID, of id: String) async {
        var unansweredCount = 0
        while !Task.isCancelled, let tracked = entries[id]?.replicas[replica], !tracked.isEnded {
            guard let endpoint = tracked.endpoint else {
                await launcherChanged(replica)
                try? await Task.sleep(for: options.startingProbeInterval)
                continue
            }
            let health = await probe.health(endpoint)
            if case .unreachable = health { unansweredCount += 1 } else { unansweredCount = 0 }
            var isAnswering = false
            if health == .healthy, needsFirstToken(replica, of: id) {
                if let failure = await probe.failureToAnswer(endpoint) {
                    couldNotAnswer(replica, of: id, failure)
                } else {
                    isAnswering = true
                }
            }
            guard !Task.isCancelled else { return }
            take(health, isAnswering, unansweredCount: unansweredCount, replica, of: id)
            let now = entries[id]?.replicas[replica]
            // What is loaded and gives no token won't in the next instant either.
            let isSettled = now?.isReady == true || now?.refusal != nil
            try? await Task.sleep(for: isSettled ? options.readyProbeInterval : options.startingProbeInterval)
        }
    }

    private func needsFirstToken(_ replica: ReplicaID, of id: String) -> Bool {
        switch entries[id]?.replicas[replica]?.phase {
        case .starting, .loading, .queued: true
        default: false
        }
    }

    /// It says that it is healthy and gives no token: told once, for it is asked again and again.
    private func couldNotAnswer(_ replica: ReplicaID, of id: String, _ failure: String) {
        guard let tracked = entries[id]?.replicas[replica], !tracked.isEnded, tracked.refusal != failure else { return }
        entries[id]?.replicas[replica]?.refusal = failure
        entries[id]?.viewVersion += 1
        viewers.changed(id)
        note(
            id, .warning, "ReplicaGivesNoToken", "\(replica) is loaded and gives no token: \(failure)",
            replicaData(replica))
    }

    private func take(
        _ health: ReplicaHealth, _ isAnswering: Bool, unansweredCount: Int, _ replica: ReplicaID, of id: String
    ) {
        guard var tracked = entries[id]?.replicas[replica], !tracked.isEnded, !tracked.isStopping else { return }
        let (before, now) = (tracked.phase, clock.now())
        switch (health, tracked.phase) {
        case (.healthy, .unresponsive): tracked.phase = .ready
        case (.healthy, .ready): break
        case (.healthy, _) where isAnswering:
            tracked.phase = .ready
            tracked.readyAt = now
        case (.loading(let percent), .starting), (.loading(let percent), .loading), (.loading(let percent), .queued):
            tracked.phase = .loading(percent: percent)
        case (.unreachable, .ready) where unansweredCount >= options.unansweredProbeLimit:
            tracked.phase = .unresponsive(since: now)
        case (.unreachable, .starting) where tracked.adoptedAt.map { now.since($0) >= options.adoptedSilence } ?? false:
            tracked.phase = .unresponsive(since: now)
        case (.draining, .ready): tracked.phase = .unresponsive(since: now)
        default: break
        }
        guard tracked.phase != before else { return }
        entries[id]?.replicas[replica] = tracked
        entries[id]?.viewVersion += 1
        viewers.changed(id)
        switch tracked.phase {
        case .ready:
            let seconds = now.since(tracked.launchedAt).inSeconds
            let text = before.name == "unresponsive" ? "answers again" : "is ready after \(seconds.rounded(2)) s"
            note(id, .normal, "ReplicaReady", "\(replica) \(text)", replicaData(replica))
        case .unresponsive:
            note(id, .warning, "ReplicaUnresponsive", "\(replica) does not answer", replicaData(replica))
        default: break
        }
        touch(id)
    }

    /// The gateway could not reach a replica: it is asked now instead of in a while.
    package func replicaFailed(_ replica: ReplicaID) {
        guard let id = deployment(of: replica), let tracked = entries[id]?.replicas[replica], !tracked.isEnded else {
            return
        }
        tracked.probing?.cancel()
        entries[id]?.replicas[replica]?.probing = nil
        startProbing(replica, of: id)
        Task { await self.launcherChanged(replica) }
    }

    // MARK: Words

    func replicaData(_ replica: ReplicaID, _ exit: ReplicaExit? = nil) -> JSONObject {
        var data = JSONObject([("replica", .string(replica.text))])
        if let code = exit?.code { data["exitCode"] = .integer(Int64(code)) }
        if let signal = exit?.signal { data["signal"] = .integer(Int64(signal)) }
        if let lines = exit?.lastLines, !lines.isEmpty { data["lastLines"] = .array(lines.map { .string($0) }) }
        return data
    }
}

extension ReplicaExit {
    /// How it ended, as a predicate of a sentence.
    var sentence: String {
        let last = lastLines.last.map { ": \($0)" } ?? ""
        if let signal { return "was ended by signal \(signal)\(last)" }
        if let code { return code == 0 ? "has ended" : "ended with status \(code)\(last)" }
        return "has ended\(last)"
    }
}

extension Double {
    func rounded(_ decimals: Int) -> Double {
        let scale = (0..<decimals).reduce(1.0) { scale, _ in scale * 10 }
        return (self * scale).rounded() / scale
    }
}
