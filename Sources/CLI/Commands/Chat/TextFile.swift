import Glibc
import Terminal

/// Whole text files of a person's own, by paths as they are typed.
enum TextFile {
    /// Longest file that is read, in bytes.
    private static let limit = 256 << 20

    /// The path with `~/` as the home directory.
    static func expanded(_ path: String) -> String {
        guard path == "~" || path.hasPrefix("~/"), let home = ProcessEnvironment.value("HOME") else { return path }
        return home + path.dropFirst()
    }

    /// The file's text; bytes that are no UTF-8 become U+FFFD.
    static func read(_ path: String) throws(CommandFailure) -> String {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw failure("cannot read", path) }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT != S_IFDIR else {
            throw CommandFailure("cannot read \(path): it is a folder")
        }
        guard status.st_size <= limit else {
            throw CommandFailure("cannot read \(path): it has over \(limit >> 20) MiB")
        }
        var reader = LineReader(file)
        return reader.rest()
    }

    /// Whether a path leads to a folder.
    static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// Whether a path leads to anything.
    static func exists(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0
    }

    /// The whole path of what is there, without links and dots; nil where nothing is.
    static func real(_ path: String) -> String? {
        guard let real = realpath(path, nil) else { return nil }
        defer { free(real) }
        return String(cString: real)
    }

    /// The folder that the process is in.
    static var currentFolder: String? { real(".") }

    /// Whether something is there that writing would replace: a file that holds something.
    static func holdsSomething(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && status.st_size > 0
    }

    /// Puts a whole text in place at once, readable by its owner alone where it is new. What is no plain file, such as
    /// `/dev/stdout`, is written to as it is.
    static func write(_ text: String, to path: String) throws(CommandFailure) {
        var status = stat()
        let exists = stat(path, &status) == 0
        if exists, status.st_mode & S_IFMT != S_IFREG {
            let file = open(path, O_WRONLY | O_CLOEXEC)
            guard file >= 0 else { throw failure("cannot write", path) }
            return try fill(file, text, path)
        }
        // The file that a link leads to is replaced, not the link.
        let target = exists ? real(path) ?? path : path
        let draft = "\(target).new-\(getpid())"
        let file = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw failure("cannot write", path) }
        do throws(CommandFailure) {
            if exists { fchmod(file, status.st_mode & 0o777) }
            try fill(file, text, path)
            guard rename(draft, target) == 0 else { throw failure("cannot write", path) }
        } catch {
            unlink(draft)
            throw error
        }
    }

    /// Names in a folder, folders with a slash at the end, in byte order; empty where it cannot be read.
    static func names(in folder: String) -> [String] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard name != ".", name != ".." else { continue }
            var status = stat()
            let isFolder = stat("\(folder)/\(name)", &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
            names.append(isFolder ? name + "/" : name)
        }
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    private static func fill(_ file: Int32, _ text: String, _ path: String) throws(CommandFailure) {
        defer { close(file) }
        do throws(OutputError) { try TextOutput(file, gathers: false).write(text) } catch {
            throw CommandFailure("cannot write \(path): \(error)")
        }
    }

    private static func failure(_ doing: String, _ path: String) -> CommandFailure {
        CommandFailure("\(doing) \(path): \(String(cString: strerror(errno)))")
    }
}
