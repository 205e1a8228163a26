import Glibc
public import ServingAdapters

/// Finds the adapters that requests name: below a root folder, in the registry, on a hub.
///
/// Called by the server's adapter cache and by commands with `--adapter`; leads to folders and reads no weights. What
/// an id says is never trusted: it names a folder below the root, an entry of the registry, or a repository of the one
/// hub that was set up. Errors tell no path of this machine that the id does not hold itself.
public struct AdapterLocator: AdapterLocating {
    private let root: String?
    private let allowsAnyPath: Bool
    private let registry: AdapterStore?
    private let fetcher: AdapterFetcher?

    /// A locator.
    /// - Parameters:
    ///   - root: folder below which `local` ids are paths.
    ///   - allowsAnyPath: without a root, whether `local` ids may be any path; for commands, never for a server.
    ///   - registry: where `pbase` ids are looked up.
    ///   - hub: where `hub` ids are fetched from. Its token is used where a request brings none.
    ///   - cache: folder for what is fetched.
    ///   - onNote: told in a line of text, in any thread, when a copy is used because the hub is away.
    public init(
        root: String? = nil, allowsAnyPath: Bool = false, registry: AdapterStore? = nil, hub: HubClient? = nil,
        cache: String, onNote: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.init(
            root: root, allowsAnyPath: allowsAnyPath, registry: registry,
            fetcher: hub.map { AdapterFetcher(client: $0, cache: cache, onNote: onNote) })
    }

    init(root: String?, allowsAnyPath: Bool, registry: AdapterStore?, fetcher: AdapterFetcher?) {
        self.root = root.map(FileSystem.absolute)
        self.allowsAnyPath = allowsAnyPath
        self.registry = registry
        self.fetcher = fetcher
    }

    /// Finds an adapter's folder, as ``AdapterLocating`` says.
    public func locate(
        _ id: String, source: AdapterSource, token: String?
    ) async throws(AdapterError) -> AdapterLocation {
        guard (1...1024).contains(id.utf8.count), !id.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
            throw AdapterError(
                .invalidRequest,
                "adapter \"\(AdapterID.excerpt(id))\": an id is 1 to 1024 bytes without control characters")
        }
        switch source {
        case .local: return try local(id)
        case .pbase: return try registered(id)
        case .hub: return try await fetched(id, token)
        }
    }

    /// The ids of a source that can be used right now, sorted: folders below the root, `name/version` of the registry.
    /// None of the hub's.
    ///
    /// Reads folders; large roots are cut off after 10 000 of them.
    public func knownIDs(of source: AdapterSource) -> [String] {
        var ids: Set<String> = []
        if source == .local, let root {
            var budget = 10_000
            collect(root, below: "", depth: 0, &budget, into: &ids)
        }
        if source == .pbase, let registry, let listing = try? registry.listing() {
            ids.formUnion(listing.adapters.map(\.id))
        }
        return ids.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// Where an adapter is right now: below the root, else in the registry; nil where in neither.
    public func place(of id: String) -> AdapterSource? {
        guard (1...1024).contains(id.utf8.count) else { return nil }
        if root != nil, (try? local(id)) != nil { return .local }
        guard let registry, (try? AdapterID(parsing: id)) != nil, (try? registry.resolve(id)) != nil else { return nil }
        return .pbase
    }

    private func collect(
        _ folder: String, below prefix: String, depth: Int, _ budget: inout Int, into ids: inout Set<String>
    ) {
        guard depth < 5 else { return }
        for name in FileSystem.names(in: folder) ?? [] where !name.hasPrefix(".") && HubFile.isSafePath(name) {
            let path = folder + "/" + name
            guard FileSystem.isDirectory(path) else { continue }
            budget -= 1
            guard budget >= 0 else { return }
            if (try? local(prefix + name)) != nil {
                ids.insert(prefix + name)
            } else if !FileSystem.isLink(path) {
                // Links to folders may make rings; one to an adapter was seen above.
                collect(path, below: prefix + name + "/", depth: depth + 1, &budget, into: &ids)
            }
        }
    }
}

// MARK: - The three sources

extension AdapterLocator {
    private func local(_ id: String) throws(AdapterError) -> AdapterLocation {
        guard let root else {
            guard allowsAnyPath else {
                throw AdapterError(
                    .invalidRequest, "adapter \"\(AdapterID.excerpt(id))\": this server has no folder of local adapters"
                )
            }
            return try folder(at: id, id: id, within: nil)
        }
        guard let path = Self.relative(id, to: root), HubFile.isSafePath(path) else {
            throw AdapterError(
                .invalidRequest,
                "adapter \"\(AdapterID.excerpt(id))\": a local id is a path below the adapter root, with no \"..\""
                    + elsewhere(id))
        }
        guard let top = Self.realPath(root) else {
            throw AdapterError(.notFound, "no adapter \"\(AdapterID.excerpt(id))\": the adapter root is not there")
        }
        return try folder(at: top + "/" + path, id: id, within: top)
    }

