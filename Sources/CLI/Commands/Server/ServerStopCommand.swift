import ArgumentParser
import ControlClient
import Glibc
import Terminal

/// `pbctl server stop`
struct ServerStopCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop",
        abstract: "Stop the server.",
        discussion: """
            Requests under way are finished. Replicas go on and are taken over by the next server, unless --replicas ends them.

            EXAMPLES:
              pbctl server stop
              pbctl server stop --replicas
            """)

    @Flag(help: "End the replicas, too.")
    var replicas = false

    @Option(help: ArgumentHelp("How long to wait for its end.", valueName: "duration"))
    var timeout = DurationText(.seconds(60))

    @Option(
        help: ArgumentHelp("Address of the server (default: PBCTL_SERVER, else this machine's own).", valueName: "url"))
    var server: String?

    func run() async throws {
        let address = ServerAddress(option: server, environment: ProcessEnvironment.value)
        guard case .local = address else {
            guard let client = try await ServerOptions.clientIfRunning(at: address) else { return }
            try await client.stopServer(stopsReplicas: replicas)
            return try TextOutput.standard.writeLine("the server at \(client.url) was told to stop")
        }
        let local = try ServerOptions.localServer()
        guard let record = local.record(), local.isHeld else {
            return try TextOutput.error.writeLine("no server runs on this machine")
        }
        try await stop(local, record)
        guard try await local.waitForEnd(of: record.processID, within: timeout.duration) else {
            throw CommandFailure(
                "the server (pid \(record.processID)) is still finishing what it has after "
                    + DurationText.text(timeout.duration), hint: "its log is \(local.logPath)",
                status: ExitStatus.tryAgain)
        }
        try TextOutput.standard.writeLine("the server (pid \(record.processID)) has stopped")
    }

    /// Asks over HTTP, which can say what is to become of the replicas; one that doesn't answer gets the signal for it.
    private func stop(_ local: LocalServer, _ record: LocalServer.Record) async throws {
        if let url = record.url, let client = try? ControlClient(url: url, apiKey: ServerOptions.apiKey) {
            do throws(ControlClientError) {
                return try await client.stopServer(stopsReplicas: replicas)
            } catch {
                guard error.code == .unreachable || error.isRetryable else { throw error }
            }
        }
        kill(record.processID, replicas ? SIGINT : SIGTERM)
    }
}
