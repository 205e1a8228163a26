import ServingJSON

/// A version of an adapter in the registry of this machine, as its manifest describes it.
public struct StoredAdapter: Sendable, Equatable {
    /// The name that its versions share.
    public let name: String
    /// 1 for the first; a number is never given twice while the name is there.
    public let version: Int
    /// Where it came from: `hf:owner/name[@revision]` or an absolute path.
    public let source: String
    /// Commit on the hub, or nil.
    public let commit: String?
    /// The model that its config says it was trained for, or nil.
    public let baseModel: String?
    /// Its PEFT folder. Absolute.
    public let folder: String
    /// Its files, each with its SHA-256.
    public let files: [StoredModel.File]
    /// When it was added, in seconds since 1970.
    public let addedAt: Int64

    /// `name/version`
    public var id: String { "\(name)/\(version)" }
    /// Bytes of all its files.
    public var bytes: Int64 { files.reduce(0) { $0 + $1.size } }
    /// Whether what the manifest names is still there, by names and sizes.
    public var isIntact: Bool { files.allSatisfy { FileSystem.size(folder + "/" + $0.path) == $0.size } }
}

/// What a person writes for an adapter of the registry: `name/version`, or `name` for its newest version.
struct AdapterID: Equatable {
    let name: String
    let version: Int?

    init(parsing text: String) throws(ModelHubError) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard HubReference.isRepositoryPart(parts[0]) else {
            throw ModelHubError(
                .badReference, "\"\(Self.excerpt(text))\" cannot be an adapter's name",
                hint: "write name or name/version; names have letters, digits, . _ - and at most 96 of them")
        }
        name = parts[0]
        version = parts.count > 1 ? Self.version(parts[1]) : nil
        guard parts.count == 1 || version != nil else {
            throw ModelHubError(
                .badReference, "\"\(Self.excerpt(text))\": a version is a number from 1",
                hint: "write \(name)/1, or \(name) for its newest version")
        }
    }

    /// The number that a folder's name or an id's second half is; nil for what is no version.
    static func version(_ text: String) -> Int? {
        guard (1...9).contains(text.utf8.count), let number = Int(text), number > 0, String(number) == text else {
            return nil
        }
        return number
    }

    /// A text that came from outside, fit for one line of a message.
    static func excerpt(_ text: String) -> String {
        let scalars = text.unicodeScalars.prefix(120).map { scalar in
            scalar.properties.generalCategory == .control ? "?" : String(scalar)
        }
        return scalars.joined() + (text.unicodeScalars.count > 120 ? "…" : "")
    }
}

/// `manifest.json` of a version, written when all other files are there.
struct AdapterManifest {
    static let fileName = "manifest.json"
    static let version = 1

    let adapter: StoredAdapter

    var json: JSONValue {
        var object = JSONObject([
            ("manifest_version", .integer(Int64(Self.version))), ("name", .string(adapter.name)),
            ("version", .integer(Int64(adapter.version))), ("source", .string(adapter.source)),
        ])
        object["commit"] = adapter.commit.map { .string($0) }
        object["base_model"] = adapter.baseModel.map { .string($0) }
        object["files"] = .array(
            adapter.files.map { file in
                var entry = JSONObject([("path", .string(file.path)), ("size", .integer(file.size))])
                entry["sha256"] = file.sha256.map { .string($0) }
                return .object(entry)
            })
        object["added_at"] = .integer(adapter.addedAt)
        return .object(object)
    }

    init(_ adapter: StoredAdapter) { self.adapter = adapter }

    /// Reads the manifest of a folder; nil says that it isn't one, or another adapter's.
    init?(_ bytes: [UInt8], name: String, version: Int, folder: String) {
        guard let json = try? JSONValue(parsing: bytes), json["manifest_version"]?.intValue == Self.version,
            json["name"]?.stringValue == name, json["version"]?.intValue == version,
            let source = json["source"]?.stringValue, let entries = json["files"]?.arrayValue
        else { return nil }
        var files: [StoredModel.File] = []
        for entry in entries {
            guard let path = entry["path"]?.stringValue, AdapterFiles.isWanted(path),
                let size = entry["size"]?.intValue, size >= 0, let sha256 = entry["sha256"]?.stringValue
            else { return nil }
            files.append(StoredModel.File(path: path, size: Int64(size), sha256: sha256))
        }
        guard AdapterFiles.required.allSatisfy({ required in files.contains { $0.path == required } }) else {
            return nil
        }
        adapter = StoredAdapter(
            name: name, version: version, source: source, commit: json["commit"]?.stringValue,
            baseModel: json["base_model"]?.stringValue, folder: folder, files: files,
            addedAt: Int64(json["added_at"]?.intValue ?? 0))
    }
}
