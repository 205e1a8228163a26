import ArgumentParser
import ControlAPI
import ControlClient
import Deployments
import ServingJSON
import Terminal

/// `pbctl deploy`
struct DeployCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deploy",
        abstract: "Deploy a model.",
        discussion: """
            Makes a deployment: a model with a name, served by as many replicas as its load asks for. The first replica
            starts at once. Every field of the config can be given, with flags, with --set, or in a file of YAML or JSON
            (see 'pbctl get NAME'); flags win over the file. On a terminal the command waits until the deployment is ready.

            EXAMPLES:
              pbctl deploy demo --model ./model.gguf
              pbctl deploy demo -m Qwen3-0.6B --adapter tone/1 --max 4 --cooldown 10m
              pbctl deploy demo -m model.gguf --set hfToken=@token.txt --no-wait
              pbctl deploy -f demo.yaml --dry-run -o yaml
            """)

    @Argument(
        help: ArgumentHelp("Name of the deployment: a-z, 0-9 and - (may stand in the file).", valueName: "name"))
    var name: String?

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "The model: a GGUF file, a Hugging Face folder, a pulled model's name, or hf:owner/name.",
            valueName: "model"), completion: .file())
    var model: String?

    @OptionGroup(title: "Config options") var config: DeploymentConfigOptions

    @Option(help: ArgumentHelp("What it is for.", valueName: "text"))
    var description: String?

    @Option(
        name: .shortAndLong, help: ArgumentHelp("Read it from a file (- for standard input).", valueName: "file"),
        completion: .file(extensions: ["yaml", "yml", "json"]))
    var file: String?

    @Flag(help: "Say what would be made, and make nothing.")
    var dryRun = false

    @OptionGroup(title: "Waiting options") var waiting: WaitOptions

    @Option(name: .shortAndLong, help: ArgumentHelp(OutputFormat.help, valueName: "format"))
    var output = OutputFormat.table

    @OptionGroup(title: "Server options") var server: ServerOptions

    func validate() throws {
        if file == nil, name == nil { throw ValidationError("name the deployment: pbctl deploy NAME --model MODEL") }
        if file == nil, model == nil, !config.set.contains(where: { ["baseModel", "base_model"].contains($0.field) }) {
            throw ValidationError("name the model: pbctl deploy \(name ?? "NAME") --model MODEL")
        }
    }

    func run() async throws {
        let files = try file.map { try DeploymentFile.all(in: $0) }
        if let files, files.count > 1, name != nil || model != nil {
            throw CommandFailure.usage(
                "--file holds \(files.count) deployments, of which each has its own name and model")
        }
        let sources: [DeploymentFile?] = files ?? [nil]
        let requests = try sources.map { try request($0) }
        let client = try await server.client()
        for request in requests { try await make(request, client) }
    }

    private func request(_ file: DeploymentFile?) throws -> DeploymentRequest {
        guard let name = name ?? file?.name else {
            throw CommandFailure.usage("\(file?.place ?? "") has no name", hint: "give one: pbctl deploy NAME -f FILE")
        }
        _ = try DeploymentArgument.checked(name)
        var fields = file.map { PathAnchor(server, file: self.file).anchored($0.config) } ?? JSONObject()
        for (key, value) in try config.config(paths: PathAnchor(server)).members { fields[key] = value }
        if let model {
            let given = JSONObject([("baseModel", .string(model))])
            fields["baseModel"] = PathAnchor(server).anchored(given)["baseModel"]
        }
        return DeploymentRequest(name: name, config: fields, description: description ?? file?.description)
    }

    private func make(_ request: DeploymentRequest, _ client: ControlClient) async throws {
        let view = try await client.create(request, isDryRun: dryRun)
        if !dryRun { DeploymentNames.keep(view) }
        for note in view.notes { try? TextOutput.error.writeLine("note: \(note.field): \(note.text)") }
        try DeploymentOutput.write(view, as: output, verb: dryRun ? "would be created" : "created")
        guard !dryRun else { return }
        try await waiting.finish(client, DeploymentName(view.name), until: .ready)
        if waiting.waits, output.isTable {
            try? TextOutput.error.writeLine("\(view.name) is ready; next: pbctl prompt \(view.name) \"Hello\"")
        }
    }
}

extension PathAnchor {
    /// Paths of the command line lead from where the command runs, those of a file from the file.
    init(_ server: ServerOptions, file: String? = nil) {
        guard server.isOnThisMachine, let here = TextFile.currentFolder else {
            self.init(folder: nil)
            return
        }
        guard let file, file != "-", let slash = file.lastIndex(of: "/") else {
            self.init(folder: here)
            return
        }
        let folder = String(file[..<slash])
        self.init(folder: folder.hasPrefix("/") || slash == file.startIndex ? folder : "\(here)/\(folder)")
    }
}

extension ServerOptions {
    /// Whether the server sees the files that this command sees.
    var isOnThisMachine: Bool {
        guard case .remote(let url) = address else { return true }
        return ["://127.", "://localhost", "://[::1]"].contains { url.contains($0) }
    }
}
