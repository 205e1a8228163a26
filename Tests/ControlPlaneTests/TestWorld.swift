import ControlAPI
import ControlPlane
import ControlStore
import Deployments
import Foundation
import Logging
import ReplicaLaunchers
import ServingJSON
import Synchronization
import Testing

/// A clock that a test moves.
final class HandClock: ControlClock {
    private let time = Mutex(Timestamp(milliseconds: 1_700_000_000_000))

    func now() -> Timestamp { time.withLock { $0 } }
    func advance(_ duration: Duration) { time.withLock { $0 = $0 + duration } }
}

/// Says of every replica with an endpoint what the test wants it to say.
final class ScriptedProbe: ReplicaProbing {
    private let state = Mutex((silent: Set<ReplicaEndpoint>(), percent: Int?.none, failure: String?.none, count: 0))

    private let told = Mutex((usage: ReplicaUsage?.none, count: 0))

    func health(_ endpoint: ReplicaEndpoint) async -> ReplicaHealth {
        state.withLock { state in
            state.count += 1
            if state.silent.contains(endpoint) { return .unreachable("silent") }
            return state.percent.map { .loading(percent: $0) } ?? .healthy
        }
    }

    func failureToAnswer(_ endpoint: ReplicaEndpoint) async -> String? { state.withLock { $0.failure } }
    func usage(_ endpoint: ReplicaEndpoint) async -> ReplicaUsage? {
        told.withLock { told in
            told.count += 1
            return told.usage
        }
    }

    /// How often replicas were asked what they use.
    var usageCount: Int { told.withLock { $0.count } }
    func use(_ usage: ReplicaUsage?) { told.withLock { $0.usage = usage } }
    var healthCheckCount: Int { state.withLock { $0.count } }
    func load(percent: Int?) { state.withLock { $0.percent = percent } }
    func silence(_ endpoint: ReplicaEndpoint) { state.withLock { _ = $0.silent.insert(endpoint) } }
    func refuseTokens(_ why: String?) { state.withLock { $0.failure = why } }
}

/// What the gateway would say, and what it was told.
final class GatewayStandIn: Sendable {
    private struct State {
        var readings: [DeploymentName: LoadReading] = [:]
        var active: Set<DeploymentName> = []
        var routes: [DeploymentName: DeploymentRoute] = [:]
        var history: [DeploymentReconciler.RouteChange] = []
        var lookCount = 0
    }

    private let state = Mutex(State())

    var lookCount: Int { state.withLock { $0.lookCount } }
    var history: [DeploymentReconciler.RouteChange] { state.withLock { $0.history } }
    func route(_ name: String) -> DeploymentRoute? {
        state.withLock { state in state.routes.first { $0.key.text == name }?.value }
    }

    func load(of name: DeploymentName) -> LoadReading {
        state.withLock { state in
            state.lookCount += 1
            return state.readings[name] ?? LoadReading()
        }
    }

    func set(_ name: DeploymentName, running: Int = 0, queued: Int = 0, at: Timestamp? = nil) {
        state.withLock { state in
            state.readings[name] = LoadReading(runningCount: running, queuedCount: queued, lastActivity: at)
            state.active.insert(name)
        }
    }

    func takeActive() -> [DeploymentName] {
        state.withLock { state in
            defer { state.active = [] }
            return Array(state.active)
        }
    }

    func publish(_ change: DeploymentReconciler.RouteChange) {
        state.withLock { state in
            state.history.append(change)
            switch change {
            case .changed(let route): state.routes[route.name] = route
            case .removed(let name): state.routes[name] = nil
            }
        }
    }
}

/// A control plane on a folder of its own, with replicas that are only pretended. Starting another on the same folder
/// and ``NullWorld`` stands for a restart of the server.
final class TestWorld {
    let folder: String
    let clock = HandClock()
    let probe = ScriptedProbe()
    let gateway = GatewayStandIn()
    let world: NullWorld
    let launcher: NullLauncher
    private(set) var store: ControlStore
    private(set) var reconciler: DeploymentReconciler
    private(set) var service: DeploymentService
    private var placement: DevicePlacement
    private var running: Task<Void, Never>?
    private let nextID = Mutex(0)

