import ArgumentParser

/// `pbctl rollout`
struct RolloutCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollout",
        abstract: "Look at a deployment's configs through time, and go back.",
        discussion: """
            EXAMPLES:
              pbctl rollout history demo
              pbctl rollout undo demo
            """,
        subcommands: [RolloutHistoryCommand.self, RolloutStatusCommand.self, RolloutUndoCommand.self])
}
