public import ArgumentParser

/// The root of the command tree.
public struct PbctlCommand: AsyncParsableCommand {
    /// Name, help and subcommands.
    public static let configuration = CommandConfiguration(
        commandName: "pbctl",
        abstract: "Serve open language models and prompt them.",
        discussion: """
            EXAMPLES:
              pbctl models pull hf:bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M
              pbctl prompt -m model.gguf "Why is the sky blue?"
              cat notes.md | pbctl prompt -m model.gguf --system "Summarise."
              pbctl chat -m model.gguf
            """,
        version: Version.text,
        groupedSubcommands: [
            CommandGroup(name: "Prompting", subcommands: [PromptCommand.self, ChatCommand.self, TokenizeCommand.self]),
            CommandGroup(name: "Models", subcommands: [ModelsCommand.self, AdaptersCommand.self]),
            CommandGroup(name: "Engine", subcommands: [EngineCommand.self, BenchCommand.self]),
            CommandGroup(
                name: "System",
                subcommands: [
                    DoctorCommand.self, CompletionsCommand.self, VersionCommand.self, GenerateDocsCommand.self,
                ]),
        ])

    /// A command without arguments, as the parser needs it.
    public init() {}
}
