import Glibc
import HTTPServing
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import ServiceLifecycle
import UnixSignals

/// A model that a replica server has loaded.
package struct LoadedReplica: Sendable {
    /// What answers.
    package var model: any ReplicaModel
    /// Ids, besides the model's name, that mean the base model.
    package var baseModelIDs: Set<String>
    /// What users are told of it: the device, and how long the load took.
    package var note: String
    /// Kept for as long as the server runs: whatever keeps adapters loaded.
    package var hold: (any Sendable)?

    /// A loaded model.
    package init(
        model: any ReplicaModel, baseModelIDs: Set<String> = [], note: String = "", hold: (any Sendable)? = nil
    ) {
        self.model = model
        self.note = note
        self.baseModelIDs = baseModelIDs
        self.hold = hold
    }
}

/// Serves one model over HTTP until it is told to stop. It listens before the model is loaded and tells how far that
/// is.
///
/// Called by `pbctl engine serve`; calls ``ReplicaResponder`` for each request.
package struct ReplicaServer: Sendable {
    private let configuration: ReplicaConfiguration
    private let admission: Admission
    private let connections = OpenConnections()
    private let stage = ReplicaStage()

    /// What happens to a server, for whoever started it.
    package enum Event: Sendable {
        /// It accepts connections on this port; the model is loaded next.
        case listening(port: Int)
        /// The model is loaded.
        case ready(port: Int, LoadedReplica)
        /// It was told to stop; so many requests are to be finished first.
        case draining(requestCount: Int)
    }

    /// Loads the model and tells how far it is, 0...1, on its way.
    package typealias Load =
        @Sendable (_ progress: @escaping @Sendable (Double) -> Void) async throws -> LoadedReplica

    /// A server without a model yet.
    package init(configuration: ReplicaConfiguration) {
        self.configuration = configuration
        admission = Admission(limit: configuration.maxConcurrentRequests)
    }

    /// Serves until SIGTERM or SIGINT, then finishes what runs, for at most ``ReplicaConfiguration/drainLimit``, and
    /// returns. A second signal ends the process at once, and so does the first one while the model is loaded.
    ///
    /// - Throws: ``ListenError`` where the address can't be listened on, and what `load` or `onEvent` throws, with
    ///   nothing listening any more.
    package func run(
        load: @escaping Load, onEvent: @escaping @Sendable (Event) throws -> Void
    ) async throws {
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        let (ports, listening) = AsyncStream.makeStream(of: Int.self)
        let application = Application(
            responder: StagedResponder(stage: stage, apiKey: configuration.apiKey),
            server: .http1(configuration: configuration.timeouts.channelConfiguration(connections)),
            configuration: ApplicationConfiguration(
                address: .hostname(configuration.host, port: configuration.port), serverName: "pbctl", backlog: 1024),
            onServerRunning: { channel in
                listening.yield(channel.localAddress?.port ?? 0)
                listening.finish()
            },
            logger: Self.logger)
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [
                    application,
                    DrainService(connections: connections, limit: configuration.drainLimit) { [admission] in
                        await admission.drain()
                    },
                ], logger: Self.logger))
        do {
            // A task that returns true ends the server; the others go on without it.
            try await withThrowingTaskGroup(of: Bool.self) { tasks in
                tasks.addTask {
                    try await obey(signals, group, onEvent)
                    return false
                }
                tasks.addTask {
                    try await group.run()
                    return true
                }
                tasks.addTask {
                    for await port in ports { try await self.load(load, port: port, onEvent) }
                    return false
                }
                while let isOver = try await tasks.next(), !isOver {}
                tasks.cancelAll()
            }
        } catch let error as IOError {
            throw ListenError(error, host: configuration.host, port: configuration.port)
        } catch let error as SocketAddressError {
            throw ListenError(error, host: configuration.host)
        } catch is SocketAddressError.UnknownHost {
            throw ListenError(unknownHost: configuration.host)
        }
    }

    private func load(_ load: Load, port: Int, _ onEvent: @Sendable (Event) throws -> Void) async throws {
        try onEvent(.listening(port: port))
        let start = ContinuousClock.now
        let loaded = try await load { [stage] in stage.advance(to: $0) }
        var configuration = configuration
        configuration.baseModelIDs.formUnion(loaded.baseModelIDs)
        let service = ReplicaService(loaded.model, configuration, admission: admission)
        service.metrics.set("pbctl_load_seconds", to: (ContinuousClock.now - start).seconds)
        stage.serve(ReplicaResponder(service), keeping: loaded.hold)
        try onEvent(.ready(port: port, loaded))
    }

    private func obey(
        _ signals: UnixSignalsSequence, _ group: ServiceGroup, _ onEvent: @Sendable (Event) throws -> Void
    ) async throws {
        var signalCount = 0
        for await signal in signals {
            signalCount += 1
            if signalCount > 1 { _exit(128 + signal.number) }
            // Nothing is under way, and the load can't be given up in its middle.
            if stage.responder == nil { _exit(signal == .sigterm ? 0 : 128 + signal.number) }
            admission.startDraining()
            try onEvent(.draining(requestCount: admission.count))
            await group.triggerGracefulShutdown()
        }
    }

    /// Errors only: what users are told is told by the command.
    private static let logger = {
        var logger = Logger(label: "pbctl.replica") { _ in SwiftLogNoOpLogHandler() }
        logger.logLevel = .critical
        return logger
    }()
}

extension UnixSignal {
    /// The signal's number, for the exit status.
    var number: Int32 { self == .sigint ? SIGINT : SIGTERM }
}
