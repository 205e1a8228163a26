import ArgumentParser
import Glibc
import ModelHub
import ServingAdapters

/// Which LoRA adapter to apply.
struct AdapterOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "A LoRA adapter: a PEFT folder, name[/version] of an added one, or hf:owner/name[@revision].",
            valueName: "adapter"), completion: .directory)
    var adapter: String?

    /// The adapter that the options mean and what finds it, or nil for the bare model.
    func selection() throws -> (selection: AdapterSelection, locator: AdapterLocator)? {
        guard let adapter else { return nil }
        return (try Self.selection(of: adapter), try Self.locator())
    }

    /// What a text means: `hf:owner/name[@revision]`, a path, or a name in the registry.
    ///
    /// A path begins with `/`, `.` or `~`. Other texts are the registry's names first; where it has none of that name, a
    /// folder of that path will do.
    static func selection(of text: String) throws -> AdapterSelection {
        let (id, source) = try place(of: text)
        return AdapterSelection(.single(id), source: source)
    }

    /// What finds the adapters of commands: any folder, this user's registry, the hub of the environment.
    static func locator() throws -> AdapterLocator {
        let directories = try PbctlDirectories()
        return AdapterLocator(
            allowsAnyPath: true, registry: AdapterStore(directories), hub: try HubClient(),
            cache: directories.adapterCache)
    }

    /// The folder of an adapter, fetched where it has to be.
    static func location(of text: String) async throws -> AdapterLocation {
        let (id, source) = try place(of: text)
        return try await locator().locate(id, source: source, token: nil)
    }

    private static func place(of text: String) throws -> (id: String, source: AdapterSource) {
        switch try ModelReference.parse(text) {
        case .hub(let reference): return (String(reference.description.dropFirst("hf:".count)), .hub)
        case .path(let path) where ["/", ".", "~"].contains(where: path.hasPrefix): return (expanded(path), .local)
        case .path(let name), .name(let name):
            let registry = AdapterStore(try PbctlDirectories())
            do throws(ModelHubError) {
                return (try registry.resolve(name).id, .pbase)
            } catch {
                if [.notFound, .badReference].contains(error.code), access(name, F_OK) == 0 { return (name, .local) }
                throw error
            }
        }
    }

    private static func expanded(_ path: String) -> String {
        guard path.hasPrefix("~/"), let home = ProcessEnvironment.value("HOME") else { return path }
        return home + path.dropFirst()
    }
}
