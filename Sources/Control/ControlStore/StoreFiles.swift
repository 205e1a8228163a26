import GRDB
import Glibc

/// The files of the store: where they lie, how they are made, and what to say when they are damaged.
struct StoreFiles: Sendable {
    let folder: String

    var database: String { folder + "/state.db" }
    var log: String { database + "-wal" }
    var sharedMemory: String { database + "-shm" }
    /// A database that is still being made.
    var unfinished: String { database + ".new" }
    /// The newest daily copy.
    var backup: String { database + ".backup" }
    /// The copy from before the migration to a version.
    func copyBefore(version: Int) -> String { "\(database).before-v\(version)" }

    /// Makes the folder, for its owner only, where it isn't there. One that is there keeps its permissions.
    func makeFolder() throws(StoreError) {
        var made = ""
        for part in folder.split(separator: "/", omittingEmptySubsequences: true) {
            made += (made.isEmpty && !folder.hasPrefix("/") ? "" : "/") + part
            if mkdir(made, 0o700) == 0 || errno == EEXIST || errno == EISDIR || errno == EROFS { continue }
            throw Self.failure("cannot make the folder", made)
        }
        var status = stat()
        guard stat(folder, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            throw StoreError(.cannotOpen, "\(folder): not a folder; name another or move it away")
        }
    }

    /// Makes an empty file that only its owner may read, in place of one that was left half made.
    func makePrivateFile(_ path: String) throws(StoreError) {
        for suffix in ["", "-wal", "-shm", "-journal"] { unlink(path + suffix) }
        let file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw Self.failure("cannot make", path) }
        close(file)
    }

    /// Takes what others may do with the database's files away from them.
    func makePrivate() {
        for path in [database, log, sharedMemory] where Self.size(of: path) != nil { chmod(path, 0o600) }
    }

    /// Gives a finished file its name, so that after a power cut there is the old one or the new one.
    func install(_ path: String, as target: String) throws(StoreError) {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw Self.failure("cannot read", path) }
        let isSynced = fsync(file) == 0
        close(file)
        guard isSynced else { throw Self.failure("cannot write", path) }
        guard rename(path, target) == 0 else { throw Self.failure("cannot write", target) }
        let directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { return }
        fsync(directory)
        close(directory)
    }

    /// The size of a file in bytes; nil where there is none.
    static func size(of path: String) -> Int64? {
        var status = stat()
        return stat(path, &status) == 0 ? Int64(status.st_size) : nil
    }

    /// When a file was last written, in milliseconds since 1970; nil where there is none.
    static func modified(_ path: String) -> Int64? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        return Int64(status.st_mtim.tv_sec) * 1000 + Int64(status.st_mtim.tv_nsec) / 1_000_000
    }

    /// Bytes that the folder's disk has left for this user; nil where the system doesn't say.
    var freeBytes: Int64? {
        var status = statvfs()
        guard statvfs(folder, &status) == 0 else { return nil }
        let (bytes, overflow) = Int64(clamping: status.f_bavail)
            .multipliedReportingOverflow(by: Int64(clamping: status.f_frsize))
        return overflow ? .max : bytes
    }

    /// Whether there is not even room for a few pages.
    var isDiskFull: Bool { freeBytes.map { $0 < 64 * 1024 } ?? false }

    private static func failure(_ action: String, _ path: String) -> StoreError {
        let number = errno
        let said = String(cString: strerror(number))
        let isFull = number == ENOSPC || number == EDQUOT
        return StoreError(isFull ? .diskFull : .cannotOpen, "\(path): \(action): \(said)", cause: said)
    }
}

extension StoreFiles {
    /// The copies there are, newest first.
    var copies: [String] {
        var found: [(path: String, modified: Int64)] = []
        let candidates = [backup] + (1...StoreSchema.highestVersion).map(copyBefore(version:))
        for path in candidates {
            if let modified = Self.modified(path) { found.append((path, modified)) }
        }
        return found.sorted { $0.modified > $1.modified }.map(\.path)
    }

    /// The error for a database that can't be used: what is wrong, the newest copy that is sound, and how to go back to
    /// it.
    func damage(_ said: String) -> StoreError {
        // A check of pages answers in several lines.
        let said = said.split(whereSeparator: \.isNewline).joined(separator: " ")
        let good = copies.first(where: isSound)
        var message = "\(database): the state can't be read: \(said). Nothing was deleted."
        if let good {
            message += " The newest sound copy is \(good). To go back to it:"
        } else {
            message += " There is no sound copy. To begin anew (replicas that still run have to be ended by hand):"
        }
        let present = [database, log, sharedMemory].filter { Self.size(of: $0) != nil }.map { name(of: $0) }
        message += "\n  cd \(Self.quoted(folder))"
        if !present.isEmpty {
            message += "\n  mkdir -p damaged && mv \(present.joined(separator: " ")) damaged/"
        }
        if let good { message += "\n  cp -p \(name(of: good)) state.db" }
        return StoreError(.corrupt, message, cause: said)
    }

    private func name(of path: String) -> Substring { path.dropFirst(folder.count + 1) }

    /// Whether a copy opens, is pbctl's and has no damaged page.
    private func isSound(_ path: String) -> Bool {
        var configuration = Configuration()
        configuration.readonly = true
        do {
            let queue = try DatabaseQueue(path: path, configuration: configuration)
            return try queue.read { database in
                try Int.fetchOne(database, sql: "PRAGMA application_id") == StoreSchema.applicationID
                    && String.fetchOne(database, sql: "PRAGMA quick_check(1)") == "ok"
            }
        } catch {
            return false
        }
    }

    /// A path as a shell takes it.
    private static func quoted(_ path: String) -> String {
        let isPlain = path.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "."), UInt8(ascii: "-"),
                UInt8(ascii: "_"):
                true
            default: false
            }
        }
        if isPlain && !path.isEmpty { return path }
        return "'" + path.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }
}
