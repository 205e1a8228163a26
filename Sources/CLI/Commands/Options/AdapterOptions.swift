import ArgumentParser
import ModelHub
import ServingAdapters
import ServingJSON
import ServingRuntime
import Terminal

/// Which LoRA adapter a command runs with.
struct AdapterOptions: ParsableArguments {
    @Option(
        name: .customLong("adapter"),
        help: ArgumentHelp(
            "A LoRA adapter: a PEFT folder, name/version in the registry, or hf:owner/name.", valueName: "adapter"),
        completion: .directory)
    var adapterTexts: [String] = []

    @Flag(help: "Merge adapters with LoRAX's arithmetic instead of PEFT's.")
    var loraxCompat = false

    /// The adapter; nil for the model alone.
    var adapter: String? { adapterTexts.first.flatMap { $0.isEmpty ? nil : $0 } }

    func validate() throws {
        // The parser would take the last one in silence.
        guard adapterTexts.count <= 1 else {
            throw ValidationError(
                "--adapter is given \(adapterTexts.count) times: \(adapterTexts.joined(separator: ", ")); expected one "
                    + "(several become one with 'pbctl adapters merge')")
        }
    }

    /// What the option asks for; nil for the model alone.
    var selection: AdapterSelection? { adapter.map { Self.selection(of: $0) } }

    /// Where commands look for adapters: any folder, the registry, the hub.
    func libraryOptions() throws -> AdapterLibrary.Options {
        AdapterLibrary.Options(locator: try Self.locator(), isLoRAXCompatible: loraxCompat)
    }

    /// Takes an adapter, if one is asked for; it stays for as long as the command runs.
    func acquire(_ model: LocalModel) async throws -> AdapterLease? {
        guard let selection else { return nil }
        return try await model.adapters.pin(selection)
    }

    /// Finds adapters for a command.
    static func locator() throws -> AdapterLocator {
        let directories = try PbctlDirectories()
        return AdapterLocator(
            allowsAnyPath: true, registry: AdapterStore(directories), hub: try? HubClient(),
            cache: directories.adapterCache, onNote: Self.note)
    }

    /// Tells the person at this machine what a locator has to say.
    static let note: @Sendable (String) -> Void = { text in try? TextOutput.error.writeLine("pbctl: \(text)") }

    /// What a person means by a text: `hf:` is the hub, a folder that is there or a path is local, all else the
    /// registry.
    static func selection(of text: String) -> AdapterSelection {
        let (id, source) = identity(of: text)
        return AdapterSelection(.single(id), source: source)
    }

    /// The folder of an adapter, fetched where it has to be.
    static func location(of text: String) async throws -> AdapterLocation {
        let (id, source) = identity(of: text)
        // Asked directly, the registry's errors have hints for the person at this machine.
        if source == .pbase { return AdapterLocation(folder: try AdapterStore(PbctlDirectories()).resolve(id).folder) }
        return try await locator().locate(id, source: source, token: nil)
    }

    private static func identity(of text: String) -> (id: String, source: AdapterSource) {
        if text.hasPrefix("hf:") { return (String(text.dropFirst(3)), .hub) }
        let path = TextFile.expanded(text)
        let isPath = path.hasPrefix("/") || path.hasPrefix(".") || TextFile.isFolder(path)
        return isPath ? (path, .local) : (text, .pbase)
    }

    /// What a row of a batch says of adapters.
    enum RowChoice: Equatable {
        /// Nothing: the command's adapter.
        case unsaid
        /// The model alone: null or an empty text.
        case base
        case adapter(AdapterSelection)
    }

    /// What a row of a batch asks for: `adapter` (or `adapter_id`), a text as above, or `merged_adapters`, an object as
    /// LoRAX takes it.
    static func choice(ofRow object: JSONObject) throws -> RowChoice {
        let names = ["adapter", "adapter_id"].filter { object[$0] != nil }
        let merge = object["merged_adapters"].present
        let texts = try names.map { name in
            switch object[name] {
            case .null?: ""
            case .string(let text)?: text
            default: throw RowError("\(name): expected a text, or null for the model alone")
            }
        }
        guard Set(texts).count <= 1 else { throw RowError("adapter and adapter_id name different adapters") }
        let text = texts.first ?? ""
        guard let merge else {
            return names.isEmpty ? .unsaid : text.isEmpty ? .base : .adapter(selection(of: text))
        }
        guard text.isEmpty else { throw RowError("\(names[0]) and merged_adapters can't be given together") }
        return .adapter(try selection(ofMerge: merge))
    }

    private static func selection(ofMerge value: JSONValue) throws -> AdapterSelection {
        func wrong(_ field: String, _ expected: String) -> RowError {
            RowError("merged_adapters.\(field): expected \(expected)")
        }
        let texts = value["ids"]?.arrayValue?.map(\.stringValue)
        guard let texts, !texts.isEmpty, !texts.contains(nil) else { throw wrong("ids", "a list of adapters") }
        let weights = value["weights"]?.arrayValue?.map(\.doubleValue) ?? texts.map { _ in 1 }
        guard !weights.contains(nil) else { throw wrong("weights", "a list of numbers") }
        let identities = texts.compactMap { $0 }.map(identity(of:))
        guard let source = identities.first?.source, identities.allSatisfy({ $0.source == source }) else {
            throw wrong("ids", "adapters of one kind: all folders, all of the registry or all of the hub")
        }
        var merge = AdapterMerge(ids: identities.map(\.id), weights: weights.compactMap { $0 })
        if let strategy = value["merge_strategy"], !strategy.isNull {
            guard let known = strategy.stringValue.flatMap(AdapterMergeStrategy.init(rawValue:)) else {
                throw wrong("merge_strategy", "one of \(AdapterMergeStrategy.allCases.map(\.rawValue))")
            }
            merge.strategy = known
        }
        if let density = value["density"], !density.isNull {
            guard let number = density.doubleValue else { throw wrong("density", "a number") }
            merge.density = number
        }
        if let method = value["majority_sign_method"], !method.isNull {
            guard let known = method.stringValue.flatMap(MajoritySignMethod.init(rawValue:)) else {
                throw wrong("majority_sign_method", "total or frequency")
            }
            merge.majoritySignMethod = known
        }
        return AdapterSelection(.merged(merge), source: source)
    }
}
