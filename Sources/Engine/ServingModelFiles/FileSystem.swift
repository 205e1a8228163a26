#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// The few questions about paths that reading models needs.
enum FileSystem {
    enum Kind {
        case file, folder, other
    }

    /// What a path leads to, following links.
    static func kind(of path: String) throws(ModelFileError) -> Kind {
        var status = stat()
        guard !path.isEmpty, !path.utf8.contains(0) else { throw error(ENOENT, path) }
        guard stat(path, &status) == 0 else { throw error(errno, path) }
        return switch status.st_mode & S_IFMT {
        case S_IFREG: .file
        case S_IFDIR: .folder
        default: .other
        }
    }

    /// Whether a path leads to a regular file.
    static func isFile(_ path: String) -> Bool { (try? kind(of: path)) == .file }

    /// Names in a folder, without `.` and `..`, in the order of their bytes.
    static func names(in folder: String) throws(ModelFileError) -> [String] {
        guard let directory = opendir(folder) else { throw error(errno, folder) }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { field in
                field.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: field.pointee)) {
                    String(cString: $0)
                }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    static func join(_ folder: String, _ name: String) -> String {
        folder.utf8.last == UInt8(ascii: "/") ? folder + name : folder + "/" + name
    }

    /// The folder that a path's last component lies in.
    static func folder(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// A path's last component.
    static func name(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return path }
        return String(path[path.utf8.index(after: slash)...])
    }

    static func error(_ number: Int32, _ path: String) -> ModelFileError {
        switch number {
        case ENOENT, ENOTDIR: ModelFileError(.missing, file: path, "no such file")
        default: ModelFileError(.unreadable, file: path, "cannot be read: " + String(cString: strerror(number)))
        }
    }
}
