import ArgumentParser

/// `pbctl bench`
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure speed.",
        discussion: """
            EXAMPLES:
              pbctl bench engine -m model.gguf --streams 8
              pbctl bench serve --url http://127.0.0.1:8080 --adapters 32
            """,
        subcommands: [BenchEngineCommand.self, BenchServeCommand.self])
}
