import Deployments
import Glibc
import ServingJSON

/// The models on this machine: one folder a model, and a manifest in it that is written last.
///
/// ```
/// <root>/<name>/manifest.json        what is there and where it came from; without it the model is not complete
/// <root>/<name>/source               what an unfinished pull is fetching
/// <root>/<name>/<commit>/...         the files
/// <root>/.locks/<name>               held while a model is pulled, imported or removed
/// ```
/// Safe to use from several processes: whoever changes a model holds its lock, and every change shows at once.
public struct ModelStore: Sendable {
    /// The folder that holds the store. Made when something is first put there.
    public let root: String

    /// A store in a folder, which need not be there yet.
    public init(root: String) { self.root = FileSystem.absolute(root) }

    /// The store of an environment's directories.
    public init(_ directories: PbctlDirectories) { self.init(root: directories.models) }

    /// What a store holds.
    public struct Listing: Sendable, Equatable {
        /// Complete models, by name.
        public internal(set) var models: [StoredModel] = []
        /// Names of models whose pull has not finished.
        public internal(set) var unfinished: [String] = []
        /// Models with something wrong: a manifest that cannot be read, files that are gone.
        public internal(set) var damaged: [Damage] = []
    }

    /// A model that cannot be used.
    public struct Damage: Sendable, Equatable {
        /// Its name.
        public let name: String
        /// What is wrong.
        public let reason: String
    }

    /// All that is there. An absent store is an empty one; a damaged model is reported and does no harm to the rest.
    public func listing() throws(ModelHubError) -> Listing {
        var listing = Listing()
        guard let names = FileSystem.names(in: root) else {
            guard errno == ENOENT else { throw FileSystem.failure("cannot read", root) }
            return listing
        }
        for name in names where HubReference.isRepositoryPart(name) && FileSystem.isDirectory(folder(of: name)) {
            do throws(ModelHubError) {
                if let model = try read(name) {
                    listing.models.append(model)
                } else {
                    listing.unfinished.append(name)
                }
            } catch {
                listing.damaged.append(Damage(name: name, reason: error.message))
            }
        }
        return listing
    }

    /// A complete model by name.
    /// - Throws: `.notFound` with the nearest names; `.corrupt` for a damaged one; `.badReference` for what is no name.
    public func inspect(_ name: String) throws(ModelHubError) -> StoredModel {
        try Self.checkName(name)
        if let model = try read(name) { return model }
        if FileSystem.isDirectory(folder(of: name)) {
            throw ModelHubError(
                .notFound, "model \(name) is not complete: its pull was interrupted",
                hint: owner(of: name).map { "carry on with: pbctl models pull \($0)" })
        }
        throw unknown(name)
    }

    /// What to open for a reference: a path as it is, or where the store keeps the model.
    /// - Throws: `.notFound` for a path, name or hub model that is not here, with what to do about it.
    public func resolve(_ text: String) throws(ModelHubError) -> String {
        switch try ModelReference.parse(text) {
        case .path(let path):
            var path = path
            if path.hasPrefix("~/"), let home = PbctlDirectories.processEnvironment("HOME") {
                path = home + path.dropFirst()
            }
            if FileSystem.status(path) != nil { return path }
            let reason = String(cString: strerror(errno))
            let repository = try? HubReference(parsing: text)
            throw ModelHubError(
                .notFound, "\(text): \(reason)",
                hint: repository.map { "to fetch it from the hub: pbctl models pull \($0)" })
        case .hub(let reference):
            if let model = try model(of: reference) { return model.path }
            throw ModelHubError(
                .notFound, "\(reference) is not in the local store",
                hint: "fetch it with: pbctl models pull \(reference)")
        case .name(let name):
            guard HubReference.isRepositoryPart(name) else {
                if FileSystem.status(name) != nil { return name }
                throw unknown(name)
            }
            if FileSystem.isDirectory(folder(of: name)) { return try inspect(name).path }
            if FileSystem.status(name) != nil { return name }
            throw unknown(name)
        }
    }

    /// Removes a model and gives the bytes freed. A reference is forgotten; what it refers to stays.
    /// - Throws: `.notFound`; `.busy` while it is being pulled.
    public func remove(_ name: String) throws(ModelHubError) -> Int64 {
        try Self.checkName(name)
        guard FileSystem.isDirectory(folder(of: name)) else { throw unknown(name) }
        guard let lock = try lock(name) else {
            throw ModelHubError(.busy, "model \(name) is being pulled", hint: "stop that first")
        }
        // Renamed first, so that no half-removed model is ever seen.
        let trash = "\(root)/.trash-\(getpid())-\(name)"
        try FileSystem.removeTree(trash)
        guard rename(folder(of: name), trash) == 0 else {
            if errno == ENOENT { throw unknown(name) }
            throw FileSystem.failure("cannot remove", folder(of: name))
        }
        _ = consume lock
        return try FileSystem.removeTree(trash)
    }

    /// The stored model that a hub reference means.
    func model(of reference: HubReference) throws(ModelHubError) -> StoredModel? {
        let exact = reference.description
        let models = try listing().models
        if let model = models.first(where: { $0.source == exact }) { return model }
        let wantedTag = reference.file?.lowercased()
        let matches = models.filter { model in
            guard let source = try? HubReference(parsing: model.source), model.source.hasPrefix("hf:") else {
                return false
            }
            let isSame =
                source.owner == reference.owner && source.name == reference.name
                && source.revision == reference.revision
            return isSame && (wantedTag.map { source.file?.lowercased().hasSuffix($0 + ".gguf") ?? false } ?? true)
        }
        return matches.count == 1 ? matches[0] : nil
    }

