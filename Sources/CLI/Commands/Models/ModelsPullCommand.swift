import ArgumentParser
import Glibc
import ModelHub
import ServingJSON
import Terminal

/// `pbctl models pull`
struct ModelsPullCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pull",
        abstract: "Fetch a model from a hub, or take in one from a path.",
        discussion: """
            hf:owner/name[@revision][:file] fetches from Hugging Face (HF_ENDPOINT, HF_TOKEN). An interrupted pull goes on
            where it stopped. A path is remembered in place; --copy copies it.

            EXAMPLES:
              pbctl models pull hf:bartowski/SmolLM2-135M-Instruct-GGUF:Q4_K_M
              pbctl models pull hf:Qwen/Qwen3-0.6B
              pbctl models pull ./my-model.gguf --name mine
            """)

    @Argument(help: "hf:owner/name[@revision][:file], or a path.", completion: .file())
    var source: String

    @Option(help: ArgumentHelp("Name in the store (default: from the source).", valueName: "name"))
    var name: String?

    @Flag(help: "Copy the files of a path instead of remembering where they are.")
    var copy = false

    @Option(name: .shortAndLong, help: "Format: text or json.")
    var output = TextOrJSON.text

    func run() async throws {
        let store = ModelStore(try PbctlDirectories())
        let model: StoredModel
        switch try ModelReference.parse(source) {
        case .hub(let reference): model = try await pull(reference, store)
        case .path(let path): model = try store.importModel(at: path, as: name, copying: copy)
        case .name(let path):
            guard access(path, F_OK) == 0 else {
                throw CommandFailure.usage("\(source) is neither a file nor a hub model", hint: "write hf:owner/name")
            }
            model = try store.importModel(at: path, as: name, copying: copy)
        }
        switch output {
        case .text: try TextOutput.standard.writeLine(model.name)
        case .json: try TextOutput.standard.writeLine(JSONValue.object(model.summary).text())
        }
    }

    private func pull(_ reference: HubReference, _ store: ModelStore) async throws -> StoredModel {
        let client = try HubClient()
        let progress = PullProgress(reference)
        let name = name
        let (result, wasInterrupted) = await InterruptMonitor.run { () async throws -> StoredModel in
            try await client.pull(reference, into: store, as: name) { progress.show($0) }
        }
        progress.finish()
        if wasInterrupted, case .failure = result {
            try? TextOutput.error.writeLine("pbctl: interrupted; the same command goes on where this one stopped")
            throw CancellationError()
        }
        return try result.get()
    }
}

/// Shows a pull on standard error.
struct PullProgress: Sendable {
    private let bar: ProgressBar

    init(_ reference: HubReference) { bar = ProgressBar(title: reference.description) }

    func show(_ event: PullEvent) {
        switch event {
        case .resolving: break
        case .waiting(let model): bar.note("\(model) is being pulled by another process; waiting for it")
        case .started(let model, let files, let bytes):
            let size = bytes.map { ", \(ByteCount.text($0))" } ?? ""
            bar.note("pulling \(model): \(files.count) \(files.count == 1 ? "file" : "files")\(size)")
        case .file(let file, _, let resumedFrom):
            if resumedFrom > 0 { bar.note("\(file): going on at \(ByteCount.text(resumedFrom))") }
        case .progress(let completed, let total): bar.update(completed: completed, total: total)
        case .retrying(let reason, let pause):
            bar.note("\(reason); trying again in \(pause.inSeconds.formatted(decimals: 1)) s")
        case .upToDate(let model): bar.note("\(model) is up to date")
        }
    }

    func finish() { bar.finish() }
}
