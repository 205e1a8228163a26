import ArgumentParser
import ControlAPI
import ControlClient
import Deployments
import Terminal

/// `pbctl stop`
struct StopCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop",
        abstract: "Stop deployments, and keep them for a later start.",
        discussion: """
            Replicas finish the requests they have and end. No request wakes a stopped deployment; 'pbctl start' does.

            EXAMPLES:
              pbctl stop demo
              pbctl stop --all --yes
            """)

    @OptionGroup var deployments: DeploymentArguments

    @Flag(help: "Stop all that run.")
    var all = false

    @Flag(name: .shortAndLong, help: "Do not ask.")
    var yes = false

    @OptionGroup(title: "Waiting options") var waiting: WaitOptions

    @Option(name: .shortAndLong, help: ArgumentHelp(OutputFormat.help, valueName: "format"))
    var output = OutputFormat.table

    @OptionGroup(title: "Server options") var server: ServerOptions

    func validate() throws {
        if deployments.names.isEmpty != all { throw ValidationError("name deployments, or pass --all") }
    }

    func run() async throws {
        var names = try deployments.checked()
        let client = try await server.client()
        if all {
            let views = try await client.deployments().filter { $0.status != .stopped }
            names = try views.map { try DeploymentName($0.name) }
            guard !names.isEmpty else { return try TextOutput.error.writeLine("nothing runs") }
            try Confirmation.ask(
                "Stop \(names.count) deployment\(names.count == 1 ? "" : "s") (\(names.list))?", isGiven: yes)
        }
        for name in names {
            try DeploymentOutput.write(try await client.stop(name), as: output, verb: "stopped")
        }
        for name in names { try await waiting.finish(client, name, until: .stopped) }
    }
}

/// Questions before what can't be taken back.
enum Confirmation {
    /// Returns where the user agrees.
    static func ask(_ question: String, isGiven: Bool) throws(CommandFailure) {
        guard !isGiven else { return }
        guard let isAgreed = Question.confirm(question) else {
            throw .usage("nobody to ask on this terminal", hint: "pass --yes")
        }
        guard isAgreed else { throw CommandFailure("nothing was done") }
    }
}

extension [DeploymentName] {
    /// The names, the first few of many.
    var list: String {
        let shown = prefix(5).map(\.text).joined(separator: ", ")
        return count > 5 ? "\(shown) and \(count - 5) more" : shown
    }
}
