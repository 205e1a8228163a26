import Deployments
import Glibc
import ServingJSON

/// The LoRA adapters on this machine that have a name: one folder a version, with a manifest that is written last.
///
/// ```
/// <root>/<name>/<version>/manifest.json   what is there and where it came from
/// <root>/<name>/<version>/adapter_*       the PEFT files
/// <root>/<name>/last                      the highest version ever given, so that none is given twice
/// <root>/.locks/<name>                    held while versions are added or removed
/// <root>/.pulls/...                       what an unfinished addition has fetched from a hub
/// ```
/// A version appears at once and whole, and never changes afterwards. Safe to use from several processes.
public struct AdapterStore: Sendable {
    /// The folder that holds the registry. Made when something is first put there.
    public let root: String

    /// A registry in a folder, which need not be there yet.
    public init(root: String) { self.root = FileSystem.absolute(root) }

    /// The registry of an environment's directories.
    public init(_ directories: PbctlDirectories) { self.init(root: directories.adapters) }

    /// What a registry holds.
    public struct Listing: Sendable, Equatable {
        /// By name, and versions from the first.
        public internal(set) var adapters: [StoredAdapter] = []
        /// Versions whose manifest cannot be read or whose files are gone.
        public internal(set) var damaged: [ModelStore.Damage] = []
    }

    /// All that is there. An absent registry is an empty one; a damaged version does no harm to the rest.
    public func listing() throws(ModelHubError) -> Listing {
        var listing = Listing()
        guard let names = FileSystem.names(in: root) else {
            guard errno == ENOENT else { throw FileSystem.failure("cannot read", root) }
            return listing
        }
        for name in names where HubReference.isRepositoryPart(name) {
            for version in versions(of: name) {
                do throws(ModelHubError) {
                    if let adapter = try read(name, version) { listing.adapters.append(adapter) }
                } catch {
                    listing.damaged.append(ModelStore.Damage(name: "\(name)/\(version)", reason: error.message))
                }
            }
        }
        return listing
    }

    /// The adapter that `name/version` means, or `name` with its newest version.
    ///
    /// A newest version that is damaged is an error; an older one is never given in its place.
    /// - Throws: `.notFound` with the nearest names; `.corrupt`; `.badReference` for what is no id.
    public func resolve(_ text: String) throws(ModelHubError) -> StoredAdapter {
        let id = try AdapterID(parsing: text)
        if let version = id.version ?? versions(of: id.name).last, let adapter = try read(id.name, version) {
            return adapter
        }
        throw unknown(id)
    }

    /// Compares the files of an adapter with their checksums.
    /// - Throws: `.corrupt` naming the file.
    public func verify(_ adapter: StoredAdapter) throws(ModelHubError) {
        for file in adapter.files {
            var digest = ContentDigest(for: nil, size: nil)
            try ModelStore(root: root).digest(adapter.folder + "/" + file.path, into: &digest, CancellationFlag())
            guard digest.sha256Text == file.sha256 else {
                throw ModelHubError(
                    .corrupt, "adapter \(adapter.id): \(file.path) is not what it was when it was added",
                    hint: "remove it with: pbctl adapters rm \(adapter.id)")
            }
        }
    }

    /// Whether there is something to remove under `name/version`, or `name`, damaged or not.
    /// - Throws: `.notFound`; `.badReference` for what is no id.
    public func checkHolds(_ text: String) throws(ModelHubError) { try checkHolds(AdapterID(parsing: text)) }

    private func checkHolds(_ id: AdapterID) throws(ModelHubError) {
        guard id.version.map(versions(of: id.name).contains) ?? FileSystem.isDirectory(folder(of: id.name)) else {
            throw unknown(id)
        }
    }

    /// Removes `name/version`, or all versions of `name`, and gives the bytes freed. Damaged ones go too.
    /// - Throws: `.notFound`; `.busy` while one of that name is being added.
    public func remove(_ text: String) throws(ModelHubError) -> Int64 {
        let id = try AdapterID(parsing: text)
        try checkHolds(id)
        guard let lock = try lock(id.name) else {
            throw ModelHubError(.busy, "an adapter \(id.name) is being added", hint: "stop that first")
        }
        // Renamed first, so that no half-removed version is ever seen.
        let trash = "\(root)/.trash-\(getpid())-\(id.name)"
        try FileSystem.removeTree(trash)
        let target = folder(of: id.name) + (id.version.map { "/\($0)" } ?? "")
        guard rename(target, trash) == 0 else {
            if errno == ENOENT { throw unknown(id) }
            throw FileSystem.failure("cannot remove", target)
        }
        let freed = try FileSystem.removeTree(trash)
        _ = consume lock
        return freed
    }

    private func unknown(_ id: AdapterID) -> ModelHubError {
        let here = versions(of: id.name)
        if let version = id.version, !here.isEmpty {
            let known = here.suffix(8).map { "\(id.name)/\($0)" }.joined(separator: ", ")
            return ModelHubError(.notFound, "adapter \(id.name) has no version \(version)", hint: "there is \(known)")
        }
        let names = (FileSystem.names(in: root) ?? []).filter { !versions(of: $0).isEmpty }
        let near = names.filter { Spelling.distance(id.name, $0) <= max(2, id.name.utf8.count / 3) }
        let hint =
            if !near.isEmpty {
                "did you mean \(near.prefix(3).joined(separator: ", "))?"
            } else if names.isEmpty {
                "add one with: pbctl adapters add FOLDER"
            } else {
                "see: pbctl adapters list"
            }
        return ModelHubError(.notFound, "no adapter named \"\(id.name)\"", hint: hint)
    }
}

// MARK: - What additions use

extension AdapterStore {
    func folder(of name: String) -> String { root + "/" + name }
    func folder(of name: String, _ version: Int) -> String { "\(root)/\(name)/\(version)" }

    /// Versions that have a folder, from the first.
    func versions(of name: String) -> [Int] {
        guard HubReference.isRepositoryPart(name), let entries = FileSystem.names(in: folder(of: name)) else {
            return []
        }
        return entries.compactMap(AdapterID.version).sorted()
    }

    /// The lock of a name, or nil where another holds it.
    func lock(_ name: String) throws(ModelHubError) -> FileLock? {
        try FileSystem.makeDirectories(root + "/.locks")
        return try FileLock(trying: "\(root)/.locks/\(name)")
    }

    /// The adapter in a version's folder; nil where there is no such folder.
    func read(_ name: String, _ version: Int) throws(ModelHubError) -> StoredAdapter? {
        let folder = folder(of: name, version)
        let hint = "remove it with: pbctl adapters rm \(name)/\(version)"
        guard let bytes = try FileSystem.read(folder + "/" + AdapterManifest.fileName, limit: 1 << 20) else {
            guard FileSystem.isDirectory(folder) else { return nil }
            throw ModelHubError(.corrupt, "adapter \(name)/\(version) has no manifest", hint: hint)
        }
        guard let manifest = AdapterManifest(bytes, name: name, version: version, folder: folder) else {
            throw ModelHubError(
                .corrupt, "adapter \(name)/\(version): its manifest is not one of this version of pbctl", hint: hint)
        }
        guard manifest.adapter.isIntact else {
            // Removed between the look at the manifest and that at the files.
            guard FileSystem.isDirectory(folder) else { return nil }
            throw ModelHubError(
                .corrupt, "adapter \(name)/\(version): files are gone from \(folder) or have changed their size",
                hint: hint)
        }
        return manifest.adapter
    }
}
