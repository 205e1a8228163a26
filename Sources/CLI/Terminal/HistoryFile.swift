import Glibc

/// The lines that were typed before, in a file of its owner alone (0600).
///
/// One entry a line; a newline in an entry is written `\n` and a backslash `\\`. A repeated entry is kept once, at its
/// last place. Several processes may add at once. What cannot be read or written is passed over: history is a
/// convenience, and no prompt should fail for it.
public struct HistoryFile: Sendable {
    /// Where it is.
    public let path: String
    /// Entries kept.
    public let limit: Int
    private static let longestEntry = 65536
    private static let largestFile = 16 << 20

    /// A history in a file, which need not be there yet, nor its folder.
    public init(path: String, limit: Int = 2000) {
        self.path = path
        self.limit = max(limit, 1)
    }

    /// The entries, oldest first. Lines of a damaged file that are no text are left out.
    public func entries() -> [String] {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { return [] }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size <= Self.largestFile else {
            return []
        }
        var reader = LineReader(file)
        var lines: [String] = []
        while let line = reader.next() {
            let entry = Self.decoded(line)
            if Self.isKept(entry), !entry.unicodeScalars.contains("\0"), !entry.unicodeScalars.contains("\u{FFFD}") {
                lines.append(entry)
            }
        }
        return Self.withoutRepeats(lines, limit: limit)
    }

    /// Adds an entry. One that is blank, starts with a space or is absurdly long is not kept.
    public func add(_ entry: String) {
        guard Self.isKept(entry) else { return }
        if let slash = path.lastIndex(of: "/") { Self.makeFolders(String(path[..<slash])) }
        let file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0o600)
        guard file >= 0 else { return }
        defer { close(file) }
        flock(file, LOCK_EX)
        fchmod(file, 0o600)
        let bytes = Array((Self.encoded(entry) + "\n").utf8)
        write(file, bytes, bytes.count)
    }

    /// Rewrites the file without repeats and down to the limit, where it has grown to twice that.
    public func compact() {
        let file = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { return }
        defer { close(file) }
        flock(file, LOCK_EX)
        var reader = LineReader(file)
        var count = 0
        while reader.next() != nil { count += 1 }
        guard count > 2 * limit else { return }
        let bytes = Array(entries().map { Self.encoded($0) + "\n" }.joined().utf8)
        guard pwrite(file, bytes, bytes.count, 0) == bytes.count else { return }
        ftruncate(file, bytes.count)
    }

    private static func isKept(_ entry: String) -> Bool {
        entry.utf8.count <= longestEntry && entry.utf8.first != UInt8(ascii: " ")
            && entry.unicodeScalars.contains { !$0.properties.isWhitespace }
    }

    static func encoded(_ entry: String) -> String {
        var text = ""
        for scalar in entry.unicodeScalars {
            switch scalar {
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\\": text += "\\\\"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }

    static func decoded(_ line: String) -> String {
        var text = ""
        var isEscaped = false
        for scalar in line.unicodeScalars {
            if isEscaped {
                text.unicodeScalars.append(scalar == "n" ? "\n" : scalar == "r" ? "\r" : scalar)
                isEscaped = false
            } else if scalar == "\\" {
                isEscaped = true
            } else {
                text.unicodeScalars.append(scalar)
            }
        }
        return text
    }

    /// The last of each, in order, at most `limit`. Compared by bytes: "é" may be one scalar or two.
    static func withoutRepeats(_ lines: [String], limit: Int) -> [String] {
        var seen: Set<[UInt8]> = []
        var kept: [String] = []
        for line in lines.reversed() where seen.insert(Array(line.utf8)).inserted {
            kept.append(line)
            if kept.count == limit { break }
        }
        return kept.reversed()
    }

    private static func makeFolders(_ path: String) {
        if path.isEmpty || mkdir(path, 0o700) == 0 || errno != ENOENT { return }
        guard let slash = path.lastIndex(of: "/") else { return }
        makeFolders(String(path[..<slash]))
        mkdir(path, 0o700)
    }
}
