import ArgumentParser

/// `pbctl server`
struct ServerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "server",
        abstract: "Run the server that keeps deployments.",
        discussion: """
            Commands that need this machine's server start it by themselves. It keeps what it knows in the state folder's
            server folder; replicas go on while it is away, and the next one takes them over.

            EXAMPLES:
              pbctl server status
              pbctl server stop
            """,
        subcommands: [
            ServerStartCommand.self, ServerStatusCommand.self, ServerStopCommand.self, ServerRunCommand.self,
        ])
}

/// Where a server listens.
struct ListenOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Address to listen on.", valueName: "address"))
    var host = "127.0.0.1"

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Port (default: that of before, or 7860, or any that is free).", valueName: "port"))
    var port: Int?

    func validate() throws {
        if let port, !(0...65535).contains(port) { throw ValidationError("--port \(port): expected 0 to 65535") }
    }

    private static let loopback: Set<String> = ["127.0.0.1", "::1", "localhost"]

    /// Throws where strangers could reach a server without a key.
    func checkKey() throws {
        guard ServerOptions.apiKey != nil || Self.loopback.contains(host) || host.hasPrefix("127.") else {
            throw CommandFailure.usage(
                "--host \(host) can be reached from other machines and there is no API key",
                hint: "make one with 'openssl rand -hex 32' and set PBCTL_API_KEY")
        }
    }

    /// The options as another process takes them.
    var arguments: [String] { ["--host", host] + (port.map { ["--port", "\($0)"] } ?? []) }
}
