import ArgumentParser
import ControlAPI
import ControlClient
import Deployments
import ModelHub
import ServingJSON
import Terminal

/// `pbctl server status`
struct ServerStatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Say whether the server runs, and where.",
        discussion: """
            The status is 0 where it runs and 69 where it does not.

            EXAMPLES:
              pbctl server status
              pbctl server status -o json
            """)

    @Option(name: .shortAndLong, help: "Format: text or json.")
    var output = TextOrJSON.text

    @Option(
        help: ArgumentHelp("Address of the server (default: PBCTL_SERVER, else this machine's own).", valueName: "url"))
    var server: String?

    func run() async throws {
        let address = ServerAddress(option: server, environment: ProcessEnvironment.value)
        guard let client = try await ServerOptions.clientIfRunning(at: address) else {
            throw CommandFailure(
                try Self.absence(), hint: "'pbctl server start' starts it", status: ExitStatus.unreachable)
        }
        let view = try await client.server()
        guard output == .text else {
            let value = Resource.single("Server", view.json)
            return try TextOutput.standard.writeLine(value.text(style: .pretty))
        }
        try TextOutput.standard.write(Self.text(view, url: client.url, now: .now))
    }

    /// What there is to say of a server that doesn't answer.
    private static func absence() throws -> String {
        let local = try ServerOptions.localServer()
        guard local.isHeld, let record = local.record() else { return "no server runs on this machine" }
        return "the server (pid \(record.processID)) does not answer; its log is \(local.logPath)"
    }

    static func text(_ view: ServerView, url: String, now: Timestamp) -> String {
        """
        running at \(url) (pid \(view.processID))
          version      \(view.version)
          up           \(Figures.age(view.startedAt, now: now))
          deployments  \(view.deployments)
          replicas     \(view.replicas) (launcher \(view.launcher))
          gpus         \(gpus(view))
          state        \(view.stateFolder)

        """
    }

    private static func gpus(_ view: ServerView) -> String {
        guard !view.gpus.isEmpty else { return view.gpuProblem.map { "none: \($0)" } ?? "none" }
        return view.gpus.map { gpu in
            "\(gpu.device) \(gpu.name), \(ByteCount.text(Int64(gpu.memoryBytes))), \(gpu.replicas) "
                + "replica\(gpu.replicas == 1 ? "" : "s")"
        }.joined(separator: "\n               ")
    }
}
