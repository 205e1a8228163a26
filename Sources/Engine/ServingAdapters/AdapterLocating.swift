/// A PEFT folder on this machine, and which of its kind it is.
public struct AdapterLocation: Sendable, Hashable {
    /// The folder, absolute.
    public var folder: String
    /// Commit of a hub, version of the registry; nil for a plain folder.
    public var revision: String?

    /// A location.
    public init(folder: String, revision: String? = nil) {
        self.folder = folder
        self.revision = revision
    }
}

/// Leads from an adapter's id to its files, fetching them where they are not here yet. Called concurrently.
public protocol AdapterLocating: Sendable {
    /// Finds an adapter's folder. Never leaves the roots it was set up with, whatever the id.
    ///
    /// - Throws: `notFound`, `invalidRequest`, `unavailable`.
    func locate(_ id: String, source: AdapterSource, token: String?) async throws(AdapterError) -> AdapterLocation
}
