import ArgumentParser

/// `pbctl bench`
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure speed.",
        discussion: """
            EXAMPLES:
              pbctl bench engine -m model.gguf --streams 8
            """,
        subcommands: [BenchEngineCommand.self])
}
