import ServingJSON

/// A file as a hub lists it.
struct HubFile: Sendable, Equatable {
    /// Path in the repository; safe to use below a folder.
    let path: String
    /// Bytes, where the hub says so.
    let size: Int64?
    /// How its content is checked.
    let checksum: Checksum?

    enum Checksum: Sendable, Equatable {
        /// SHA-256 of the content, in lower-case hexadecimal (files in large file storage).
        case sha256(String)
        /// Git's object name: SHA-1 of `blob <size>\0` and the content (all others).
        case gitBlob(String)
    }

    /// Whether a path from a hub or a manifest stays below the folder that it is put in.
    static func isSafePath(_ path: String) -> Bool {
        (1...400).contains(path.utf8.count)
            && path.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { part in
                !part.isEmpty && part.utf8.count <= 200 && part != "." && part != ".." && !part.hasPrefix("~")
                    && part.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "\\") }
            }
    }
}

/// A repository at one commit.
struct HubSnapshot: Sendable, Equatable {
    let commit: String
    let files: [HubFile]

    /// Reads the answer of `GET /api/models/{owner}/{name}/revision/{revision}?blobs=true`
    /// (huggingface.co/docs/hub/api): `sha`, and `siblings` of `rfilename`, `size`, `blobId`, `lfs.sha256`, `lfs.size`.
    /// Files with a path that would leave its folder are left out, as if they weren't there.
    init(parsing body: [UInt8]) throws(ModelHubError) {
        let document: JSONValue
        do { document = try JSONValue(parsing: body) } catch {
            throw ModelHubError(.hubFailed, "the hub's file list is not JSON: \(error)", hint: "check HF_ENDPOINT")
        }
        guard let commit = document["sha"]?.stringValue, HubReference.isRepositoryPart(commit) else {
            throw ModelHubError(.hubFailed, "the hub's file list names no commit", hint: "check HF_ENDPOINT")
        }
        guard let siblings = document["siblings"]?.arrayValue else {
            throw ModelHubError(.hubFailed, "the hub's answer has no list of files", hint: "check HF_ENDPOINT")
        }
        self.commit = commit
        files = siblings.compactMap { sibling in
            guard let path = sibling["rfilename"]?.stringValue, HubFile.isSafePath(path) else { return nil }
            let size = (sibling["lfs"]?["size"] ?? sibling["size"])?.intValue.map { Int64($0) }
            return HubFile(path: path, size: size.flatMap { $0 >= 0 ? $0 : nil }, checksum: Self.checksum(of: sibling))
        }
    }

    private static func checksum(of sibling: JSONValue) -> HubFile.Checksum? {
        func digits(_ value: JSONValue?, _ count: Int) -> String? {
            guard let text = value?.stringValue?.lowercased(), text.utf8.count == count,
                text.utf8.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit })
            else { return nil }
            return text
        }
        if let lfs = sibling["lfs"], !lfs.isNull { return digits(lfs["sha256"], 64).map { .sha256($0) } }
        return digits(sibling["blobId"], 40).map { .gitBlob($0) }
    }
}
