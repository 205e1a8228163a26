import ArgumentParser
import Glibc
import ModelHub
import ServingRuntime
import Terminal

/// `pbctl chat`
struct ChatCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chat",
        abstract: "Talk with a deployment or a model.",
        discussion: """
            A conversation at the terminal. /help shows its commands: settings, the system message, saving and loading,
            other answers to a question, other models. Ctrl-C stops an answer, Ctrl-D leaves. Lines are kept in the
            state folder's chat_history unless PBCTL_NO_HISTORY is set; a line that begins with a space is not.

            Where standard input is no terminal, each line (or \""" block) is a message or a command: answers go to
            standard output, everything else to standard error, and the status is 1 where a line failed. --script
            takes the lines from a file and stops at the first error.

            EXAMPLES:
              pbctl chat demo
              pbctl chat demo --adapter tone/1 --system "Be brief."
              pbctl chat -m model.gguf
              pbctl chat -m model.gguf --system "Be brief." --temperature 0.2 --stats
              printf '%s\\n' "Name a colour." /retry | pbctl chat -m model.gguf --seed 7
              pbctl chat -m model.gguf --script questions.txt
            """)

    @Argument(
        help: ArgumentHelp("The deployment to talk with (default: a model in this process).", valueName: "name"),
        completion: DeploymentNames.completion)
    var deployment: String?

    @OptionGroup var model: ModelOptions
    @OptionGroup(title: "Server options") var server: ServerOptions
    @OptionGroup(title: "Adapter options") var adapters: AdapterOptions
    @OptionGroup(title: "Sampling options") var sampling: SamplingOptions

    @Option(name: .shortAndLong, help: ArgumentHelp("System message.", valueName: "text"))
    var system: String?

    @Flag(help: "Say on standard error after each answer how long it took.")
    var stats = false

    @Option(
        help: ArgumentHelp("Take messages and commands from a file (- for standard input).", valueName: "file"),
        completion: .file())
    var script: String?

    func validate() throws {
        if deployment != nil, model.model != nil || model.local {
            throw ValidationError("a deployment and --model or --local can't be given together")
        }
    }

    func run() async throws {
        if let deployment {
            let found = try await DeploymentTarget.find([], explicit: deployment, namesModel: false, server: server)
            guard let target = found?.target else { return }
            return try await Self.run(
                target, adapter: adapters.adapter, sampling: sampling, system: system, stats: stats, script: script)
        }
        try await Self.run(
            model: model, adapters: adapters, sampling: sampling, system: system, stats: stats, script: script)
    }

    /// Holds a conversation with a deployment; `/model` turns to another one.
    static func run(
        _ target: DeploymentTarget, adapter: String?, sampling: SamplingOptions, system: String?, stats: Bool,
        script: String? = nil
    ) async throws {
        var settings = ChatSettings(sampling)
        settings.showsStatistics = stats
        try settings.validate()
        let completion = ChatCompletion(modelNames: { DeploymentNames.known() })
        let console = try script.map(scriptConsole) ?? .standard(history: history(), completion: completion)
        let loop = ChatLoop(
            answerer: DeploymentAnswerer(target, adapter: adapter), settings: settings, system: system,
            console: console,
            loadModel: { name in
                let name = try DeploymentArgument.checked(name)
                return DeploymentAnswerer(DeploymentTarget(client: target.client, name: name), adapter: nil)
            })
        try await loop.run()
    }

    /// Holds a conversation with a model as the options describe it.
    static func run(
        model: ModelOptions, adapters: AdapterOptions, sampling: SamplingOptions, system: String?, stats: Bool,
        script: String? = nil
    ) async throws {
        var settings = ChatSettings(sampling)
        settings.showsStatistics = stats
        try settings.validate()
        let console = try script.map(scriptConsole) ?? .standard(history: history(), completion: completion())
        let loaded = try model.load(adapters: adapters)
        let loop = try ChatLoop(
            model: loaded, adapter: try await adapters.acquire(loaded), settings: settings, system: system,
            console: console,
            loadModel: { name in
                // The other model gets as much of the machine.
                var options = try ModelOptions.parse([])
                options.model = name
                return try LocalModel(path: options.path(), options: model.engine.localModelOptions())
            })
        try await loop.run()
    }

    private static func scriptConsole(_ path: String) throws -> ChatConsole {
        guard path != "-" else { return .script("-", descriptor: STDIN_FILENO) }
        // Stays open until the program ends.
        let descriptor = open(TextFile.expanded(path), O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw CommandFailure("cannot read \(path): \(String(cString: strerror(errno)))")
        }
        return .script(path, descriptor: descriptor)
    }

    private static func history() -> HistoryFile? {
        guard ProcessEnvironment.value("PBCTL_NO_HISTORY") == nil, let directories = try? PbctlDirectories() else {
            return nil
        }
        return HistoryFile(path: directories.state + "/chat_history")
    }

    private static func completion() -> ChatCompletion {
        ChatCompletion(modelNames: {
            guard let directories = try? PbctlDirectories() else { return [] }
            return (try? ModelStore(directories).listing().models.map(\.name)) ?? []
        })
    }
}

extension ChatSettings {
    /// The settings of a command line.
    init(_ options: SamplingOptions) {
        sampling = options.parameters(defaultTemperature: Self.defaultTemperature)
        maxTokenCount = options.maxTokens
        stopStrings = options.stop
        stopTokenIDs = Set(options.stopToken)
        ignoresEndOfGeneration = options.ignoreEos
    }
}
