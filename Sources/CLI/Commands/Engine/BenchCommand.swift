import ArgumentParser

/// `pbctl bench`
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure speed.",
        subcommands: [BenchEngineCommand.self])
}
