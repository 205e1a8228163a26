import AsyncHTTPClient
import ControlPlane
import ControlStore
import Deployments
import Gateway
import Glibc
import HTTPServing
import Hummingbird
import Logging
import NIOCore
import ReplicaLaunchers
import ServiceLifecycle
import Synchronization
import UnixSignals

/// Control plane and gateway in one process, until it is told to stop.
///
/// Called by `pbctl server run`. Killing it loses nothing: replicas go on, and whoever starts next on the same state
/// takes them over.
package struct ControlServer: Sendable {
    private let configuration: ControlServerConfiguration

    /// What happens to the server, for whoever started it.
    package enum Event: Sendable, Equatable {
        /// It accepts connections.
        case ready(url: String, deploymentCount: Int, replicaCount: Int)
        /// It was told to stop; so many requests are to be finished first.
        case draining(requestCount: Int)
        /// It has stopped; so many replicas go on.
        case stopped(replicaCount: Int)
    }

    package init(configuration: ControlServerConfiguration) { self.configuration = configuration }

    /// Serves until it is told to stop: by SIGTERM, which leaves replicas running for the next server, by SIGINT or a
    /// client, which end them too. A second signal ends the process at once.
    ///
    /// - Throws: ``StoreError`` where the state can't be had (another server holds it, a damaged file), `ListenError`
    ///   where the address can't.
    package func run(onEvent: @escaping @Sendable (Event) -> Void) async throws {
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        let lock = try ServerLock.acquire(folder: configuration.stateFolder, now: SteadyClock().now())
        defer { withExtendedLifetime(lock) {} }
        let store = try await ControlStore.open(folder: configuration.stateFolder)
        let client = HTTPClient(eventLoopGroupProvider: .singleton)
        do {
            let parts = try await ServerParts(configuration, store, client, lock)
            try await serve(parts, signals, onEvent)
        } catch {
            try? await client.shutdown()
            await store.close()
            throw error
        }
        try? await client.shutdown()
        await store.close()
    }

    private func serve(
        _ parts: ServerParts, _ signals: UnixSignalsSequence, _ onEvent: @escaping @Sendable (Event) -> Void
    ) async throws {
        let configuration = configuration
        let connections = OpenConnections()
        let application = Application(
            responder: parts.responder,
            server: .http1OnLoops(ConnectionTimeouts(idle: .seconds(75)).channelConfiguration(connections)),
            configuration: ApplicationConfiguration(
                address: .hostname(configuration.host, port: configuration.port), serverName: "pbctl", backlog: 1024),
            onServerRunning: { channel in
                let url = parts.listen(on: channel.localAddress?.port ?? 0)
                let (deployments, replicas) = await parts.reconciler.counts()
                onEvent(.ready(url: url, deploymentCount: deployments, replicaCount: replicas))
            },
            logger: ServerParts.logger)
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [
                    application,
                    DrainService(connections: connections, limit: configuration.drainLimit) {
                        await parts.gateway.drain()
                    },
                ],
                logger: ServerParts.logger))
        do {
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { await parts.reconciler.run() }
                tasks.addTask { await parts.metrics.run() }
                tasks.addTask { await parts.store.keepHouse(clock: parts.clock) }
                tasks.addTask {
                    var signalCount = 0
                    for await signal in signals {
                        signalCount += 1
                        if signalCount > 1 { _exit(128 + (signal == .sigint ? SIGINT : SIGTERM)) }
                        parts.stop(replicasToo: signal == .sigint)
                    }
                }
                tasks.addTask {
                    await parts.stopAsked()
                    onEvent(.draining(requestCount: parts.gateway.requestCount))
                    await group.triggerGracefulShutdown()
                }
                tasks.addTask {
                    try await group.run()
                    throw CancellationError()
                }
                // The group's end is the first: the others end only when they are cancelled.
                do { while try await tasks.next() != nil {} } catch is CancellationError {}
                tasks.cancelAll()
            }
        } catch let error as IOError {
            throw ListenError(error, host: configuration.host, port: configuration.port)
        } catch let error as SocketAddressError {
            throw ListenError(error, host: configuration.host)
        } catch is SocketAddressError.UnknownHost {
            throw ListenError(unknownHost: configuration.host)
        }
        var replicaCount = await parts.reconciler.counts().replicas
        if parts.endsReplicas {
            await parts.reconciler.stopAllReplicas(within: .seconds(10))
            replicaCount = 0
        }
        onEvent(.stopped(replicaCount: replicaCount))
    }
}
