import Glibc

/// The few file operations of the store, with errors that name the path.
enum FileSystem {
    static func absolute(_ path: String) -> String {
        if path.hasPrefix("/") { return path }
        guard let here = getcwd(nil, 0) else { return path }
        defer { free(here) }
        return String(cString: here) + "/" + path
    }

    /// What `errno` means for a path, as one of our errors.
    static func failure(_ doing: String, _ path: String, _ number: Int32 = errno) -> ModelHubError {
        let reason = String(cString: strerror(number))
        return switch number {
        case ENOSPC, EDQUOT, EFBIG:
            ModelHubError(.diskFull, "\(doing) \(path): \(reason)", hint: "free some space and pull again; it resumes")
        case EROFS, EACCES, EPERM:
            ModelHubError(
                .cannotWrite, "\(doing) \(path): \(reason)",
                hint: "set PBCTL_HOME to a folder that you may write to")
        case ENOTDIR:
            ModelHubError(.cannotWrite, "\(doing) \(path): a file is where a folder is needed")
        default:
            ModelHubError(.cannotWrite, "\(doing) \(path): \(reason)")
        }
    }

    static func makeDirectories(_ path: String, mode: mode_t = 0o700) throws(ModelHubError) {
        if mkdir(path, mode) == 0 || (errno == EEXIST && isDirectory(path)) { return }
        let number = errno
        guard number == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
            throw failure("cannot make folder", path, number == EEXIST ? ENOTDIR : number)
        }
        try makeDirectories(String(path[..<slash]), mode: mode)
        guard mkdir(path, mode) == 0 || errno == EEXIST else { throw failure("cannot make folder", path) }
    }

    static func status(_ path: String) -> stat? {
        var result = stat()
        return stat(path, &result) == 0 ? result : nil
    }

    static func isDirectory(_ path: String) -> Bool { status(path).map { $0.st_mode & S_IFMT == S_IFDIR } ?? false }
    static func isFile(_ path: String) -> Bool { status(path).map { $0.st_mode & S_IFMT == S_IFREG } ?? false }
    static func isLink(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK
    }
    static func size(_ path: String) -> Int64? { isFile(path) ? status(path).map { Int64($0.st_size) } : nil }

    /// Bytes that this user may still write on the disk of a path, or nil where that is not known.
    static func freeBytes(_ path: String) -> Int64? {
        var result = statvfs()
        guard statvfs(path, &result) == 0 else { return nil }
        let (bytes, overflow) = Int64(clamping: result.f_bavail).multipliedReportingOverflow(
            by: Int64(clamping: result.f_frsize))
        return overflow ? nil : bytes
    }

    /// Names in a folder, without "." and "..", in byte order. Nil where it cannot be read.
    static func names(in path: String) -> [String]? {
        guard let directory = opendir(path) else { return nil }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// The content of a file of at most `limit` bytes; nil where there is none.
    static func read(_ path: String, limit: Int) throws(ModelHubError) -> [UInt8]? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw failure("cannot read", path)
        }
        defer { close(file) }
        var content: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = Glibc.read(file, &chunk, chunk.count)
            if count == 0 { return content }
            if count < 0 {
                if errno == EINTR { continue }
                throw failure("cannot read", path)
            }
            content += chunk[..<count]
            guard content.count <= limit else {
                throw ModelHubError(.corrupt, "\(path): over \(limit) bytes, which no such file has")
            }
        }
    }

    /// Puts a whole file in place at once: readers see the old one or the new one.
    static func writeAtomically(_ bytes: [UInt8], to path: String) throws(ModelHubError) {
        let draft = "\(path).new-\(getpid())"
        let file = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw failure("cannot write", path) }
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(file, $0.baseAddress?.advanced(by: written), $0.count - written)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let error = failure("cannot write", path)
                close(file)
                unlink(draft)
                throw error
            }
            written += count
        }
        let isSynced = fsync(file) == 0
        close(file)
        guard isSynced else {
            unlink(draft)
            throw failure("cannot write", path)
        }
        try move(draft, to: path)
    }

    /// Renames over what is there and makes the new name durable.
    static func move(_ source: String, to destination: String) throws(ModelHubError) {
        guard rename(source, destination) == 0 else { throw failure("cannot write", destination) }
        synchronizeFolder(of: destination)
    }

    static func synchronizeFolder(of path: String) {
        guard let slash = path.lastIndex(of: "/") else { return }
        let folder = open(String(path[..<slash]) + "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { return }
        fsync(folder)
        close(folder)
    }

    /// Removes a file or a folder with all in it, never following links. Gives the bytes of the files removed.
    @discardableResult
    static func removeTree(_ path: String) throws(ModelHubError) -> Int64 {
        var status = stat()
        guard lstat(path, &status) == 0 else { return 0 }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            guard unlink(path) == 0 || errno == ENOENT else { throw failure("cannot remove", path) }
            return status.st_mode & S_IFMT == S_IFREG ? Int64(status.st_size) : 0
        }
        var bytes: Int64 = 0
        for name in names(in: path) ?? [] { bytes += try removeTree(path + "/" + name) }
        guard rmdir(path) == 0 || errno == ENOENT else { throw failure("cannot remove", path) }
        return bytes
    }
}
