import ArgumentParser

/// `pbctl engine`
struct EngineCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "engine",
        abstract: "Use the engine's parts by themselves.",
        discussion: """
            EXAMPLES:
              echo '{"ids": [1, 4093]}' | pbctl engine logprobs -m model.gguf
              pbctl engine render-chat -m model.gguf < chats.jsonl
            """,
        subcommands: [EngineLogprobsCommand.self, EngineRenderChatCommand.self])
}
