import ControlStore
package import Deployments
import ReplicaLaunchers
import ServingJSON

extension DeploymentReconciler {
    /// The gateway holds a request for which there is no replica.
    package func wake(_ name: DeploymentName) {
        guard let id = idsByName[name], let spec = entries[id]?.spec, spec.intent == .running else { return }
        if spec.pinnedReplicaCount == 0 { unpin(spec) }
        scaling.insert(id)
        lookAtLoad(id)
        touch(id)
    }

    /// Looks at the load of the deployments that have any, or replicas to spare.
    func lookAtLoads() {
        for name in activity() {
            if let id = idsByName[name] { scaling.insert(id) }
        }
        for id in scaling { lookAtLoad(id) }
    }

    private func lookAtLoad(_ id: String) {
        guard let entry = entries[id], entry.spec.intent == .running else {
            scaling.remove(id)
            return
        }
        let reading = load(entry.spec.name)
        let limits = ScalingLimits(entry.spec.config)
        let sample = LoadSample(
            at: clock.now(), running: reading.runningCount, queued: reading.queuedCount,
            readyReplicas: entry.readyReplicas.count, lastActivity: reading.lastActivity)
        entries[id]?.autoscaler.limits = limits
        if let decision = entries[id]?.autoscaler.decide(sample) { take(decision, of: id) }
        let isAtRest = reading.runningCount + reading.queuedCount == 0
        if isAtRest, entries[id]?.desiredReplicaCount == limits.minReplicas { scaling.remove(id) }
        // A queue that came or went changes the plan though the wanted number stays.
        if reading.queuedCount > 0, entry.readyReplicas.isEmpty { touch(id) }
    }

    private func take(_ decision: ScalingDecision, of id: String) {
        guard let entry = entries[id], entry.desiredReplicaCount != decision.to else { return }
        entries[id]?.desiredReplicaCount = decision.to
        let isPinned = entry.spec.pinnedReplicaCount != nil
        if !isPinned {
            let reason =
                decision.to == 0
                ? "ScaledToZero"
                : decision.from == 0 ? "Woken" : decision.to > decision.from ? "ScaledUp" : "ScaledDown"
            note(id, .normal, reason, decision.message, decision.data)
        }
        save(id)
        touch(id)
    }

    /// Limits that changed have their say at once.
    func limitsChanged(_ id: String, from old: DeploymentSpec) {
        guard let spec = entries[id]?.spec, spec.intent == .running else { return }
        if old.intent != .running || old.restartCount != spec.restartCount {
            // Who starts a deployment wants to see it run, also where it may scale to zero later.
            let wanted = max(entries[id]?.desiredReplicaCount ?? 0, 1, spec.config.minReplicas)
            entries[id]?.desiredReplicaCount = wanted
            entries[id]?.autoscaler = Autoscaler(
                limits: ScalingLimits(spec.config), state: AutoscalerState(resumingWith: wanted, now: clock.now()))
            save(id)
        }
        scaling.insert(id)
        lookAtLoad(id)
    }

    /// A request came for a deployment that was set to zero by hand: the autoscaler takes over again.
    private func unpin(_ spec: DeploymentSpec) {
        var changed = spec
        changed.pinnedReplicaCount = nil
        changed.generation += 1
        changed.updatedAt = clock.now()
        let event = event(
            of: spec, .normal, "Unpinned", "a request came while the number of replicas was set to 0 by hand")
        let (store, next) = (store, changed)
        Task {
            do throws(StoreError) {
                try await store.update(next, expectedGeneration: spec.generation, cause: "woken", events: [event])
                self.replace(next)
            } catch {
                // Its owner changed it at the same moment; the next request asks again.
            }
        }
    }

    // MARK: Ending

    /// Ends all replicas, at the end of a server that does not leave them to another.
    package func stopAllReplicas(within limit: Duration) async {
        let ids = entries.values.flatMap { $0.replicas.values.filter { !$0.isEnded }.map(\.id) }
        for id in ids { try? await launcher.stop(id, grace: limit) }
        let end = ContinuousClock.now + limit + .seconds(1)
        while ContinuousClock.now < end {
            let running = (try? await launcher.list())?.filter {
                if case .ended = $0.state { false } else { ids.contains($0.id) }
            }
            guard let running, !running.isEmpty else { break }
            try? await Task.sleep(for: .milliseconds(50))
        }
        for id in ids { try? await launcher.forget(id) }
    }

    // MARK: Usage

    /// Reads what replicas use and tells the history how many there are. Looks also for what the launcher's news
    /// missed.
    func readUsages() async {
        if entries.values.contains(where: { $0.liveCount > 0 }), let found = try? await launcher.list() {
            for launched in found {
                if case .ended = launched.state { await launcherChanged(launched.id) }
            }
        }
        let probe = probe
        var asked: [(String, ReplicaID, ReplicaEndpoint)] = []
        for (id, entry) in entries where entry.liveCount > 0 {
            for replica in entry.readyReplicas where replica.wantsUsage || scaling.contains(id) {
                if let endpoint = replica.endpoint { asked.append((id, replica.id, endpoint)) }
            }
        }
        let usages = await withTaskGroup(of: (String, ReplicaID, ReplicaUsage?).self) { group in
            for (id, replica, endpoint) in asked {
                group.addTask { (id, replica, await probe.usage(endpoint)) }
            }
            var usages: [(String, ReplicaID, ReplicaUsage?)] = []
            for await usage in group { usages.append(usage) }
            return usages
        }
        let now = clock.now()
        for (id, replica, usage) in usages { take(usage, replica, of: id, now) }
        for (_, entry) in entries where entry.liveCount > 0 {
            let reading = load(entry.spec.name)
            let known = entry.readyReplicas.compactMap(\.utilization)
            reportGauges(
                ReplicaGauges(
                    deployment: entry.spec.name, at: now, readyReplicas: entry.readyReplicas.count,
                    utilization: known.isEmpty ? nil : known.reduce(0, +) / Double(known.count),
                    queued: reading.queuedCount, running: reading.runningCount))
        }
    }

    private func take(_ usage: ReplicaUsage?, _ replica: ReplicaID, of id: String, _ now: Timestamp) {
        guard let tracked = entries[id]?.replicas[replica] else { return }
        guard let usage else {
            entries[id]?.replicas[replica]?.wantsUsage = false
            return
        }
        entries[id]?.replicas[replica]?.gpuMemoryBytes = usage.gpuMemoryBytes
        if let gpu = usage.gpuUtilization {
            entries[id]?.replicas[replica]?.utilization = gpu
        } else if let before = tracked.usage {
            let seconds = now.since(before.at).inSeconds
            let used = usage.cpuSeconds - before.cpuSeconds
            if seconds > 0.1, used >= 0 {
                entries[id]?.replicas[replica]?.utilization = min(1, used / seconds / Double(processorCount))
            }
        }
        entries[id]?.replicas[replica]?.usage = (usage.cpuSeconds, now)
        // Of processor time the first reading tells nothing by itself.
        let utilization = entries[id]?.replicas[replica]?.utilization
        entries[id]?.replicas[replica]?.wantsUsage = utilization.map { $0 > 0.02 } ?? (tracked.usage == nil)
    }
}
