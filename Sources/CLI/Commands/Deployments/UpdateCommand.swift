import ArgumentParser
import ControlAPI
import ControlClient
import ServingJSON
import Terminal

/// `pbctl update`
struct UpdateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "update",
        abstract: "Change a deployment's config.",
        discussion: """
            Only what is given changes. Where replicas have to be replaced, a new one is ready before an old one goes, and
            requests that are under way are finished. 'pbctl rollout undo NAME' goes back.

            EXAMPLES:
              pbctl update demo --set maxTotalTokens=4096
              pbctl update demo --adapter tone/2 --wait --timeout 5m
              pbctl update demo --set maxTotalTokens= --dry-run
            """)

    @OptionGroup var deployment: DeploymentArgument
    @OptionGroup(title: "Config options") var config: DeploymentConfigOptions

    @Option(help: ArgumentHelp("What it is for.", valueName: "text"))
    var description: String?

    @Flag(help: "Say what would change, and change nothing.")
    var dryRun = false

    @OptionGroup(title: "Waiting options") var waiting: WaitOptions

    @Option(name: .shortAndLong, help: ArgumentHelp(OutputFormat.help, valueName: "format"))
    var output = OutputFormat.table

    @OptionGroup(title: "Server options") var server: ServerOptions

    func run() async throws {
        let name = try deployment.checked()
        let fields = try config.config(paths: PathAnchor(server))
        guard !fields.isEmpty || description != nil else {
            throw CommandFailure.usage("nothing to change", hint: "for instance --set maxReplicas=2")
        }
        let client = try await server.client()
        let before = try await client.deployment(name)
        let view = try await client.update(
            name, DeploymentRequest(config: fields.isEmpty ? nil : fields, description: description), isDryRun: dryRun)
        let isChanged = view.generation != before.generation
        let verb = isChanged ? (dryRun ? "would be updated" : "updated") : "unchanged"
        try DeploymentOutput.write(view, as: output, verb: verb)
        if output.isTable {
            let difference = ConfigDifference(from: before.config, to: view.config)
            try TextOutput.standard.write(difference.text(colored: ColorChoice.auto.isEnabled()))
            for note in view.notes where fields[note.field] != nil {
                try? TextOutput.error.writeLine("note: \(note.field): \(note.text)")
            }
        }
        if isChanged, !dryRun { try await waiting.finish(client, name, until: .settled) }
    }
}
