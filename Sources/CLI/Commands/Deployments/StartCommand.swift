import ArgumentParser
import ControlClient

/// `pbctl start`
struct StartCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "start",
        abstract: "Start deployments that are stopped or have failed.",
        discussion: """
            EXAMPLES:
              pbctl start demo
              pbctl start demo --wait --timeout 2m
            """)

    @OptionGroup var deployments: DeploymentArguments
    @OptionGroup(title: "Waiting options") var waiting: WaitOptions

    @Option(name: .shortAndLong, help: ArgumentHelp(OutputFormat.help, valueName: "format"))
    var output = OutputFormat.table

    @OptionGroup(title: "Server options") var server: ServerOptions

    func validate() throws {
        if deployments.names.isEmpty { throw ValidationError("name a deployment: pbctl start NAME") }
    }

    func run() async throws {
        let names = try deployments.checked()
        let client = try await server.client()
        for name in names {
            try DeploymentOutput.write(try await client.start(name), as: output, verb: "started")
        }
        for name in names { try await waiting.finish(client, name, until: .settled) }
    }
}
