import ArgumentParser

/// `pbctl engine`
struct EngineCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "engine",
        abstract: "Serve a model, or use the engine's parts by themselves.",
        discussion: """
            EXAMPLES:
              pbctl engine serve -m model.gguf --port 8080 --adapter-root ./adapters
              echo '{"ids": [1, 4093]}' | pbctl engine logprobs -m model.gguf
              pbctl engine render-chat -m model.gguf < chats.jsonl
            """,
        subcommands: [EngineServeCommand.self, EngineLogprobsCommand.self, EngineRenderChatCommand.self])
}
