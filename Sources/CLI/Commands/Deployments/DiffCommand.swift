import ArgumentParser
import ControlAPI
import ServingJSON
import Terminal

/// `pbctl diff`
struct DiffCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Show what 'apply' would change.",
        discussion: """
            The status is 0 where nothing would change and 1 where something would.

            EXAMPLES:
              pbctl diff -f demo.yaml
            """)

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("YAML or JSON (- for standard input); may be repeated.", valueName: "file"),
        completion: .file(extensions: ["yaml", "yml", "json"]))
    var file: [String]

    @OptionGroup(title: "Server options") var server: ServerOptions

    func run() async throws {
        let plans = try file.flatMap { try DeploymentPlanFile.all(in: $0, server) }
        let client = try await server.client()
        let isColored = ColorChoice.auto.isEnabled()
        var hasChanges = false
        for plan in plans {
            let current = try await plan.current(client)
            let whole = try plan.whole(beside: current)
            let difference = ConfigDifference(
                from: current?.config ?? .init(), to: current == nil ? DeploymentManifest.config(whole) : whole)
            var text = difference.text(colored: isColored)
            if let description = plan.file.description, description != current?.description ?? "" {
                if let old = current?.description, !old.isEmpty {
                    text += TextLine.removed("description: \(old)", isColored) + "\n"
                }
                text += TextLine.added("description: \(description)", isColored) + "\n"
            }
            guard !text.isEmpty || current == nil else { continue }
            hasChanges = true
            try TextOutput.standard.write(
                "deployment \(plan.name)\(current == nil ? " (new)" : " (revision \(current?.revision ?? 0))")\n\(text)"
            )
        }
        if hasChanges { throw ExitCode(ExitStatus.failed) }
    }
}
