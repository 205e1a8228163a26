import ArgumentParser
import ControlClient

/// `pbctl restart`
struct RestartCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restart",
        abstract: "Replace a deployment's replicas, one after another.",
        discussion: """
            A new replica is ready before an old one goes, so that requests find one at any time.

            EXAMPLES:
              pbctl restart demo
            """)

    @OptionGroup var deployments: DeploymentArguments
    @OptionGroup(title: "Waiting options") var waiting: WaitOptions

    @Option(name: .shortAndLong, help: ArgumentHelp(OutputFormat.help, valueName: "format"))
    var output = OutputFormat.table

    @OptionGroup(title: "Server options") var server: ServerOptions

    func validate() throws {
        if deployments.names.isEmpty { throw ValidationError("name a deployment: pbctl restart NAME") }
    }

    func run() async throws {
        let names = try deployments.checked()
        let client = try await server.client()
        for name in names {
            try DeploymentOutput.write(try await client.restart(name), as: output, verb: "restarting")
        }
        for name in names { try await waiting.finish(client, name, until: .settled) }
    }
}
