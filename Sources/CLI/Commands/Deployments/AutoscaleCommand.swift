import ArgumentParser

/// `pbctl autoscale`
struct AutoscaleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "autoscale",
        abstract: "Show how the autoscaler decides.",
        discussion: """
            'pbctl scale NAME --min 0 --max 4' sets its limits.

            EXAMPLES:
              pbctl autoscale demo --show
              pbctl autoscale simulate --synthetic spike --peak 20 --threshold 8
            """,
        subcommands: [AutoscaleShowCommand.self, AutoscaleSimulateCommand.self, AutoscalePlotCommand.self],
        defaultSubcommand: AutoscaleShowCommand.self)
}
