import ArgumentParser
import ModelHub
import ServingAdapters
import ServingRuntime

/// Which adapters a server offers and how much memory they get.
struct ServedAdapterOptions: ParsableArguments {
    /// LoRAX's `adapter_source`.
    enum Source: String, ExpressibleByArgument, CaseIterable {
        case local, hub, pbase
    }

    @Option(
        help: ArgumentHelp("Folder below which ids of local adapters are paths.", valueName: "folder"),
        completion: .directory)
    var adapterRoot: String?

    @Option(
        help: ArgumentHelp(
            "Where adapter ids lead unless a request says so: local (below the root), pbase (the registry of this machine) "
                + "or hub (default: below --adapter-root, then the registry, then, without a root, the hub).",
            valueName: "source"))
    var adapterSource: Source?

    @Option(help: ArgumentHelp("Memory for adapters on the device (default: an eighth of it).", valueName: "size"))
    var adapterMemory: MemorySize?

    @Option(
        help: ArgumentHelp(
            "Memory for adapters' files that were read, so that one that left the device is there again soon (default: a "
                + "sixteenth of the memory, at most --adapter-memory; 0: none).", valueName: "size"))
    var adapterHostMemory: MemorySize?

    @Option(
        help: ArgumentHelp(
            "Merge an adapter into the weights at load: a folder, name/version, or hf:owner/name.", valueName: "adapter"
        ),
        completion: .directory)
    var mergeAdapter: String?

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp("Load these adapters at start and keep them.", valueName: "id"))
    var preloadedAdapterIds: [String] = []

    /// Where ids lead unless a request says so.
    var defaultSource: AdapterSource {
        if let adapterSource, let source = AdapterSource(rawValue: adapterSource.rawValue) { return source }
        return adapterRoot == nil ? .hub : .local
    }

    /// Where an id without a source is found right now, unless one source was asked for; nil leaves it to the default.
    func place(_ locator: AdapterLocator) -> @Sendable (String) -> AdapterSource? {
        let isOpen = adapterSource == nil
        return { isOpen ? locator.place(of: $0) : nil }
    }

    /// The adapters that requests may name without saying where they are.
    func knownIDs(_ locator: AdapterLocator) -> @Sendable () -> [String] {
        let source = defaultSource
        guard adapterSource == nil else { return { locator.knownIDs(of: source) } }
        return {
            let local = locator.knownIDs(of: .local)
            return local + locator.knownIDs(of: .pbase).filter { !local.contains($0) }
        }
    }

    /// Finds adapters for requests: below the root, in the registry, on the hub.
    ///
    /// A request that brings no token gets public repositories only: the server's own token opens none to strangers,
    /// unless LORAX_USE_GLOBAL_HF_TOKEN says so, as in LoRAX.
    func locator() throws -> AdapterLocator {
        if let adapterRoot, !TextFile.isFolder(TextFile.expanded(adapterRoot)) {
            throw CommandFailure.usage("--adapter-root \(adapterRoot): no such folder")
        }
        let directories = try PbctlDirectories()
        let sharesToken = ["1", "true"].contains(ProcessEnvironment.value("LORAX_USE_GLOBAL_HF_TOKEN")?.lowercased())
        let hub = try HubClient()
        return AdapterLocator(
            root: adapterRoot.map { TextFile.expanded($0) }, registry: AdapterStore(directories),
            hub: sharesToken ? hub : hub.withoutToken, cache: directories.adapterCache, onNote: AdapterOptions.note)
    }

    /// The library's options.
    func libraryOptions(_ locator: AdapterLocator, isLoRAXCompatible: Bool) throws -> AdapterLibrary.Options {
        AdapterLibrary.Options(
            locator: locator, deviceBytes: adapterMemory?.bytes,
            hostBytes: adapterHostMemory?.bytes, isLoRAXCompatible: isLoRAXCompatible)
    }

    /// The folder of the adapter that becomes part of the weights.
    func mergedFolder() async throws -> String? {
        guard let mergeAdapter else { return nil }
        let selection = AdapterOptions.selection(of: mergeAdapter)
        guard case .single(let id) = selection.choice else { return nil }
        return try await AdapterOptions.locator().locate(id, source: selection.source, token: nil).folder
    }

    /// Loads what is to be there from the start; it stays for as long as the leases live.
    func preload(_ model: LocalModel, _ locator: AdapterLocator) async throws -> [AdapterLease] {
        var leases: [AdapterLease] = []
        let place = place(locator)
        for id in preloadedAdapterIds {
            let source = id.hasPrefix("hf:") ? .hub : place(id) ?? defaultSource
            leases.append(try await model.adapters.pin(AdapterSelection(.single(id), source: source)))
        }
        return leases
    }
}
