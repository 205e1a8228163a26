import Glibc

/// The few file operations of the launcher of local processes, with errors that name the path.
enum LauncherFiles {
    static func failure(_ doing: String, _ path: String, _ number: Int32 = errno) -> LauncherError {
        let hint =
            switch number {
            case ENOSPC, EDQUOT: "; free some space"
            case EROFS, EACCES, EPERM: "; set PBCTL_HOME to a folder that you may write to"
            default: ""
            }
        return LauncherError(.cannotWrite, "\(doing) \(path): \(String(cString: strerror(number)))\(hint)")
    }

    static func makeFolders(_ path: String) throws(LauncherError) {
        if mkdir(path, 0o700) == 0 || (errno == EEXIST && isFolder(path)) { return }
        let number = errno
        guard number == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
            throw failure("cannot make folder", path, number == EEXIST ? ENOTDIR : number)
        }
        try makeFolders(String(path[..<slash]))
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw failure("cannot make folder", path) }
    }

    static func status(_ path: String) -> stat? {
        var result = stat()
        return lstat(path, &result) == 0 ? result : nil
    }

    static func isFolder(_ path: String) -> Bool { status(path).map { $0.st_mode & S_IFMT == S_IFDIR } ?? false }

    /// Names in a folder, without "." and ".."; none where it can't be read.
    static func names(in path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// The first `limit` bytes of a file; nil with errno where it can't be read.
    static func read(_ path: String, limit: Int) -> [UInt8]? {
        // Not blocking, so that a pipe of that name does not stop us.
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var content: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: min(limit, 65536))
        while content.count < limit {
            let count = Glibc.read(file, &chunk, min(chunk.count, limit - content.count))
            if count == 0 { break }
            if count < 0 {
                let number = errno
                if number == EINTR { continue }
                defer { errno = number }
                return nil
            }
            content += chunk[..<count]
        }
        return content
    }

    /// Puts a whole file in place at once and makes it durable: readers see the old one or the new one, also after a
    /// crash.
    static func writeAtomically(_ bytes: [UInt8], to path: String) throws(LauncherError) {
        let draft = path + ".new"
        let file = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw failure("cannot write", path) }
        var number = writeAll(bytes, to: file)
        if number == 0, fsync(file) != 0 { number = errno }
        if close(file) != 0, number == 0 { number = errno }
        if number == 0, rename(draft, path) != 0 { number = errno }
        guard number == 0 else {
            unlink(draft)
            throw failure("cannot write", path, number)
        }
        synchronizeFolder(of: path)
    }

    /// Writes all bytes; 0 or the number of the error.
    static func writeAll(_ bytes: [UInt8], to file: Int32) -> Int32 {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(file, $0.baseAddress?.advanced(by: written), $0.count - written)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return count == 0 ? EIO : errno }
            written += count
        }
        return 0
    }

    static func synchronizeFolder(of path: String) {
        guard let slash = path.lastIndex(of: "/") else { return }
        let folder = open(String(path[..<slash]) + "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { return }
        fsync(folder)
        close(folder)
    }

    /// Removes a file or a folder with all in it, as far as that is possible; never follows links.
    static func remove(_ path: String) {
        if isFolder(path) {
            for name in names(in: path) { remove(path + "/" + name) }
            rmdir(path)
        } else {
            unlink(path)
        }
    }

    static func absolute(_ path: String) -> String {
        guard !path.hasPrefix("/"), let here = getcwd(nil, 0) else { return path }
        defer { free(here) }
        return String(cString: here) + "/" + path
    }

    /// The path with links resolved; the path itself where that fails.
    static func resolved(_ path: String) -> String {
        guard let real = realpath(path, nil) else { return path }
        defer { free(real) }
        return String(cString: real)
    }
}

/// Says that a folder of replicas is in use (`flock`), until the value is destroyed or its process ends.
struct FolderLock: ~Copyable {
    private let descriptor: Int32

    /// - Throws: `.refused` where another holds it.
    init(_ path: String) throws(LauncherError) {
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw LauncherFiles.failure("cannot lock", path) }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
            let number = errno
            close(file)
            guard number == EWOULDBLOCK else { throw LauncherFiles.failure("cannot lock", path, number) }
            throw LauncherError(
                .refused, "replicas of \(path): another server looks after them; stop it, or set another PBCTL_HOME")
        }
        descriptor = file
    }

    deinit { close(descriptor) }
}