    /// The part of a path that is below the root; paths that are not absolute are below it.
    private static func relative(_ id: String, to root: String) -> String? {
        guard id.hasPrefix("/") else { return id }
        for top in [root, realPath(root)] {
            guard let top, id.utf8.starts(with: (top + "/").utf8) else { continue }
            return String(decoding: id.utf8.dropFirst(top.utf8.count + 1), as: UTF8.self)
        }
        return nil
    }

    /// Where else an adapter that is not below the root may be, for the end of a message.
    private func elsewhere(_ id: String) -> String {
        if id.hasPrefix("hf:") { return " (adapter_source \"hub\", or none, leads to the hub)" }
        if let registry, (try? registry.resolve(id)) != nil {
            return " (the registry has one: adapter_source \"pbase\", or none)"
        }
        return registry == nil
            ? "" : ", and the registry has none (hf:owner/name, or adapter_source \"hub\", leads to the hub)"
    }

    /// The PEFT folder at a path, with all links followed; none may lead out of `top`.
    private func folder(at path: String, id: String, within top: String?) throws(AdapterError) -> AdapterLocation {
        func isInside(_ path: String) -> Bool {
            guard let top, top != "/" else { return true }
            // By bytes: comparing strings would take different spellings of one character for the same.
            return path.utf8.starts(with: (top + "/").utf8)
        }
        let shown = AdapterID.excerpt(id)
        let missing = AdapterError(
            .notFound, "no adapter \"\(shown)\"" + (top == nil ? "" : " below the adapter root" + elsewhere(id)))
        guard let folder = Self.realPath(path) else { throw missing }
        guard isInside(folder) else { throw Self.leadsOut(shown, what: "it") }
        guard FileSystem.isDirectory(folder) else { throw missing }
        for name in AdapterFiles.required {
            guard let file = Self.realPath(folder + "/" + name), FileSystem.isFile(file) else {
                throw Self.incomplete(folder, shown, name)
            }
            guard isInside(file) else { throw Self.leadsOut(shown, what: name) }
        }
        return AdapterLocation(folder: folder)
    }

    private static func leadsOut(_ id: String, what: String) -> AdapterError {
        AdapterError(
            .notFound,
            "adapter \"\(id)\": \(what) is a link that leads out of the adapter root, which is not followed "
                + "(copy the files, or move the root up)")
    }

    private static func incomplete(_ folder: String, _ id: String, _ name: String) -> AdapterError {
        let hasPickle = FileSystem.names(in: folder)?.contains("adapter_model.bin") == true
        guard name == AdapterFiles.weights, hasPickle else {
            return AdapterError(.notFound, "adapter \"\(id)\": its folder has no \(name)")
        }
        return AdapterError(
            .invalidAdapter,
            "adapter \"\(id)\": its weights are a Python pickle (adapter_model.bin), which can run code when read and "
                + "is never read here (save the adapter with PEFT's safe_serialization=True)")
    }

    private func registered(_ id: String) throws(AdapterError) -> AdapterLocation {
        guard let registry else {
            throw AdapterError(
                .invalidRequest, "adapter \"\(AdapterID.excerpt(id))\": this server has no registry of adapters")
        }
        do throws(ModelHubError) {
            let adapter = try registry.resolve(id)
            return AdapterLocation(folder: adapter.folder, revision: String(adapter.version))
        } catch {
            if error.code == .corrupt {
                throw AdapterError(
                    .invalidAdapter, "adapter \(AdapterID.excerpt(id)): its files in the registry are damaged")
            }
            throw AdapterError(error, adapter: AdapterID.excerpt(id))
        }
    }

    private func fetched(_ id: String, _ token: String?) async throws(AdapterError) -> AdapterLocation {
        guard !id.contains("://") else {
            throw AdapterError(
                .invalidRequest,
                "adapter \"\(AdapterID.excerpt(id))\": a URL is no id; write owner/name of the configured hub"
            )
        }
        let reference: HubReference
        do { reference = try HubReference(parsing: id) } catch {
            throw AdapterError(
                .invalidRequest, "adapter \"\(AdapterID.excerpt(id))\": a hub id is owner/name[@revision]")
        }
        guard reference.file == nil else {
            throw AdapterError(
                .invalidRequest, "adapter \"\(AdapterID.excerpt(id))\": an adapter is a whole repository, not one file")
        }
        guard let fetcher else {
            throw AdapterError(
                .invalidRequest, "adapter \"\(AdapterID.excerpt(id))\": this server fetches no adapters from a hub")
        }
        return try await fetcher.locate(reference, token: token.flatMap { $0.isEmpty ? nil : $0 })
    }

    private static func realPath(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}
