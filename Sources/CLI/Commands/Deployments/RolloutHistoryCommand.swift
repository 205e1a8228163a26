import ArgumentParser
import ControlAPI
import ControlClient
import ServingJSON
import Terminal

/// `pbctl rollout history`
struct RolloutHistoryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history",
        abstract: "List the configs that a deployment had.",
        discussion: """
            EXAMPLES:
              pbctl rollout history demo
              pbctl rollout history demo -o json
            """)

    @OptionGroup var deployment: DeploymentArgument

    @Option(name: .shortAndLong, help: ArgumentHelp(OutputFormat.help, valueName: "format"))
    var output = OutputFormat.table

    @OptionGroup(title: "Server options") var server: ServerOptions

    func run() async throws {
        let name = try deployment.checked()
        let revisions = try await server.client().revisions(of: name)
        guard output.isTable else {
            return try Resource.write(
                Resource.list("Revision", revisions.map(\.json)), as: output, names: revisions.map { "\($0.revision)" })
        }
        try TextOutput.standard.write(Self.table(revisions))
    }

    /// A row a revision, each with what it changed.
    static func table(_ revisions: [RevisionView]) -> String {
        var table = TextTable(["REVISION", "TIME", "CAUSE", "CHANGED"])
        let ascending = revisions.sorted { $0.revision < $1.revision }
        for (index, revision) in ascending.enumerated().reversed() {
            let previous = index > 0 ? ascending[index - 1].config : nil
            let changes = previous.map { ConfigDifference(from: $0, to: revision.config).changes } ?? []
            let what = changes.map { "\($0.field) \($0.old.text()) -> \($0.new.text())" }.joined(separator: ", ")
            table.add([
                "\(revision.revision)\(revision.isCurrent ? " (now)" : "")", revision.createdAt.iso8601, revision.cause,
                what,
            ])
        }
        return table.text
    }
}
