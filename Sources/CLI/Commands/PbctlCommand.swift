public import ArgumentParser

/// The root of the command tree.
public struct PbctlCommand: AsyncParsableCommand {
    /// Name, help and subcommands.
    public static let configuration = CommandConfiguration(
        commandName: "pbctl",
        abstract: "Deploy open language models, scale them and prompt them.",
        discussion: """
            EXAMPLES:
              pbctl deploy demo --model model.gguf
              pbctl prompt demo "Why is the sky blue?"
              pbctl scale demo --min 0 --max 4
              pbctl status demo
              pbctl models pull hf:bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M
              pbctl prompt -m model.gguf "Why is the sky blue?"
              cat notes.md | pbctl prompt -m model.gguf --system "Summarise."
              pbctl chat -m model.gguf
            """,
        version: Version.text,
        groupedSubcommands: [
            CommandGroup(
                name: "Deployments",
                subcommands: [
                    DeployCommand.self, ApplyCommand.self, DiffCommand.self, GetCommand.self, StatusCommand.self,
                    UpdateCommand.self, ScaleCommand.self, AutoscaleCommand.self, StartCommand.self, StopCommand.self,
                    RestartCommand.self, DeleteCommand.self, RolloutCommand.self, WaitCommand.self, LogsCommand.self,
                    EventsCommand.self, MetricsCommand.self, EndpointCommand.self, ServerCommand.self,
                ]),
            CommandGroup(name: "Prompting", subcommands: [PromptCommand.self, ChatCommand.self, TokenizeCommand.self]),
            CommandGroup(name: "Models", subcommands: [ModelsCommand.self, AdaptersCommand.self]),
            CommandGroup(name: "Engine", subcommands: [EngineCommand.self, BenchCommand.self, GPUCommand.self]),
            CommandGroup(
                name: "System",
                subcommands: [
                    DoctorCommand.self, CompletionsCommand.self, VersionCommand.self, GenerateDocsCommand.self,
                    ListDevicesCommand.self,
                ]),
        ])

    /// A command without arguments, as the parser needs it.
    public init() {}
}
