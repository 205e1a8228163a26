import ArgumentParser
import ModelHub
import ServingJSON
import Terminal

/// `pbctl adapters add`
struct AdaptersAddCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Add an adapter's next version, from a folder or a hub.",
        discussion: """
            The files are copied and never change afterwards. Prints name/version.

            EXAMPLES:
              pbctl adapters add ./my-adapter
              pbctl adapters add hf:acme/tone-lora@v2 --name tone
            """)

    @Argument(help: "A PEFT folder, or hf:owner/name[@revision].", completion: .directory)
    var source: String

    @Option(help: ArgumentHelp("Name in the registry (default: from the source).", valueName: "name"))
    var name: String?

    @Option(name: .shortAndLong, help: "Format: text or json.")
    var output = TextOrJSON.text

    func run() async throws {
        let store = AdapterStore(try PbctlDirectories())
        let adapter: StoredAdapter
        if case .hub(let reference) = try ModelReference.parse(source) {
            adapter = try await fetch(reference, store)
        } else {
            let cancellation = CancellationFlag()
            let (source, name) = (source, name)
            let (result, wasInterrupted) = await InterruptMonitor.run { () async throws -> StoredAdapter in
                try await withTaskCancellationHandler {
                    try store.add(folder: source, as: name, cancellation: cancellation)
                } onCancel: {
                    cancellation.cancel()
                }
            }
            if wasInterrupted, case .failure = result { throw CancellationError() }
            adapter = try result.get()
        }
        switch output {
        case .text: try TextOutput.standard.writeLine(adapter.id)
        case .json: try TextOutput.standard.writeLine(JSONValue.object(adapter.summary).text())
        }
    }

    private func fetch(_ reference: HubReference, _ store: AdapterStore) async throws -> StoredAdapter {
        let client = try HubClient()
        let progress = PullProgress(reference)
        let name = name
        let (result, wasInterrupted) = await InterruptMonitor.run { () async throws -> StoredAdapter in
            try await store.add(reference, from: client, as: name) { progress.show($0) }
        }
        progress.finish()
        if wasInterrupted, case .failure = result {
            try? TextOutput.error.writeLine("pbctl: interrupted; the same command goes on where this one stopped")
            throw CancellationError()
        }
        return try result.get()
    }
}
