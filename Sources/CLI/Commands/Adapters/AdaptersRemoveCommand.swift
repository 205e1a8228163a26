import ArgumentParser
import ModelHub
import Terminal

/// `pbctl adapters rm`
struct AdaptersRemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm",
        abstract: "Remove versions of adapters, or adapters with all versions.",
        discussion: """
            EXAMPLES:
              pbctl adapters rm tone/1
              pbctl adapters rm --yes tone
            """,
        aliases: ["remove"])

    @Argument(help: ArgumentHelp("name/version, or a name for all its versions.", valueName: "adapter"))
    var adapters: [String]

    @Flag(name: .shortAndLong, help: "Do not ask.")
    var yes = false

    func run() async throws {
        let store = AdapterStore(try PbctlDirectories())
        // Before anybody is asked about what is not there.
        for adapter in adapters { try store.checkHolds(adapter) }
        if !yes {
            let things = adapters.map { $0.contains("/") ? $0 : "\($0) (all versions)" }
            guard let isAgreed = Question.confirm("Remove \(things.joined(separator: ", "))?") else {
                throw CommandFailure.usage("nobody to ask on this terminal", hint: "pass --yes to remove")
            }
            guard isAgreed else { throw CommandFailure("nothing was removed") }
        }
        for adapter in adapters {
            let freed = try store.remove(adapter)
            try TextOutput.error.writeLine("removed \(adapter), \(ByteCount.text(freed)) freed")
        }
    }
}
