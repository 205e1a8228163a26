import ArgumentParser
import ControlAPI
import ControlClient
import Deployments
import Terminal

/// `pbctl rollout status`
struct RolloutStatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Wait until a change has reached all replicas.",
        discussion: """
            EXAMPLES:
              pbctl rollout status demo --timeout 5m
            """)

    @OptionGroup var deployment: DeploymentArgument

    @Option(help: ArgumentHelp("How long to wait.", valueName: "duration"))
    var timeout = DurationText(.seconds(600))

    @OptionGroup(title: "Server options") var server: ServerOptions

    func run() async throws {
        let name = try deployment.checked()
        let client = try await server.client()
        _ = try await client.deployment(name)
        try await DeploymentWait(client: client, name: name, condition: .settled, timeout: timeout.duration).run()
        let view = try await client.deployment(name)
        try TextOutput.standard.writeLine(
            "deployment \(name) is at revision \(view.revision): \(view.status.rawValue), \(view.statusMessage)")
    }
}