    private func unknown(_ name: String) -> ModelHubError {
        let names = (try? listing().models.map(\.name)) ?? []
        let near = names.filter { Spelling.distance(name, $0) <= max(2, name.utf8.count / 3) }
        let hint =
            if !near.isEmpty {
                "did you mean \(near.prefix(3).joined(separator: ", "))?"
            } else if names.isEmpty {
                "fetch one with: pbctl models pull hf:owner/name"
            } else {
                "see: pbctl models list"
            }
        return ModelHubError(.notFound, "no model named \"\(name)\"", hint: hint)
    }
}

// MARK: - What pulls and imports use

extension ModelStore {
    func folder(of name: String) -> String { root + "/" + name }

    static func checkName(_ name: String) throws(ModelHubError) {
        guard HubReference.isRepositoryPart(name) else {
            throw ModelHubError(
                .badReference, "\"\(name)\" cannot be a model's name",
                hint: "use letters, digits, . _ - and at most 96 of them")
        }
    }

    /// A name for the store out of any text: what a name may not hold becomes "-".
    static func name(from text: String) -> String {
        var bytes = text.utf8.map { byte -> UInt8 in
            let scalar = Character(Unicode.Scalar(byte))
            let isPlain = byte < 0x80 && (scalar.isLetter || scalar.isNumber || "._-".contains(scalar))
            return isPlain ? byte : UInt8(ascii: "-")
        }
        bytes = Array(bytes.drop { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }.prefix(96))
        let name = String(decoding: bytes, as: UTF8.self)
        return HubReference.isRepositoryPart(name) ? name : "model"
    }

    /// The last component of a path without the ending `.gguf`.
    static func stem(of path: String) -> String {
        let last = path.split(separator: "/").last.map(String.init) ?? path
        return last.lowercased().hasSuffix(".gguf") ? String(last.dropLast(5)) : last
    }

    /// Makes the store's folders.
    func prepare() throws(ModelHubError) { try FileSystem.makeDirectories(root + "/.locks") }

    /// The lock of a model, or nil where another holds it.
    func lock(_ name: String) throws(ModelHubError) -> FileLock? {
        try prepare()
        return try FileLock(trying: "\(root)/.locks/\(name)")
    }

    /// The model that a folder's manifest describes; nil where there is no manifest.
    func read(_ name: String) throws(ModelHubError) -> StoredModel? {
        let path = folder(of: name) + "/" + ModelManifest.fileName
        guard let bytes = try FileSystem.read(path, limit: 16 << 20) else { return nil }
        guard let manifest = ModelManifest(bytes), manifest.name == name else {
            throw ModelHubError(
                .corrupt, "\(path) is not a manifest of this version of pbctl",
                hint: "remove the model with: pbctl models rm \(name)")
        }
        let model = manifest.model(in: folder(of: name))
        guard model.isIntact else {
            throw ModelHubError(
                .corrupt, "model \(name): files are gone from \(model.path) or have changed their size",
                hint: model.isReference ? "pbctl models rm \(name)" : "pull it again: pbctl models pull \(model.source)"
            )
        }
        return model
    }

    func model(named name: String) -> StoredModel? { (try? read(name)) ?? nil }

    /// Where the content of a folder comes from, complete or not; nil where there is none or that is not known.
    func owner(of name: String) -> String? {
        if let bytes = try? FileSystem.read(folder(of: name) + "/" + ModelManifest.fileName, limit: 16 << 20),
            let manifest = ModelManifest(bytes)
        {
            return manifest.source
        }
        guard let bytes = try? FileSystem.read(folder(of: name) + "/source", limit: 4096) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Notes what is being fetched into a folder.
    func claim(_ name: String, source: String) throws(ModelHubError) {
        try FileSystem.writeAtomically(Array(source.utf8), to: folder(of: name) + "/source")
    }

    func write(_ manifest: ModelManifest) throws(ModelHubError) {
        try FileSystem.makeDirectories(folder(of: manifest.name))
        let text = manifest.json.text(style: .pretty) + "\n"
        try FileSystem.writeAtomically(
            Array(text.utf8), to: folder(of: manifest.name) + "/" + ModelManifest.fileName)
    }

    /// Removes the files of earlier commits. Whoever has them mapped keeps them until it ends.
    func removeOtherSnapshots(of name: String, than commits: [String]) {
        for entry in FileSystem.names(in: folder(of: name)) ?? [] where !commits.contains(entry) {
            let path = folder(of: name) + "/" + entry
            if FileSystem.isDirectory(path) { _ = try? FileSystem.removeTree(path) }
        }
    }

    /// Runs a file's content through a digest.
    func digest(
        _ path: String, into digest: inout ContentDigest, _ cancellation: CancellationFlag
    ) throws(ModelHubError) {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw FileSystem.failure("cannot read", path) }
        defer { close(file) }
        var chunk = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            try cancellation.check()
            let count = Glibc.read(file, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw FileSystem.failure("cannot read", path) }
            guard count > 0 else { return }
            chunk.withUnsafeBytes { digest.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        }
    }
}
