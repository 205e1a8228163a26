import ArgumentParser

/// `pbctl adapters`
struct AdaptersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "adapters",
        abstract: "Add, look at, compare, remove and merge LoRA adapters.",
        discussion: """
            EXAMPLES:
              pbctl adapters add ./my-adapter --name tone
              pbctl adapters inspect tone --model my-model
              pbctl adapters merge -m my-model --adapter tone --out merged.gguf
            """,
        subcommands: [
            AdaptersListCommand.self, AdaptersAddCommand.self, AdaptersInspectCommand.self, AdaptersDiffCommand.self,
            AdaptersRemoveCommand.self, AdaptersMergeCommand.self,
        ])
}
