import ArgumentParser
import ControlAPI
import ControlClient
import Deployments
import ServingJSON
import Terminal

/// `pbctl apply`
struct ApplyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply",
        abstract: "Make deployments what files say.",
        discussion: """
            Makes what is not there and changes what is otherwise; repeating it changes nothing. A file may hold several
            deployments. Fields that a file leaves out get their defaults, but for the hub token, which stays.

            EXAMPLES:
              pbctl apply -f demo.yaml
              pbctl get demo | sed 's/maxReplicas: .*/maxReplicas: 4/' | pbctl apply -f -
              pbctl apply -f demo.yaml --dry-run
            """)

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("YAML or JSON (- for standard input); may be repeated.", valueName: "file"),
        completion: .file(extensions: ["yaml", "yml", "json"]))
    var file: [String]

    @Flag(help: "Say what would be done, and do nothing.")
    var dryRun = false

    @OptionGroup(title: "Waiting options") var waiting: WaitOptions
    @OptionGroup(title: "Server options") var server: ServerOptions

    func run() async throws {
        // All is read before anything is changed.
        let plans = try file.flatMap { try DeploymentPlanFile.all(in: $0, server) }
        let client = try await server.client()
        var changed: [DeploymentName] = []
        for plan in plans {
            let (view, verb) = try await plan.apply(client, isDryRun: dryRun)
            try TextOutput.standard.writeLine("deployment \(view.name) \(verb)\(dryRun ? " (dry run)" : "")")
            try TextOutput.standard.flush()
            for note in view.notes where verb != "unchanged" {
                try? TextOutput.error.writeLine("note: \(view.name): \(note.field): \(note.text)")
            }
            guard !dryRun else { continue }
            DeploymentNames.keep(view)
            if verb != "unchanged" { changed.append(plan.name) }
        }
        for name in changed { try await waiting.finish(client, name, until: .settled) }
    }
}

/// A deployment of a file beside the one that the server has.
struct DeploymentPlanFile: Sendable {
    let name: DeploymentName
    let file: DeploymentFile
    /// The file's config, with whole paths.
    let config: JSONObject

    static func all(in path: String, _ server: ServerOptions) throws -> [DeploymentPlanFile] {
        try DeploymentFile.all(in: path).map { file in
            guard let name = file.name else {
                throw CommandFailure("\(file.place): the deployment has no name", status: ExitStatus.dataError)
            }
            return DeploymentPlanFile(
                name: try DeploymentArgument.checked(name), file: file,
                config: PathAnchor(server, file: path).anchored(file.config))
        }
    }

    /// The deployment as it is; nil where there is none.
    func current(_ client: ControlClient) async throws -> DeploymentView? {
        do throws(ControlClientError) { return try await client.deployment(name) } catch {
            guard error.status == 404, error.problem != nil else { throw error }
            return nil
        }
    }

    /// The config that the deployment is to have.
    func whole(beside current: DeploymentView?) throws -> JSONObject {
        do throws(DeploymentConfigError) {
            return try DesiredConfig.whole(config, current: current?.config)
        } catch {
            throw CommandFailure("\(file.place): \(error)", status: ExitStatus.dataError)
        }
    }

    /// Makes or changes the deployment. Another's change in between is taken into account.
    func apply(
        _ client: ControlClient, isDryRun: Bool
    ) async throws -> (view: DeploymentView, verb: String) {
        for attempt in 1... {
            guard let current = try await current(client) else {
                let whole = try whole(beside: nil)
                let request = DeploymentRequest(
                    name: name.text, config: DeploymentManifest.config(whole).merging(config),
                    description: file.description)
                return (try await client.create(request, isDryRun: isDryRun), "created")
            }
            let update = DesiredConfig.update(from: current.config, to: try whole(beside: current))
            let description = file.description.flatMap { $0 == current.description ? nil : $0 }
            guard !update.isEmpty || description != nil else { return (current, "unchanged") }
            do throws(ControlClientError) {
                let view = try await client.update(
                    name, DeploymentRequest(config: update.isEmpty ? nil : update, description: description),
                    ifGeneration: current.generation, isDryRun: isDryRun)
                return (view, view.generation == current.generation ? "unchanged" : "configured")
            } catch {
                guard error.problem?.code == "conflict", attempt < 5 else { throw error }
            }
        }
        throw CommandFailure("deployment \"\(name)\" changes all the time", status: ExitStatus.tryAgain)
    }
}

extension JSONObject {
    /// The members of both; those of `other` win.
    func merging(_ other: JSONObject) -> JSONObject {
        var merged = self
        for (key, value) in other.members { merged[key] = value }
        return merged
    }
}
