import ServingAdapters

/// Adapters' files, read and checked: the tier between disk and device. Guarded by the library.
struct HostAdapters {
    private struct Entry {
        let folder: AdapterFolder
        var lastUse: UInt64
    }

    private var entries: [String: Entry] = [:]
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

    /// Keeps an adapter, and drops those that were not used for longest where there is no room for all.
    mutating func keep(_ folder: AdapterFolder, path: String) {
        remove(path)
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

    private mutating func remove(_ path: String) {
        if let entry = entries.removeValue(forKey: path) { bytes -= entry.folder.byteCount }
    }
}
