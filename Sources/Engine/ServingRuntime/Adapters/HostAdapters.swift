import ServingAdapters

/// Adapters' files, read and checked: the tier between disk and device. Guarded by the library.
struct HostAdapters {
    private struct Entry {
        let folder: AdapterFolder
        var lastUse: UInt64
    }

    /// What stood in files that need not be in memory any more.
    private struct Identity {
        let fingerprint: AdapterFingerprint
        let contentHash: AdapterContentHash
    }

    private var entries: [String: Entry] = [:]
    private var identities: [String: Identity] = [:]
    private let capacity: Int
    private var clock: UInt64 = 0
    private(set) var bytes = 0

    init(capacity: Int) { self.capacity = capacity }

    var count: Int { entries.count }

    /// The adapter of a folder, if its files are still those that were read.
    mutating func find(_ path: String, fingerprint: AdapterFingerprint) -> AdapterFolder? {
        guard let entry = entries[path] else { return nil }
        guard entry.folder.fingerprint == fingerprint else {
            remove(path)
            return nil
        }
        clock += 1
        entries[path]?.lastUse = clock
        return entry.folder
    }

    /// What stands in a folder's files, if they are still those that were read.
    func contentHash(_ path: String, fingerprint: AdapterFingerprint) -> AdapterContentHash? {
        identities[path].flatMap { $0.fingerprint == fingerprint ? $0.contentHash : nil }
    }

    /// Keeps an adapter, and drops those that were not used for longest where there is no room for all.
    mutating func keep(_ folder: AdapterFolder, path: String) {
        remove(path)
        // Small, and soon there again: when there are many they start anew.
        if identities.count >= Self.identityLimit { identities = [:] }
        identities[path] = Identity(fingerprint: folder.fingerprint, contentHash: folder.contentHash)
        guard folder.byteCount <= capacity else { return }
        while bytes + folder.byteCount > capacity,
            let oldest = entries.min(by: { $0.value.lastUse < $1.value.lastUse })
        {
            remove(oldest.key)
        }
        clock += 1
        entries[path] = Entry(folder: folder, lastUse: clock)
        bytes += folder.byteCount
    }

    private static let identityLimit = 16_384

    private mutating func remove(_ path: String) {
        if let entry = entries.removeValue(forKey: path) { bytes -= entry.folder.byteCount }
    }
}
