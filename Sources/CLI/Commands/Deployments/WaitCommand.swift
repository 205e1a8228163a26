import ArgumentParser
import Terminal

/// `pbctl wait`
struct WaitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait",
        abstract: "Wait until a deployment is ready, standby, stopped, deleted or has so many replicas.",
        discussion: """
            The status is 0 when it is, 75 when the time is over, and 1 when it won't come about: the deployment failed, was
            stopped or was deleted.

            EXAMPLES:
              pbctl wait demo --for ready --timeout 5m
              pbctl wait demo --for replicas=3
              pbctl delete demo --yes && pbctl wait demo --for deleted
            """)

    @OptionGroup var deployment: DeploymentArgument

    @Option(
        name: .customLong("for"),
        help: ArgumentHelp("ready, standby, stopped, deleted or replicas=N.", valueName: "condition"))
    var condition = WaitCondition.ready

    @Option(help: ArgumentHelp("How long to wait.", valueName: "duration"))
    var timeout = DurationText(.seconds(600))

    @OptionGroup(title: "Server options") var server: ServerOptions

    func run() async throws {
        let name = try deployment.checked()
        let client = try await server.client()
        try await DeploymentWait(client: client, name: name, condition: condition, timeout: timeout.duration).run()
        try TextOutput.standard.writeLine("deployment \(name) is \(condition.description)")
    }
}
