import ArgumentParser
import ControlAPI
import ControlClient
import Terminal

/// `pbctl rollout undo`
struct RolloutUndoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "undo",
        abstract: "Go back to an earlier config.",
        discussion: """
            The earlier config becomes a new revision.

            EXAMPLES:
              pbctl rollout undo demo
              pbctl rollout undo demo --to-revision 3
            """)

    @OptionGroup var deployment: DeploymentArgument

    @Option(help: ArgumentHelp("The revision to go back to (default: the one before).", valueName: "number"))
    var toRevision: Int?

    @OptionGroup(title: "Waiting options") var waiting: WaitOptions

    @Option(name: .shortAndLong, help: ArgumentHelp(OutputFormat.help, valueName: "format"))
    var output = OutputFormat.table

    @OptionGroup(title: "Server options") var server: ServerOptions

    func run() async throws {
        let name = try deployment.checked()
        let client = try await server.client()
        let before = try await client.deployment(name)
        let view = try await client.rollBack(name, to: toRevision)
        try DeploymentOutput.write(view, as: output, verb: "rolled back, now at revision \(view.revision)")
        if output.isTable {
            let difference = ConfigDifference(from: before.config, to: view.config)
            try TextOutput.standard.write(difference.text(colored: ColorChoice.auto.isEnabled()))
        }
        try await waiting.finish(client, name, until: .settled)
    }
}
