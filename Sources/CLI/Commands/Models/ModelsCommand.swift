import ArgumentParser

/// `pbctl models`
struct ModelsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "models",
        abstract: "Fetch, list and remove models.",
        discussion: """
            EXAMPLES:
              pbctl models pull hf:bartowski/SmolLM2-135M-Instruct-GGUF:Q4_K_M
              pbctl models list
              pbctl models rm SmolLM2-135M-Instruct-Q4_K_M
            """,
        subcommands: [
            ModelsListCommand.self, ModelsPullCommand.self, ModelsInspectCommand.self, ModelsRemoveCommand.self,
        ])
}
