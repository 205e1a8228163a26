import Glibc
import HTTPServing
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import ServiceLifecycle
import UnixSignals

/// Serves one loaded model over HTTP until it is told to stop.
///
/// Called by `pbctl engine serve`; calls ``ReplicaResponder`` for each request.
package struct ReplicaServer: Sendable {
    private let service: ReplicaService
    private let configuration: ReplicaConfiguration

    /// What happens to a server, for whoever started it.
    package enum Event: Sendable, Equatable {
        /// It accepts connections on this port.
        case ready(port: Int)
        /// It was told to stop; so many requests are to be finished first.
        case draining(requestCount: Int)
    }

    /// A server of a model.
    package init(model: any ReplicaModel, configuration: ReplicaConfiguration) {
        service = ReplicaService(model, configuration)
        self.configuration = configuration
    }

    /// Serves until SIGTERM or SIGINT, then finishes what runs and returns. A second signal ends the process at once.
    ///
    /// - Throws: ``ListenError`` where the address can't be listened on.
    package func run(onEvent: @escaping @Sendable (Event) -> Void) async throws {
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        let application = Application(
            responder: ReplicaResponder(service),
            server: .http1(configuration: configuration.timeouts.channelConfiguration),
            configuration: ApplicationConfiguration(
                address: .hostname(configuration.host, port: configuration.port), serverName: "pbctl", backlog: 1024),
            onServerRunning: { channel in onEvent(.ready(port: channel.localAddress?.port ?? 0)) },
            logger: Self.logger)
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [application, DrainService(admission: service.admission)], logger: Self.logger))
        do {
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask {
                    var signalCount = 0
                    for await signal in signals {
                        signalCount += 1
                        if signalCount > 1 { _exit(128 + signal.number) }
                        service.admission.startDraining()
                        onEvent(.draining(requestCount: service.admission.count))
                        await group.triggerGracefulShutdown()
                    }
                }
                tasks.addTask { try await group.run() }
                // The one that listens for signals ends only when it is cancelled, so the server is the first to end.
                try await tasks.next()
                tasks.cancelAll()
            }
        } catch let error as IOError {
            throw ListenError(error, host: configuration.host, port: configuration.port)
        } catch let error as SocketAddressError {
            throw ListenError(error, host: configuration.host)
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
