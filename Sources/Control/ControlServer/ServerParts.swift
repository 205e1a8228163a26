import AsyncHTTPClient
import ControlPlane
import ControlStore
import Deployments
import Gateway
import Glibc
import HTTPServing
import Logging
import ReplicaLaunchers
import Synchronization

/// The server's parts, made and joined.
final class ServerParts: Sendable {
    let gateway: Gateway
    let reconciler: DeploymentReconciler
    let metrics: MetricsHistory
    let store: ControlStore
    let clock: any ControlClock
    let responder: ControlResponder
    private let lock: ServerLock
    private let address: Address
    private let stopping: Stopping

    /// Where clients find the server, once that is known.
    private final class Address: Sendable {
        private let url = Mutex("")
        private let host: String

        init(host: String) { self.host = host }

        var text: String { url.withLock { $0 } }

        func set(port: Int) -> String {
            // What listens everywhere is reached here, too.
            let name = ["0.0.0.0", "::", ""].contains(host) ? "127.0.0.1" : host
            return url.withLock { url in
                url = "http://\(name.contains(":") ? "[\(name)]" : name):\(port)"
                return url
            }
        }
    }

    /// Whether the server was told to stop.
    private final class Stopping: Sendable {
        let asked: AsyncStream<Void>
        private let ask: AsyncStream<Void>.Continuation
        private let endsReplicas = Mutex(false)

        init() { (asked, ask) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1)) }

        var replicasToo: Bool { endsReplicas.withLock { $0 } }

        func stop(replicasToo: Bool) {
            if replicasToo { endsReplicas.withLock { $0 = true } }
            ask.yield()
        }
    }

    /// Stands for the reconciler while it is being made: gateway and reconciler each need the other.
    private final class Later: Sendable {
        let reconciler = Mutex<DeploymentReconciler?>(nil)

        func with(_ body: @escaping @Sendable (DeploymentReconciler) async -> Void) {
            guard let reconciler = reconciler.withLock({ $0 }) else { return }
            Task { await body(reconciler) }
        }
    }

    static let logger = {
        var logger = Logger(label: "pbctl.server") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = .error
        return logger
    }()

    /// Makes the parts, takes over the replicas that run, and tells the gateway of them.
    init(
        _ configuration: ControlServerConfiguration, _ store: ControlStore, _ client: HTTPClient, _ lock: ServerLock
    ) async throws {
        let clock = SteadyClock()
        let later = Later()
        let metrics = MetricsHistory(store: store, clock: clock)
        var gatewayConfiguration = GatewayConfiguration()
        // Where there is a key, the header holds it, and it is nothing for replicas and their hubs.
        gatewayConfiguration.passesAuthorization = configuration.apiKey == nil
        let gateway = Gateway(
            configuration: gatewayConfiguration, clock: clock,
            wake: { name in later.with { await $0.wake(name) } },
            replicaFailed: { id in later.with { await $0.replicaFailed(id) } },
            sample: { metrics.record($0) })
        let (launcher, probe) = try Self.launcher(configuration, client, clock)
        let reconciler = DeploymentReconciler(
            store: store, launcher: launcher, probe: probe, clock: clock, placement: configuration.placement,
            logger: Self.logger, load: { gateway.load(of: $0) }, activity: { gateway.activeDeployments() },
            publish: { change in
                switch change {
                case .changed(let route): gateway.table.publish(route)
                case .removed(let name): gateway.table.remove(name)
                }
            }, reportGauges: { metrics.record($0) })
        later.reconciler.withLock { $0 = reconciler }
        let (address, stopping) = (Address(host: configuration.host), Stopping())
        let service = DeploymentService(store: store, reconciler: reconciler, clock: clock) { Self.makeID() }
        let control = ControlRoutes(
            service: service, reconciler: reconciler, store: store, metrics: metrics, launcher: launcher, clock: clock,
            server: ControlRoutes.ServerIdentity(
                version: configuration.version, processID: Int(getpid()), startedAt: clock.now(),
                url: { address.text }, stateFolder: configuration.stateFolder, tenant: configuration.tenant,
                stop: { stopping.stop(replicasToo: $0) }))
        self.gateway = gateway
        self.reconciler = reconciler
        self.metrics = metrics
        self.store = store
        self.clock = clock
        self.lock = lock
        self.address = address
        self.stopping = stopping
        responder = ControlResponder(
            gateway: gateway.routes, control: control, metrics: { gateway.metricsText() },
            apiKey: configuration.apiKey.flatMap { APIKey($0) })
        try await reconciler.start()
    }

    private static func launcher(
        _ configuration: ControlServerConfiguration, _ client: HTTPClient, _ clock: any ControlClock
    ) throws -> (any ReplicaLauncher, any ReplicaProbing) {
        switch configuration.launcher {
        case .null: return (NullLauncher(clock: clock), NullProbe())
        case .local:
            let launcher = try LocalLauncher(
                folder: configuration.stateFolder + "/replicas", executable: configuration.executable, clock: clock)
            return (launcher, HTTPReplicaProbe(client: client))
        }
    }

    /// The server listens; gives its address and lets commands find it.
    func listen(on port: Int) -> String {
        let url = address.set(port: port)
        try? lock.setURL(url)
        return url
    }

    func stop(replicasToo: Bool) { stopping.stop(replicasToo: replicasToo) }

    /// Returns when the server was told to stop; streams of news have ended then.
    func stopAsked() async {
        for await _ in stopping.asked { break }
        responder.control.streams.close()
    }

    var endsReplicas: Bool { stopping.replicasToo }

    /// A random UUID (version 4) in lower case.
    private static func makeID() -> String {
        var bytes = (0..<16).map { _ in UInt8.random(in: .min ... .max) }
        bytes[6] = bytes[6] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        let digits = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
        let groups = [digits[0..<4], digits[4..<6], digits[6..<8], digits[8..<10], digits[10..<16]]
        return groups.map { $0.joined() }.joined(separator: "-")
    }
}

/// Says of pretended replicas that they are ready.
private struct NullProbe: ReplicaProbing {
    func health(_ endpoint: ReplicaEndpoint) async -> ReplicaHealth { .healthy }
    func failureToAnswer(_ endpoint: ReplicaEndpoint) async -> String? { nil }
    func usage(_ endpoint: ReplicaEndpoint) async -> ReplicaUsage? { nil }
}
