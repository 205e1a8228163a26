import Glibc

/// How much adapters that strangers name may take of the disk.
struct AdapterCacheLimits: Sendable {
    /// The most bytes of one adapter's files together.
    var adapterBytes: Int64 = 8 << 30
    /// The most bytes of all that was fetched, apart from what is in use.
    var cacheBytes: Int64 = 64 << 30
}

/// The disk space of ``AdapterFetcher``'s cache: `<root>/<tenant>/<name>/...`.
struct AdapterCacheSpace {
    let root: String

    /// Marks an adapter's folder as used now.
    static func noteUse(of folder: String) { utimes(folder, nil) }

    /// Sets when a folder was last used, in seconds since 1970.
    static func setUse(of folder: String, seconds: Int) throws(ModelHubError) {
        let time = timeval(tv_sec: seconds, tv_usec: 0)
        guard utimes(folder, [time, time]) == 0 else { throw FileSystem.failure("cannot write", folder) }
    }

    /// Removes whole adapters, those used longest ago first, until the rest fits.
    ///
    /// What is being fetched holds a lock and stays, and so does what a failure keeps from being removed.
    /// - Parameter keeping: `tenant/name` of adapters that stay whatever their size.
    func trim(to maximumBytes: Int64, keeping: Set<String>) {
        struct Entry {
            let tenant: String
            let name: String
            let bytes: Int64
            let usedAt: Int
        }
        var entries: [Entry] = []
        for tenant in FileSystem.names(in: root) ?? [] {
            for name in FileSystem.names(in: "\(root)/\(tenant)") ?? [] where HubReference.isRepositoryPart(name) {
                let path = "\(root)/\(tenant)/\(name)"
                guard let status = FileSystem.status(path), FileSystem.isDirectory(path) else { continue }
                entries.append(
                    Entry(tenant: tenant, name: name, bytes: Self.bytes(in: path), usedAt: status.st_mtim.tv_sec))
            }
        }
        var total = entries.reduce(Int64(0)) { $0 + $1.bytes }
        for entry in entries.sorted(by: { $0.usedAt < $1.usedAt }) where total > maximumBytes {
            guard !keeping.contains("\(entry.tenant)/\(entry.name)"),
                (try? ModelStore(root: "\(root)/\(entry.tenant)").remove(entry.name)) != nil
            else { continue }
            total -= entry.bytes
        }
    }

    /// Bytes of all files below a folder, never following links.
    static func bytes(in path: String) -> Int64 {
        var status = stat()
        guard lstat(path, &status) == 0 else { return 0 }
        guard status.st_mode & S_IFMT == S_IFDIR else { return Int64(status.st_size) }
        return (FileSystem.names(in: path) ?? []).reduce(0) { $0 + bytes(in: path + "/" + $1) }
    }
}
