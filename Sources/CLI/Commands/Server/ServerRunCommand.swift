import ArgumentParser
import ControlClient
import ControlServer
import Deployments
import Glibc
import ModelHub
import Terminal

/// `pbctl server run`
struct ServerRunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run the server in this terminal, or under a supervisor.",
        discussion: """
            Serves the control plane's API, and the deployments' own, each below /deployments/NAME/v1 as OpenAI's clients know
            it. SIGTERM finishes requests and ends; replicas go on, and the next server takes them over. Ctrl-C ends the
            replicas, too.

            Listens on this machine only, unless PBCTL_API_KEY is set, which clients send as Authorization: Bearer KEY.

            EXAMPLES:
              pbctl server run
              pbctl server run --port 8000
              PBCTL_API_KEY=... pbctl server run --host 0.0.0.0
            """)

    @OptionGroup var listen: ListenOptions

    @Flag(help: ArgumentHelp("Without a terminal: what 'server start' uses.", visibility: .hidden))
    var background = false

    @Flag(help: ArgumentHelp("Only pretend replicas, for loads on the control plane.", visibility: .hidden))
    var pretendReplicas = false

    func run() async throws {
        try listen.checkKey()
        let local = try ServerOptions.localServer()
        try PbctlDirectories.create(local.folder)
        if background { Self.leaveTerminal() }
        let before = local.record()?.url.flatMap(FreePort.port)
        let port =
            listen.port ?? FreePort.choose([before, FreePort.usual].compactMap { $0 }, host: listen.host)
        var configuration = ControlServerConfiguration(
            host: listen.host, port: port, stateFolder: local.folder, executable: ServerOptions.executable,
            apiKey: ServerOptions.apiKey, version: Version.number)
        if pretendReplicas {
            configuration.launcher = .null
        } else {
            configuration.placement = DeviceInventory.placement(program: ServerOptions.executable)
        }
        if let problem = configuration.placement.problem {
            try? TextOutput.error.writeLine("pbctl: no GPU is used: \(problem.onOneLine); replicas run on the CPU")
        }
        do {
            try await ControlServer(configuration: configuration).run { event in
                try? TextOutput.error.writeLine("pbctl: \(Self.line(event))")
            }
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            throw Self.failure("\(error)")
        }
    }

    /// An error for the user. Commands that mend the state follow some, a line each, to be pasted as they are.
    private static func failure(_ message: String) -> any Error {
        guard message.contains("\n") else { return CommandFailure(message) }
        try? TextOutput.error.writeLine("pbctl: \(message)")
        return ExitCode(ExitStatus.failed)
    }

    /// A server in the background holds no folder of the user's, and outlives the terminal.
    private static func leaveTerminal() {
        _ = chdir("/")
        signal(SIGHUP, SIG_IGN)
    }

    private static func line(_ event: ControlServer.Event) -> String {
        func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }
        return switch event {
        case .ready(let url, let deployments, let replicas):
            "serving \(count(deployments, "deployment")) on \(url) (\(count(replicas, "replica")) taken over)"
        case .draining(let requests):
            "finishing \(count(requests, "request")), then stopping (once more: stop at once)"
        case .stopped(let replicas):
            replicas == 0
                ? "stopped"
                : "stopped; \(count(replicas, "replica")) \(replicas == 1 ? "goes" : "go") on for the next server"
        }
    }
}
