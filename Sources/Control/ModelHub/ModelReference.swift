/// What a person may write where a model is wanted.
public enum ModelReference: Sendable, Equatable {
    /// `hf:owner/name[@revision][:file]`
    case hub(HubReference)
    /// A path: has a slash, or starts with a dot or a tilde.
    case path(String)
    /// A name in the local store.
    case name(String)

    /// Reads a reference. Nothing is looked up.
    /// - Throws: `.badReference` saying which part cannot be.
    public static func parse(_ text: String) throws(ModelHubError) -> ModelReference {
        guard !text.isEmpty else { throw ModelHubError(.badReference, "empty model name") }
        guard !text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
            throw ModelHubError(.badReference, "control character in the model name")
        }
        if text.hasPrefix("hf:") { return .hub(try HubReference(parsing: text)) }
        if text.hasPrefix("https://") || text.hasPrefix("http://") {
            throw ModelHubError(.badReference, "\(text): a URL is not a model", hint: "write hf:owner/name")
        }
        if text.utf8.contains(UInt8(ascii: "/")) || text.hasPrefix(".") || text.hasPrefix("~") { return .path(text) }
        return .name(text)
    }
}

/// A model on a hub that speaks the Hugging Face API.
public struct HubReference: Sendable, Equatable, CustomStringConvertible {
    /// User or organisation.
    public let owner: String
    /// Repository.
    public let name: String
    /// Branch, tag or commit; `main` unless said.
    public let revision: String
    /// One file, or a tag such as `Q4_K_M` that one GGUF file bears; nil for what the repository's form asks for.
    public let file: String?

    /// Reads `hf:owner/name[@revision][:file]`; the `hf:` may be left out.
    public init(parsing text: String) throws(ModelHubError) {
        func error(_ reason: String) -> ModelHubError {
            ModelHubError(.badReference, "\(text): \(reason)", hint: "write hf:owner/name[@revision][:file]")
        }
        let body = text.hasPrefix("hf:") ? text.dropFirst(3) : text[...]
        let parts = body.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let versioned = parts[0].split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
        let path = versioned[0].split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard path.count == 2 else { throw error("expected an owner and a name") }
        for part in path where !Self.isRepositoryPart(part) {
            throw error("\"\(part)\" cannot be an owner or a name (letters, digits, . _ - and at most 96 of them)")
        }
        (owner, name) = (path[0], path[1])
        revision = versioned.count > 1 ? String(versioned[1]) : "main"
        guard Self.isRevision(revision) else { throw error("\"\(revision)\" cannot be a revision") }
        file = parts.count > 1 ? String(parts[1]) : nil
        if let file, !HubFile.isSafePath(file) { throw error("\"\(file)\" cannot be a file") }
    }

    /// The reference as `hf:owner/name[@revision][:file]`; the revision `main` is left out.
    public var description: String {
        "hf:\(owner)/\(name)" + (revision == "main" ? "" : "@\(revision)") + (file.map { ":\($0)" } ?? "")
    }

    /// The same with another file.
    func naming(_ file: String?) -> HubReference {
        HubReference(owner: owner, name: name, revision: revision, file: file)
    }

    private init(owner: String, name: String, revision: String, file: String?) {
        (self.owner, self.name, self.revision, self.file) = (owner, name, revision, file)
    }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    /// Whether a text may be an owner, a repository or a name in the store: one safe path component.
    static func isRepositoryPart(_ text: String) -> Bool {
        (1...96).contains(text.utf8.count) && text.utf8.allSatisfy(isWordByte) && !text.hasPrefix(".")
            && !text.hasPrefix("-") && !text.contains("..")
    }

    private static func isRevision(_ text: String) -> Bool {
        (1...200).contains(text.utf8.count) && !text.hasPrefix("-")
            && text.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { part in
                !part.isEmpty && part.utf8.allSatisfy(isWordByte) && part != "." && !part.contains("..")
            }
    }
}
