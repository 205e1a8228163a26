import CProcess
import Deployments
import Glibc

/// The log of one replica: a file that the replica's process appends to, whoever watches it.
///
/// It is kept short by giving its beginning back to the disk (a hole): nothing is copied, so no line is lost, and
/// offsets stay. Where the file system has no holes, its newest half is copied to `log.1` and the file is emptied; what
/// the replica writes in between is lost. `log.times` says how long the log was when: lines themselves need not carry a
/// time.
struct ReplicaLog: Sendable, Hashable {
    static let fileNames: Set<String> = ["log", "log.1", "log.times"]
    /// Longest line; a longer one is given in pieces.
    static let maxLineBytes = 64 << 10
    static let maxBytes: Int64 = 64 << 20

    let path: String
    var earlierPath: String { path + ".1" }
    var timesPath: String { path + ".times" }

    /// Opens it to append to.
    func openForAppending() throws(LauncherError) -> Int32 {
        let file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw LauncherFiles.failure("cannot write", path) }
        return file
    }

    var exists: Bool { LauncherFiles.status(path).map { $0.st_mode & S_IFMT == S_IFREG } ?? false }
    var size: Int64 { LauncherFiles.status(path).map { Int64($0.st_size) } ?? 0 }

    /// Cuts the oldest part off where the log takes more than `maxBytes` on the disk; half of that stays.
    func trim(maxBytes: Int64 = ReplicaLog.maxBytes, usesHoles: Bool = true) {
        guard let status = LauncherFiles.status(path),
            min(Int64(status.st_size), Int64(status.st_blocks) * 512) > maxBytes
        else { return }
        let file = open(path, O_RDWR | O_CLOEXEC)
        guard file >= 0 else { return }
        defer { close(file) }
        let size = Int64(status.st_size)
        let block = Int64(max(status.st_blksize, 4096))
        if usesHoles {
            let length = (size - maxBytes / 2) / block * block
            if length <= 0 || pbctl_free_beginning(file, length) == 0 { return }
        }
        empty(file, keeping: maxBytes / 2, of: size)
    }

    private func empty(_ file: Int32, keeping kept: Int64, of size: Int64) {
        let draft = earlierPath + ".new"
        let copy = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard copy >= 0 else { return }
        var offset = size - kept
        var chunk = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = pread(file, &chunk, chunk.count, off_t(offset))
            guard count > 0, LauncherFiles.writeAll(Array(chunk[..<count]), to: copy) == 0 else { break }
            offset += Int64(count)
        }
        close(copy)
        // A copy that did not come about must not stop the cut: the disk may be full because of this very log.
        if rename(draft, earlierPath) != 0 { unlink(draft) }
        ftruncate(file, 0)
        unlink(timesPath)
    }

    /// Notes how long the log is now.
    func noteSize(_ size: Int64, at moment: Timestamp) {
        let file = open(timesPath, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { return }
        defer { close(file) }
        var record = (moment.milliseconds.littleEndian, size.littleEndian)
        withUnsafeBytes(of: &record) { _ = write(file, $0.baseAddress, $0.count) }
    }

    /// An offset that all written since a moment lies behind; some of what was written before may, too.
    func offset(since moment: Timestamp) -> Int64 {
        let bytes = LauncherFiles.read(timesPath, limit: 1 << 24) ?? []
        var result: Int64 = 0
        bytes.withUnsafeBytes { bytes in
            for start in stride(from: 0, through: bytes.count - 16, by: 16) {
                let at = Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: Int64.self))
                guard at <= moment.milliseconds else { continue }
                result = max(
                    result, Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: start + 8, as: Int64.self)))
            }
        }
        return min(max(0, result), size)
    }

    /// The last lines, for messages: few and short.
    func lastLines(_ count: Int = 20, maxCharacters: Int = 500) -> [String] {
        guard var reader = LogReader(self, tail: count) else { return [] }
        var lines: [String] = []
        while let line = reader.nextLine() { lines.append(String(line.prefix(maxCharacters))) }
        return lines.suffix(count)
    }
}
