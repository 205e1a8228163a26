import ArgumentParser
import BlockingThreads
import HTTPServing
import ModelHub
import ReplicaServer
import ServingEngine
import ServingRuntime
import Terminal

/// `pbctl engine serve`
struct EngineServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Serve a model and its adapters over HTTP.",
        discussion: """
            Speaks LoRAX's API (/, /generate, /generate_stream, /embed, /tokenize, /info, /health, /metrics) and
            OpenAI's (/v1/chat/completions, /v1/completions, /v1/embeddings, /v1/models). A request names its adapter in
            adapter_id, or in model on OpenAI's routes. SIGTERM finishes what runs and ends; a second one ends at once.

            Listens before the model is loaded: until then /health answers 503 {"status":"loading","percent":N}.
            Exit statuses: 64 usage, 65 a model or adapter that can't be used, 66 one that is not there, 1 the rest.

            Listens on this machine only, unless an API key is set, which clients send as Authorization: Bearer KEY.

            EXAMPLES:
              pbctl engine serve -m model.gguf --port 8080 --adapter-root ./adapters
              PBCTL_API_KEY=... pbctl engine serve -m model.gguf --host 0.0.0.0
              curl localhost:8080/v1/models
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup(title: "Adapter options") var adapters: ServedAdapterOptions

    @Option(help: ArgumentHelp("Address to listen on.", valueName: "address"))
    var host = "127.0.0.1"

    @Option(name: .shortAndLong, help: ArgumentHelp("Port; 0 takes any that is free.", valueName: "port"))
    var port = 8080

    @Option(
        help: ArgumentHelp(
            "Key that clients must send (default: PBCTL_API_KEY, which other users can't see in lists of processes).",
            valueName: "key"))
    var apiKey: String?

    @Option(help: ArgumentHelp("Name that clients know the model by (default: its file's).", valueName: "name"))
    var servedModelName: String?

    @Option(help: ArgumentHelp("Most requests under way; more get status 429.", valueName: "count"))
    var maxConcurrentRequests = 1024

    @Option(help: ArgumentHelp("Most sequences computed together.", valueName: "count"))
    var maxBatchSize = 64

    @Option(help: ArgumentHelp("Largest request body.", valueName: "size"))
    var maxBodySize = MemorySize(bytes: 2 << 20)

    @Option(
        help: ArgumentHelp(
            "On SIGTERM, how long requests may run on; what is not done then is cut off.", valueName: "duration"))
    var drainTimeout = DurationText(.seconds(600))

    @Option(
        help: ArgumentHelp(
            "Write pid, host, port and version as JSON to this file once the server listens.", valueName: "file"),
        completion: .file())
    var readyFile: String?

    @Flag(help: "Keep LoRAX's oddities where they contradict its documentation or OpenAI's, merges among them.")
    var loraxCompat = false

    func validate() throws {
        guard (0...65535).contains(port) else { throw ValidationError("--port \(port): expected 0 to 65535") }
        guard maxConcurrentRequests >= 1 else {
            throw ValidationError("--max-concurrent-requests \(maxConcurrentRequests): expected at least 1")
        }
        guard (1...4096).contains(maxBatchSize) else {
            throw ValidationError("--max-batch-size \(maxBatchSize): expected 1 to 4096")
        }
        if let servedModelName, servedModelName.allSatisfy(\.isWhitespace) {
            throw ValidationError("--served-model-name is empty: leave it out, or give a name")
        }
        guard maxBodySize.bytes >= 1 else { throw ValidationError("--max-body-size: expected at least 1") }
    }

    func run() async throws {
        let key = try checkedKey()
        let locator = try adapters.locator()
        let path = try model.path()
        var options = try model.engine.localModelOptions()
        options.sequenceCount = maxBatchSize
        options.engine.maxRunningSequences = maxBatchSize
        // Whoever is let in by the count of requests is not turned away by the engine, up to a few samples each.
        options.engine.maxWaitingSequences = maxConcurrentRequests * 4
        options.adapters = try adapters.libraryOptions(locator, isLoRAXCompatible: loraxCompat)
        let (adapters, servedModelName, reference, host) = (adapters, servedModelName, model.model, host)
        let configuration = configuration(key, locator)
        let readyFile = readyFile.map { ReadyFile(path: $0) }
        try await ReplicaServer(configuration: configuration).run { [options] progress in
            var options = options
            options.progress = progress
            options.mergedAdapterPath = try await adapters.mergedFolder()
            let model = try await BlockingThread.run { [options] in
                Result { try LocalModel(path: path, options: options) }
            }.get()
            let names = [model.name, model.path] + (reference.map { [$0] } ?? [])
            let seconds = model.loadDuration.inSeconds.formatted(decimals: 1)
            return LoadedReplica(
                model: LocalReplicaModel(model, name: servedModelName), baseModelIDs: Set(names),
                note: "\(model.device) \(model.deviceDescription), ready in \(seconds) s",
                hold: try await adapters.preload(model, locator))
        } onEvent: { event in
            switch event {
            case .listening(let port):
                try readyFile?.write(host: configuration.host, port: port, version: configuration.version)
            case .ready(let port, let replica):
                let host = host.contains(":") ? "[\(host)]" : host
                Self.tell("serving \(replica.model.name) on http://\(host):\(port) (\(replica.note))")
            case .draining(let count):
                Self.tell(
                    "finishing \(count) request\(count == 1 ? "" : "s"), then stopping (once more: stop at once)")
            }
        }
    }

    /// Nobody may read it any more; that ends no server.
    private static func tell(_ line: String) { try? TextOutput.error.writeLine("pbctl: \(line)") }

    private func configuration(_ key: APIKey?, _ locator: AdapterLocator) -> ReplicaConfiguration {
        let source = adapters.defaultSource
        var configuration = ReplicaConfiguration(host: host, port: port, apiKey: key, adapterSource: source)
        configuration.adapterPlace = adapters.place(locator)
        configuration.adapterIDs = adapters.knownIDs(locator)
        configuration.drainLimit = drainTimeout.duration
        configuration.maxConcurrentRequests = maxConcurrentRequests
        configuration.maxBatchSize = maxBatchSize
        configuration.maxBodyBytes = maxBodySize.bytes
        configuration.isLoRAXCompatible = loraxCompat
        configuration.version = Version.number
        configuration.replicaID = ProcessEnvironment.value("PBCTL_REPLICA_ID")
        return configuration
    }

    private static let loopback: Set<String> = ["127.0.0.1", "::1", "localhost"]

    /// The key, which every address but this machine's own needs.
    private func checkedKey() throws -> APIKey? {
        let text = apiKey ?? ProcessEnvironment.value("PBCTL_API_KEY")
        // What no client can send in a header would lock everybody out, and a space is no secret.
        if let text, text.isEmpty || !text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) {
            throw CommandFailure.usage(
                "the API key is empty, or holds a space or another character that clients can't send",
                hint: "make one with 'openssl rand -hex 32'")
        }
        let key = text.flatMap { APIKey($0) }
        guard key != nil || Self.loopback.contains(host) || host.hasPrefix("127.") else {
            throw CommandFailure.usage(
                "--host \(host) can be reached from other machines and there is no API key",
                hint: "make one with 'openssl rand -hex 32' and set PBCTL_API_KEY")
        }
        return key
    }
}
