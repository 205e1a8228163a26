import ArgumentParser

/// `pbctl engine`
struct EngineCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "engine",
        abstract: "Use the engine's parts by themselves.",
        subcommands: [EngineLogprobsCommand.self, EngineRenderChatCommand.self])
}
