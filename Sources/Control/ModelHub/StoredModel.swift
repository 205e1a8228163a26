import ServingJSON

/// A complete model of the local store, as its manifest describes it.
public struct StoredModel: Sendable, Equatable {
    /// The form of the files.
    public enum Format: String, Sendable {
        /// One GGUF file.
        case gguf
        /// A Hugging Face folder.
        case safetensors
    }

    /// One of its files.
    public struct File: Sendable, Equatable {
        /// Path below the model's folder.
        public let path: String
        /// Bytes.
        public let size: Int64
        /// SHA-256 of the content in hexadecimal, where it is known.
        public let sha256: String?
    }

    /// The name by which commands know it.
    public let name: String
    /// Where it came from: `hf:owner/name[@revision][:file]` or an absolute path.
    public let source: String
    /// Commit on the hub, or nil.
    public let commit: String?
    /// The form of its files.
    public let format: Format
    /// What to open: a GGUF file or a Hugging Face folder. Absolute.
    public let path: String
    /// Whether `path` lies outside the store, which then only knows of it and never removes it.
    public let isReference: Bool
    /// Its files; empty for a reference to a folder.
    public let files: [File]
    /// When it was added, in seconds since 1970.
    public let addedAt: Int64

    /// Bytes of all its files.
    public var bytes: Int64 { files.reduce(0) { $0 + $1.size } }

    /// Whether what the manifest names is still there, by names and sizes.
    public var isIntact: Bool {
        guard !isReference else { return FileSystem.status(path) != nil }
        guard format == .safetensors else { return files.count == 1 && FileSystem.size(path) == files[0].size }
        return files.allSatisfy { FileSystem.size(path + "/" + $0.path) == $0.size }
    }
}

/// The manifest of a model: `manifest.json` in its folder, written last, so that a model without one is not complete.
struct ModelManifest {
    static let fileName = "manifest.json"
    static let version = 1

    var name: String
    var source: String
    var commit: String?
    var format: StoredModel.Format
    /// Path below the model's folder, or absolute for a reference.
    var location: String
    var files: [StoredModel.File]
    var addedAt: Int64

    var json: JSONValue {
        var object = JSONObject([
            ("version", .integer(Int64(Self.version))), ("name", .string(name)), ("source", .string(source)),
        ])
        object["commit"] = commit.map { .string($0) }
        object["format"] = .string(format.rawValue)
        object["location"] = .string(location)
        object["files"] = .array(
            files.map { file in
                var entry = JSONObject([("path", .string(file.path)), ("size", .integer(file.size))])
                entry["sha256"] = file.sha256.map { .string($0) }
                return .object(entry)
            })
        object["added_at"] = .integer(addedAt)
        return .object(object)
    }

    /// Reads a manifest; nil says that it isn't one.
    init?(_ bytes: [UInt8]) {
        guard let json = try? JSONValue(parsing: bytes), json["version"]?.intValue == Self.version,
            let name = json["name"]?.stringValue, HubReference.isRepositoryPart(name),
            let source = json["source"]?.stringValue,
            let format = json["format"]?.stringValue.flatMap({ StoredModel.Format(rawValue: $0) }),
            let location = json["location"]?.stringValue, location.hasPrefix("/") || HubFile.isSafePath(location),
            let entries = json["files"]?.arrayValue
        else { return nil }
        var files: [StoredModel.File] = []
        for entry in entries {
            guard let path = entry["path"]?.stringValue, HubFile.isSafePath(path),
                let size = entry["size"]?.intValue, size >= 0
            else { return nil }
            files.append(StoredModel.File(path: path, size: Int64(size), sha256: entry["sha256"]?.stringValue))
        }
        self.init(
            name: name, source: source, commit: json["commit"]?.stringValue, format: format, location: location,
            files: files, addedAt: Int64(json["added_at"]?.intValue ?? 0))
    }

    init(
        name: String, source: String, commit: String?, format: StoredModel.Format, location: String,
        files: [StoredModel.File], addedAt: Int64
    ) {
        self.name = name
        self.source = source
        self.commit = commit
        self.format = format
        self.location = location
        self.files = files
        self.addedAt = addedAt
    }

    func model(in folder: String) -> StoredModel {
        let isReference = location.hasPrefix("/")
        return StoredModel(
            name: name, source: source, commit: commit, format: format,
            path: isReference ? location : folder + "/" + location, isReference: isReference, files: files,
            addedAt: addedAt)
    }
}
