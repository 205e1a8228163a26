package import ControlStore
package import Deployments
import Glibc
package import Logging
package import ReplicaLaunchers
import ServingJSON

/// Brings the world to what specs ask for: starts, watches, replaces and ends replicas.
///
/// Called by ``DeploymentService`` (specs that changed), by the gateway (requests that wait, replicas that refuse) and
/// by the launcher's news; calls the pure ``DeploymentStateMachine`` and performs its actions. Work is by deployment
/// and by change: what is at rest costs nothing. Everything it knows of replicas can be found out again, so it may be
/// killed at any point.
package actor DeploymentReconciler {
    let store: ControlStore
    let launcher: any ReplicaLauncher
    let probe: any ReplicaProbing
    let clock: any ControlClock
    let options: ReconcilerOptions
    /// The devices of the machine that replicas run on.
    let placement: DevicePlacement
    let writer: ProgressWriter
    let logger: Logger
    /// What the gateway says of a deployment's load.
    let load: @Sendable (DeploymentName) -> LoadReading
    /// Deployments whose requests at the gateway came or went since the last call.
    let activity: @Sendable () -> [DeploymentName]
    /// Tells the gateway of a change.
    let publish: @Sendable (RouteChange) -> Void
    /// Told once every few seconds about each deployment with replicas.
    let reportGauges: @Sendable (ReplicaGauges) -> Void

    var entries: [String: DeploymentEntry] = [:]
    var idsByName: [DeploymentName: String] = [:]
    /// Deployments whose load is looked at: those with replicas to spare or with requests.
    var scaling: Set<String> = []
    private var dirty: Set<String> = []
    /// What a replica's CPU time is a share of.
    let processorCount: Int
    private var random = SystemRandomNumberGenerator()
    var viewers = DeploymentViewers()

    /// A change that the gateway has to know.
    package enum RouteChange: Sendable, Hashable {
        case changed(DeploymentRoute)
        case removed(DeploymentName)
    }

    package init(
        store: ControlStore, launcher: any ReplicaLauncher, probe: any ReplicaProbing, clock: any ControlClock,
        options: ReconcilerOptions = ReconcilerOptions(), placement: DevicePlacement = DevicePlacement(),
        logger: Logger,
        load: @escaping @Sendable (DeploymentName) -> LoadReading,
        activity: @escaping @Sendable () -> [DeploymentName],
        publish: @escaping @Sendable (RouteChange) -> Void,
        reportGauges: @escaping @Sendable (ReplicaGauges) -> Void = { _ in }
    ) {
        self.store = store
        self.launcher = launcher
        self.probe = probe
        self.clock = clock
        self.options = options
        self.placement = placement
        self.logger = logger
        self.load = load
        self.activity = activity
        processorCount = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        self.publish = publish
        self.reportGauges = reportGauges
        writer = ProgressWriter(store: store)
    }

    // MARK: Life

    /// Reads all deployments and finds the replicas that still run. To be called once, before ``run()``.
    package func start() async throws {
        let now = clock.now()
        for stored in try await store.deployments(includingDeleted: false) {
            entries[stored.spec.id] = DeploymentEntry(stored, now: now)
            idsByName[stored.spec.name] = stored.spec.id
        }
        try await adopt()
        for (id, entry) in entries {
            touch(id)
            if entry.desiredReplicaCount != entry.spec.config.minReplicas { scaling.insert(id) }
        }
        settle()
    }

    /// Works until the task is cancelled. Replicas go on running.
    package func run() async {
        let changes = launcher.changes()
        await withDiscardingTaskGroup { group in
            group.addTask { await self.writer.run() }
            group.addTask { for await id in changes { await self.launcherChanged(id) } }
            group.addTask {
                while !Task.isCancelled {
                    try? await Task.sleep(for: self.options.scalingInterval)
                    await self.lookAtLoads()
                }
            }
            group.addTask {
                while !Task.isCancelled {
                    try? await Task.sleep(for: self.options.usageInterval)
                    await self.readUsages()
                }
            }
        }
        for entry in entries.values {
            entry.timer?.cancel()
            for replica in entry.replicas.values { replica.probing?.cancel() }
        }
        await writer.flush()
    }

    /// Why what was found out can't be written just now; nil where it can.
    package var storeFailure: StoreError? { writer.lastFailure }

    // MARK: Specs

    /// Takes in a deployment that was just recorded.
    package func add(_ spec: DeploymentSpec) {
        guard entries[spec.id] == nil else { return }
        entries[spec.id] = DeploymentEntry(spec, now: clock.now())
        idsByName[spec.name] = spec.id
        // The first replica is more than some deployments need: the autoscaler gives it up after a while.
        scaling.insert(spec.id)
        save(spec.id)
        touch(spec.id)
    }

    /// Takes in a spec that was recorded anew; an older one than known is left out.
    package func replace(_ spec: DeploymentSpec) {
        guard let known = entries[spec.id]?.spec, known.generation < spec.generation else { return }
        entries[spec.id]?.spec = spec
        entries[spec.id]?.templateMark = spec.template.mark
        // What was given up is tried again when its owner starts it; another template is another matter by itself.
        if known.intent != spec.intent || known.restartCount != spec.restartCount {
            entries[spec.id]?.memory.clearFailures()
        }
        limitsChanged(spec.id, from: known)
        touch(spec.id)
    }

    func spec(named name: DeploymentName) -> DeploymentSpec? { idsByName[name].flatMap { entries[$0]?.spec } }

    // MARK: Reconciling

    /// Has a deployment looked at soon.
    func touch(_ id: String) {
        guard dirty.insert(id).inserted, dirty.count == 1 else { return }
        Task { self.settle() }
    }

    /// Looks at everything that changed, until nothing is left to do.
    private func settle() {
        while let id = dirty.popFirst() { reconcile(id) }
    }

    private func reconcile(_ id: String) {
        guard let entry = entries[id] else { return }
        let reading = load(entry.spec.name)
        var situation = DeploymentSituation(
            spec: entry.spec, memory: entry.memory,
            replicas: entry.replicas.values.map { $0.observation(outstanding: reading.outstanding) },
            desiredReplicaCount: entry.desiredReplicaCount, queuedRequestCount: reading.queuedCount, now: clock.now())
        situation.templateMark = entry.templateMark
        let plan = DeploymentStateMachine.plan(situation)
        let hasProgress =
            (plan.memory != entry.memory && plan.memory.storedJSON != entry.memory.storedJSON)
            || plan.condition.status != entry.condition.status
            || plan.condition.reason != entry.condition.reason
        entries[id]?.memory = plan.memory
        if plan.condition != entry.condition { take(plan.condition, of: id) }
        for action in plan.actions { perform(action, of: id) }
        guard entries[id] != nil else { return }
        if hasProgress { save(id) }
        tellGateway(id)
        setTimer(plan.nextCheck, of: id)
        guard !plan.actions.isEmpty else { return }
        // Replicas came, began to drain or were forgotten, which the condition need not show.
        entries[id]?.viewVersion += 1
        viewers.changed(id)
        dirty.insert(id)
    }

    private func take(_ condition: DeploymentCondition, of id: String) {
        guard let old = entries[id]?.condition else { return }
        entries[id]?.condition = condition
        entries[id]?.viewVersion += 1
        viewers.changed(id)
        // That it is deleted is told when it is filed away.
        guard old.status != condition.status || old.reason != condition.reason, condition.status != .deleted else {
            return
        }
        let isBad = condition.status == .errored || ["CrashLoop", "RolloutStalled"].contains(condition.reason)
        note(
            id, isBad ? .warning : .normal, condition.reason, condition.message,
            JSONObject([
                ("status", .string(condition.status.rawValue)), ("from", .string(old.status.rawValue)),
            ]))
    }

    private func perform(_ action: DeploymentPlan.Action, of id: String) {
        switch action {
        case .launch: launch(id)
        case .drain(let replica, let reason): drain(replica, of: id, reason)
        case .kill(let replica, let reason): kill(replica, of: id, reason)
        case .forget(let replica): forget(replica, of: id)
        case .retire: retire(id)
        }
    }

    private func setTimer(_ delay: Duration?, of id: String) {
        entries[id]?.timer?.cancel()
        guard let delay else {
            entries[id]?.timer = nil
            return
        }
        entries[id]?.timer = Task {
            do { try await Task.sleep(for: max(delay, .milliseconds(10))) } catch { return }
            self.touch(id)
        }
    }

    /// A deleted deployment has no replicas left: it becomes history.
    private func retire(_ id: String) {
        guard let entry = entries.removeValue(forKey: id) else { return }
        entry.timer?.cancel()
        if idsByName[entry.spec.name] == id { idsByName[entry.spec.name] = nil }
        scaling.remove(id)
        publish(.removed(entry.spec.name))
        viewers.ended(id)
        writer.forget(id)
        let event = event(of: entry.spec, .normal, "Deleted", "all replicas have ended; kept as history")
        FaultPoint.retireDecided.reach()
        Task { await self.fileAway(id, event) }
    }

    private func fileAway(_ id: String, _ event: DeploymentEvent) async {
        while !Task.isCancelled {
            do throws(StoreError) {
                try await store.retire(id, at: clock.now(), event: event)
                FaultPoint.retireRecorded.reach()
                return
            } catch {
                // The intent is on disk: whoever starts next files it away.
                guard error.isRetryable, (try? await Task.sleep(for: .seconds(1))) != nil else { return }
            }
        }
    }

    /// Tells the gateway what changed for it.
    func tellGateway(_ id: String) {
        guard let entry = entries[id] else { return }
        let route = entry.route
        guard route != entry.published else { return }
        entries[id]?.published = route
        publish(.changed(route))
    }

    /// Has what is known of a deployment written.
    func save(_ id: String) {
        guard let entry = entries[id] else { return }
        writer.save(
            DeploymentProgress(
                id: id, condition: entry.condition, desiredReplicaCount: entry.desiredReplicaCount,
                memory: entry.memory))
    }

    // MARK: Events

    func event(
        of spec: DeploymentSpec, _ severity: DeploymentEvent.Severity, _ reason: String, _ message: String,
        _ data: JSONObject = JSONObject()
    ) -> DeploymentEvent {
        DeploymentEvent(
            deploymentID: spec.id, deployment: spec.name, at: clock.now(), severity: severity, reason: reason,
            message: message, data: data)
    }

    func note(
        _ id: String, _ severity: DeploymentEvent.Severity, _ reason: String, _ message: String,
        _ data: JSONObject = JSONObject()
    ) {
        guard let spec = entries[id]?.spec else { return }
        writer.append(event(of: spec, severity, reason, message, data))
    }

    /// A name for a new replica: ten digits of 32 are enough to be unique for ever on one machine.
    func makeReplicaID(_ name: DeploymentName) -> ReplicaID {
        let alphabet = Array("abcdefghijkmnpqrstuvwxyz23456789")
        let suffix = String((0..<10).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &random)] })
        return ReplicaID("\(name)-\(suffix)")
    }
}
