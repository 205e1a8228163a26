import ArgumentParser
import ControlClient
import Terminal

/// `pbctl server start`
struct ServerStartCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "start",
        abstract: "Start this machine's server in the background.",
        discussion: """
            Returns when it answers. Its output goes to server.log in its folder.

            EXAMPLES:
              pbctl server start
              pbctl server start --port 8000
            """)

    @OptionGroup var listen: ListenOptions

    @Option(help: ArgumentHelp("How long it may take to answer.", valueName: "duration"))
    var timeout = DurationText(.seconds(30))

    func run() async throws {
        try listen.checkKey()
        let local = try ServerOptions.localServer()
        let launch = ServerOptions.launch(listen.arguments, patience: timeout.duration)
        let (record, wasStarted) = try await local.startIfNeeded(launch)
        try TextOutput.standard.writeLine(
            "the server \(wasStarted ? "was started" : "runs already"): \(record.url ?? "") (pid \(record.processID))")
        if !wasStarted, let port = listen.port, record.url.flatMap(FreePort.port) != port {
            try TextOutput.error.writeLine(
                "pbctl: --port \(port) is for the next start ('pbctl server stop' ends this one)")
        }
    }
}
