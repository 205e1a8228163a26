import ArgumentParser
import ControlAPI
import ControlClient
import Deployments

/// `pbctl delete`
struct DeleteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Delete deployments.",
        discussion: """
            Replicas finish the requests they have and end; then the name is free again. What was deleted stays as history
            ('pbctl status --all').

            EXAMPLES:
              pbctl delete demo
              pbctl rm demo --yes --wait
            """,
        aliases: ["rm"])

    @OptionGroup var deployments: DeploymentArguments

    @Flag(name: .shortAndLong, help: "Do not ask.")
    var yes = false

    @OptionGroup(title: "Waiting options") var waiting: WaitOptions

    @Option(name: .shortAndLong, help: ArgumentHelp(OutputFormat.help, valueName: "format"))
    var output = OutputFormat.table

    @OptionGroup(title: "Server options") var server: ServerOptions

    func validate() throws {
        if deployments.names.isEmpty { throw ValidationError("name a deployment: pbctl delete NAME") }
    }

    func run() async throws {
        let names = try deployments.checked()
        let client = try await server.client()
        // A name that is not there is told before anything is asked or deleted.
        for name in names { _ = try await client.deployment(name) }
        try Confirmation.ask("Delete \(names.list)?", isGiven: yes)
        var views: [DeploymentView] = []
        for name in names {
            let view = try await client.delete(name)
            views.append(view)
            DeploymentNames.keep(DeploymentNames.known().filter { $0 != name.text })
            try DeploymentOutput.write(view, as: output, verb: view.status == .deleted ? "deleted" : "is being deleted")
        }
        for (name, view) in zip(names, views) {
            try await waiting.finish(client, name, until: .deleted)
            guard waiting.waits, view.status != .deleted else { continue }
            // Other formats hold what the deletion was answered with.
            switch output {
            case .table, .wide: try DeploymentOutput.write(view, as: output, verb: "deleted")
            default: break
            }
        }
    }
}