    init(
        folder: String? = nil, world: NullWorld = NullWorld(), placement: DevicePlacement = DevicePlacement(),
        script: @escaping NullLauncher.Script = { _, _ in .ready }
    ) async throws {
        let folder = folder ?? NSTemporaryDirectory() + "/pbctl-control-\(UUID().uuidString)"
        self.folder = folder
        self.world = world
        launcher = NullLauncher(clock: clock, world: world, script: script)
        store = try await ControlStore.open(folder: folder)
        self.placement = placement
        (reconciler, service) = Self.parts(store, launcher, probe, clock, gateway, placement)
        try await reconciler.start()
        let reconciler = reconciler
        running = Task { await reconciler.run() }
    }

    private static func parts(
        _ store: ControlStore, _ launcher: NullLauncher, _ probe: ScriptedProbe, _ clock: HandClock,
        _ gateway: GatewayStandIn, _ placement: DevicePlacement
    ) -> (DeploymentReconciler, DeploymentService) {
        var options = ReconcilerOptions()
        options.scalingInterval = .milliseconds(5)
        options.startingProbeInterval = .milliseconds(2)
        options.readyProbeInterval = .milliseconds(5)
        options.usageInterval = .milliseconds(50)
        var logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        logger.logLevel = .critical
        let reconciler = DeploymentReconciler(
            store: store, launcher: launcher, probe: probe, clock: clock, options: options, placement: placement,
            logger: logger,
            load: { gateway.load(of: $0) }, activity: { gateway.takeActive() }, publish: { gateway.publish($0) })
        let service = DeploymentService(store: store, reconciler: reconciler, clock: clock) {
            UUID().uuidString.lowercased()
        }
        return (reconciler, service)
    }

    /// The server dies and another starts: what is in memory is gone, the store and the replicas are not.
    /// - Parameter placement: The GPUs that the new one finds; nil for those of before.
    func restart(placement: DevicePlacement? = nil) async throws {
        self.placement = placement ?? self.placement
        running?.cancel()
        await running?.value
        await store.close()
        store = try await ControlStore.open(folder: folder)
        (reconciler, service) = Self.parts(store, launcher, probe, clock, gateway, self.placement)
        try await reconciler.start()
        let reconciler = reconciler
        running = Task { await reconciler.run() }
    }

    func end() async {
        running?.cancel()
        await running?.value
        await store.close()
        try? FileManager.default.removeItem(atPath: folder)
    }

    // MARK: Doing

    @discardableResult
    func create(_ name: String, _ config: JSONObject = JSONObject()) async throws -> DeploymentView {
        var config = config
        if config["baseModel"] == nil { config["baseModel"] = "/models/m.gguf" }
        return try await service.create(DeploymentRequest(name: name, config: config), isDryRun: false)
    }

    func ready(_ name: String, _ config: JSONObject = JSONObject()) async throws {
        try await create(name, config)
        try await reaches(name, .ready)
    }

    func name(_ text: String) throws -> DeploymentName { try DeploymentName(text) }

    // MARK: Waiting

    /// Waits until something holds; a test that waits for ever fails after a while.
    func eventually(
        _ what: String, sourceLocation: SourceLocation = #_sourceLocation, _ holds: () async throws -> Bool
    ) async throws {
        let end = ContinuousClock.now + .seconds(120)
        while ContinuousClock.now < end {
            if try await holds() { return }
            try await Task.sleep(for: .milliseconds(2))
        }
        Issue.record("never came: \(what)", sourceLocation: sourceLocation)
        throw CancellationError()
    }

    func reaches(
        _ name: String, _ status: DeploymentStatus, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        try await eventually("\(name) \(status)", sourceLocation: sourceLocation) {
            try await service.view(name).status == status
        }
    }

    /// Lets everything that is under way come to an end: several rounds of all loops.
    func settle() async throws { try await Task.sleep(for: .milliseconds(60)) }

    func reasons(_ id: String) async throws -> [String] {
        try await store.events(of: id, after: 0, limit: 1000).map(\.reason)
    }
}
