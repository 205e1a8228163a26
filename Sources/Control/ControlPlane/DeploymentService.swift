package import ControlAPI
package import ControlStore
package import Deployments
import ServingJSON

/// What owners can do with deployments: every change is on disk before it is answered, then the reconciler sees to it.
///
/// Called by the routes; calls the store and the ``DeploymentReconciler``. Changes of one deployment by several clients
/// at once each happen, one after the other; a client that names the generation it saw is told when it is not the
/// newest any more.
package struct DeploymentService: Sendable {
    let store: ControlStore
    let reconciler: DeploymentReconciler
    let clock: any ControlClock
    /// A new id for a deployment.
    let makeID: @Sendable () -> String

    package init(
        store: ControlStore, reconciler: DeploymentReconciler, clock: any ControlClock,
        makeID: @escaping @Sendable () -> String
    ) {
        self.store = store
        self.reconciler = reconciler
        self.clock = clock
        self.makeID = makeID
    }

    // MARK: Making

    /// Records a deployment and has its first replica started.
    package func create(_ request: DeploymentRequest, isDryRun: Bool) async throws(ControlError) -> DeploymentView {
        guard let text = request.name else { throw ControlError(.malformed, "name: expected the deployment's name") }
        let name = try parsed(name: text)
        let config = try Self.config { () throws(DeploymentConfigError) in
            try DeploymentConfig(creating: .object(request.config ?? JSONObject()))
        }
        let spec = DeploymentSpec(
            name: name, id: makeID(), description: try Self.checked(description: request.description ?? ""),
            config: config, createdAt: clock.now())
        try checkDevice(config)
        if isDryRun {
            if await reconciler.id(named: name) != nil { throw Self.nameTaken(name) }
            return DeploymentView(
                spec, DeploymentCondition(.pending, reason: "DryRun", message: "nothing was recorded"))
        }
        FaultPoint.createChecked.reach()
        let event = event(spec, "Created", "made with model \(config.baseModel)", ["revision": 1])
        do throws(StoreError) {
            try await store.insert(
                spec, desiredReplicaCount: DeploymentEntry.firstReplicaCount(spec.config), event: event)
        } catch {
            if error.code == .nameTaken { throw Self.nameTaken(name) }
            throw ControlError(error)
        }
        FaultPoint.createRecorded.reach()
        await reconciler.add(spec)
        FaultPoint.createKnown.reach()
        return await reconciler.view(id: spec.id) ?? DeploymentView(spec, Self.recorded)
    }

    // MARK: Changing

    /// Changes a deployment's config or description; replicas are replaced one by one where the change needs it.
    package func update(
        _ name: String, _ request: DeploymentRequest, generation: Int?, isDryRun: Bool
    ) async throws(ControlError) -> DeploymentView {
        let description = try request.description.map { text throws(ControlError) in
            try Self.checked(description: text)
        }
        return try await change(name, generation: generation, isDryRun: isDryRun, cause: "updated") {
            spec throws(ControlError) in
            let old = spec.config
            if let config = request.config {
                spec.config = try Self.config { () throws(DeploymentConfigError) in
                    try old.updated(by: .object(config))
                }
                // What an earlier server let pass is no reason to refuse another change.
                if spec.config.computeSpec != old.computeSpec { try checkDevice(spec.config) }
            }
            if let description { spec.description = description }
            let fields = spec.config.fieldsDiffering(from: old).map(\.wireName)
            let what = fields.isEmpty ? "description" : fields.joined(separator: ", ")
            return ("Updated", "changed \(what)", ["fields": .array(fields.map { .string($0) })])
        }
    }

    /// Lets a stopped deployment run, or one that was given up be tried again. Nothing happens to one that runs.
    package func start(_ name: String) async throws(ControlError) -> DeploymentView {
        let isErrored = try await view(name).status == .errored
        return try await change(name, cause: "started") { spec throws(ControlError) in
            if isErrored, spec.intent == .running { spec.restartCount += 1 }
            spec.intent = .running
            if spec.pinnedReplicaCount == 0 { spec.pinnedReplicaCount = nil }
            return ("Started", "asked to run", [:])
        }
    }

    /// Ends all replicas once they have finished what they have; no request wakes it.
    package func stop(_ name: String) async throws(ControlError) -> DeploymentView {
        try await change(name, cause: "stopped") { spec throws(ControlError) in
            spec.intent = .stopped
            return ("Stopped", "asked to stop; only 'start' lets it run again", [:])
        }
    }

    /// Replaces all replicas, a new one ready before an old one goes.
    package func restart(_ name: String) async throws(ControlError) -> DeploymentView {
        try await change(name, cause: "restarted") { spec throws(ControlError) in
            guard spec.intent == .running else {
                throw ControlError(
                    .invalidState, "deployment \"\(name)\" is stopped", hint: "pbctl start \(name)")
            }
            spec.restartCount += 1
            return ("Restarted", "asked to replace its replicas", [:])
        }
    }

    /// Ends all replicas and keeps the deployment as history; its name is free once the last one has gone.
    package func delete(_ name: String) async throws(ControlError) -> DeploymentView {
        let parsed = try parsed(name: name)
        if let spec = await reconciler.spec(named: parsed), spec.intent == .deleted { return try await view(name) }
        let id = await reconciler.id(named: parsed)
        let changed = try await change(name, cause: "deleted") { spec throws(ControlError) in
            spec.intent = .deleted
            return ("DeletionAsked", "asked to delete", [:])
        }
        // It may be history by now.
        guard let id, let view = await reconciler.view(id: id) else {
            return changed
        }
        return view
    }

    // MARK: Scaling

    /// Sets the number of replicas by hand, or the limits within which the autoscaler decides.
    package func scale(_ name: String, _ request: ScaleRequest) async throws(ControlError) -> DeploymentView {
        let before = try await view(name).desiredReplicas
        let desired = await reconciler.id(named: try parsed(name: name))
        let wanted: Int = if let desired { await reconciler.desiredReplicaCount(desired) } else { 0 }
        var view = try await change(name, cause: "scaled") { spec throws(ControlError) in
            guard spec.intent == .running else {
                throw ControlError(
                    .invalidState, "deployment \"\(name)\" is stopped, so it has no replicas to scale",
                    hint: "pbctl start \(name)")
            }
            switch request {
            case .replicas(let count): return try Self.pin(count, in: &spec, before)
            case .delta(let change):
                let (sum, overflow) = (spec.pinnedReplicaCount ?? wanted).addingReportingOverflow(change)
                return try Self.pin(overflow ? -1 : max(sum, change < 0 ? min(sum, 0) : sum), in: &spec, before)
            case .automatic:
                spec.pinnedReplicaCount = nil
                return ("Unpinned", "the autoscaler decides again", ["from": .integer(Int64(before))])
            case .limits(let limits):
                let old = spec.config
                spec.config = try Self.config { () throws(DeploymentConfigError) in
                    try old.updated(by: .object(limits.json))
                }
                spec.pinnedReplicaCount = nil
                return ("LimitsChanged", Self.sentence(spec.config), .object(limits.json))
            }
        }
        view.replicasBefore = before
        return view
    }

    private static func pin(
        _ count: Int, in spec: inout DeploymentSpec, _ before: Int
    ) throws(ControlError) -> (reason: String, message: String, JSONValue) {
        guard (0...1000).contains(count) else {
            throw ControlError(
                .invalidConfig, "replicas \(count): expected 0 to 1000",
                faults: [ConfigFault(field: "replicas", value: .integer(Int64(count)), expected: "0 to 1000")])
        }
        spec.pinnedReplicaCount = count
        return (
            "Scaled", "set from \(before) to \(count) by hand; the autoscaler rests",
            ["from": .integer(Int64(before)), "to": .integer(Int64(count))]
        )
    }

    private static func sentence(_ config: DeploymentConfig) -> String {
        "\(config.minReplicas) to \(config.maxReplicas) replicas, one for \(config.scaleUpThreshold) "
            + "request\(config.scaleUpThreshold == 1 ? "" : "s") at a time, down after "
            + "\(config.cooldown.components.seconds) s"
    }

    // MARK: History

    /// Goes back to an earlier config, as a new revision; nil takes the one before.
    package func rollBack(_ name: String, to revision: Int?) async throws(ControlError) -> DeploymentView {
        let spec = try await spec(name)
        let target = revision ?? spec.revision - 1
        guard revision != nil || target > 0 else {
            throw ControlError(
                .invalidState, "deployment \"\(name)\" is at its first revision: there is none to go back to")
        }
        guard target != spec.revision else {
            throw ControlError(.invalidState, "deployment \"\(name)\" is at revision \(target)")
        }
        let found: DeploymentRevision?
        do throws(StoreError) {
            found = try await store.revision(of: spec.id, number: target)
        } catch {
            throw ControlError(error)
        }
        guard let found else {
            throw ControlError(
                .notFound, "deployment \"\(name)\" has no revision \(target)", hint: "pbctl rollout history \(name)")
        }
        return try await change(name, cause: "rolled back to \(target)") { spec throws(ControlError) in
            spec.config = found.config
            return (
                "RolledBack", "back to the config of revision \(target)", ["revision": .integer(Int64(target))]
            )
        }
    }

    /// All configs that a deployment had, newest first.
    package func revisions(_ name: String) async throws(ControlError) -> [RevisionView] {
        let spec = try await spec(name)
        do throws(StoreError) {
            return try await store.revisions(of: spec.id).sorted { $0.number > $1.number }.map { revision in
                RevisionView(
                    revision: revision.number, createdAt: revision.createdAt, cause: revision.cause,
                    config: revision.config.json(revealingSecrets: false), isCurrent: revision.number == spec.revision)
            }
        } catch {
            throw ControlError(error)
        }
    }

    // MARK: Looking

    /// A deployment by name, or by its id also where it is history.
    package func view(_ reference: String) async throws(ControlError) -> DeploymentView {
        if let name = try? DeploymentName(reference), let view = await reconciler.view(named: name) { return view }
        if let view = await reconciler.view(id: reference) { return view }
        do throws(StoreError) {
            if let stored = try await store.deployment(id: reference) { return DeploymentView(stored) }
        } catch {
            throw ControlError(error)
        }
        throw await missing(reference)
    }

    /// Deployments that are history.
    package func history() async throws(ControlError) -> [StoredDeployment] {
        do throws(StoreError) {
            return try await store.deployments(includingDeleted: true).filter { $0.deletedAt != nil }
        } catch {
            throw ControlError(error)
        }
    }

    /// The spec of a deployment that is not deleted.
    package func spec(_ name: String) async throws(ControlError) -> DeploymentSpec {
        let parsed = try parsed(name: name)
        guard let spec = await reconciler.spec(named: parsed) else { throw await missing(name) }
        return spec
    }

    // MARK: The change itself

    typealias Change = (inout DeploymentSpec) throws(ControlError) -> (reason: String, message: String, JSONValue)

    /// Changes a spec as it is now, records it and hands it on. A change that changes nothing is none.
    private func change(
        _ name: String, generation: Int? = nil, isDryRun: Bool = false, cause: String, _ body: Change
    ) async throws(ControlError) -> DeploymentView {
        var attempt = 0
        while true {
            var spec = try await spec(name)
            if let generation, spec.generation != generation {
                throw ControlError(
                    .conflict,
                    "deployment \"\(name)\" was changed meanwhile: generation \(spec.generation), not \(generation)",
                    hint: "look at it again, then repeat the change")
            }
            let before = spec
            guard spec.intent != .deleted else {
                throw ControlError(.invalidState, "deployment \"\(name)\" is being deleted")
            }
            let (reason, message, data) = try body(&spec)
            guard spec != before else { return try await view(name) }
            spec.generation += 1
            if spec.config != before.config { spec.revision += 1 }
            spec.updatedAt = max(clock.now(), before.updatedAt)
            if isDryRun {
                var view = try await view(name)
                let planned = DeploymentView(spec, Self.recorded)
                (view.config, view.description, view.notes) = (planned.config, planned.description, planned.notes)
                (view.revision, view.generation) = (planned.revision, planned.generation)
                return view
            }
            FaultPoint.updateChecked.reach()
            do throws(StoreError) {
                try await store.update(
                    spec, expectedGeneration: before.generation, cause: cause,
                    events: [event(spec, reason, message, data)])
                FaultPoint.updateRecorded.reach()
                await reconciler.replace(spec)
                FaultPoint.updateKnown.reach()
                return await reconciler.view(id: spec.id) ?? DeploymentView(spec, Self.recorded)
            } catch {
                // Somebody else was quicker and the reconciler is about to hear of it.
                attempt += 1
                guard error.code == .conflict, attempt < 100 else { throw ControlError(error) }
                try? await Task.sleep(for: .milliseconds(attempt))
            }
        }
    }

    private func event(_ spec: DeploymentSpec, _ reason: String, _ message: String, _ data: JSONValue)
        -> DeploymentEvent
    {
        DeploymentEvent(
            deploymentID: spec.id, deployment: spec.name, at: clock.now(), reason: reason, message: message,
            data: data.objectValue ?? JSONObject())
    }

    private static let recorded = DeploymentCondition(.pending, reason: "Recorded", message: "nothing was started yet")

    // MARK: Checking

    private func parsed(name: String) throws(ControlError) -> DeploymentName {
        do throws(DeploymentName.Malformed) {
            return try DeploymentName(name)
        } catch {
            throw ControlError(
                .invalidConfig, error.description,
                faults: [ConfigFault(field: "name", value: .string(String(name.prefix(80))), expected: "a DNS label")])
        }
    }

    private static func config(
        _ read: () throws(DeploymentConfigError) -> DeploymentConfig
    ) throws(ControlError) -> DeploymentConfig {
        do throws(DeploymentConfigError) {
            return try read()
        } catch {
            throw ControlError(.invalidConfig, error.description, faults: error.faults)
        }
    }

    /// Refuses a config that asks for a device that the machine has not.
    private func checkDevice(_ config: DeploymentConfig) throws(ControlError) {
        guard let fault = reconciler.placement.fault(config) else { return }
        throw ControlError(.invalidConfig, fault.description, faults: [fault])
    }

    private static func checked(description: String) throws(ControlError) -> String {
        guard description.utf8.count <= 4096, !description.unicodeScalars.contains(where: { $0.value == 0 }) else {
            throw ControlError(
                .invalidConfig, "description: expected at most 4096 bytes without NUL",
                faults: [ConfigFault(field: "description", value: nil, expected: "at most 4096 bytes without NUL")])
        }
        return description
    }

    private static func nameTaken(_ name: DeploymentName) -> ControlError {
        ControlError(
            .nameTaken, "there is a deployment \"\(name)\" already",
            hint: "change it with 'pbctl update \(name)' or 'pbctl apply', or choose another name")
    }

    private func missing(_ name: String) async -> ControlError {
        let near = Spelling.nearest(to: name, among: await reconciler.names().map(\.text))
        return ControlError(
            .notFound, "there is no deployment \"\(name.prefix(80))\"",
            hint: near.map { "did you mean \"\($0)\"?" } ?? "'pbctl status' lists them")
    }
}

extension ControlError {
    /// The store could not do it.
    package init(_ error: StoreError) {
        let code: Code =
            switch error.code {
            case .conflict: .conflict
            case .nameTaken: .nameTaken
            case .notFound: .notFound
            case .invalid: .malformed
            default: .storeUnavailable
            }
        self.init(code, error.message)
    }
}
