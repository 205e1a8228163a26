import ArgumentParser
import Glibc
import ModelHub
import Terminal

/// `pbctl models rm`
struct ModelsRemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm",
        abstract: "Remove models from this machine.",
        discussion: """
            A model that was taken in from a path is only forgotten; its files stay.

            EXAMPLES:
              pbctl models rm my-model
              pbctl models rm --yes first second
            """,
        aliases: ["remove"])

    @Argument(help: ArgumentHelp("Names of models.", valueName: "name"))
    var names: [String]

    @Flag(name: .shortAndLong, help: "Do not ask.")
    var yes = false

    func run() async throws {
        let store = ModelStore(try PbctlDirectories())
        if !yes {
            guard let isAgreed = Question.confirm("Remove \(names.joined(separator: ", "))?") else {
                throw CommandFailure.usage("nobody to ask on this terminal", hint: "pass --yes to remove")
            }
            guard isAgreed else { throw CommandFailure("nothing was removed") }
        }
        for name in names {
            let freed = try store.remove(name)
            try TextOutput.error.writeLine("removed \(name), \(ByteCount.text(freed)) freed")
        }
    }
}
