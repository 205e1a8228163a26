import ArgumentParser

/// `pbctl gpu`
struct GPUCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gpu",
        abstract: "Check and measure an NVIDIA GPU.",
        discussion: """
            EXAMPLES:
              pbctl gpu selftest
              pbctl gpu bench --shape 1b --batches 1,64
            """,
        subcommands: [GPUSelfTestCommand.self, GPUBenchCommand.self])
}
