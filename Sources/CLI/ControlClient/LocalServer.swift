import Glibc

/// The server of this machine's user: finds it, and starts it in the background where it doesn't run.
///
/// A server holds `server.lock` in its folder, with its process, when it started and its URL in three lines. Commands
/// that start one take turns over `start.lock`, so that only one comes up.
package struct LocalServer: Sendable {
    /// Where the server keeps its state.
    package let folder: String

    package init(folder: String) { self.folder = folder }

    package var lockPath: String { folder + "/server.lock" }
    package var logPath: String { folder + "/server.log" }

    /// What a server says in its lock file.
    package struct Record: Sendable, Hashable {
        package var processID: Int32
        /// Nil until it listens.
        package var url: String?

        package init(processID: Int32, url: String?) {
            self.processID = processID
            self.url = url
        }

        /// Whether a process of that number runs. It may be another by now: whoever needs to know asks the URL.
        package var mayRun: Bool { kill(processID, 0) == 0 || errno == EPERM }
    }

    /// What the lock file says; nil where there is none or it is not (yet) what a server writes.
    package func record() -> Record? {
        guard let text = Self.start(of: lockPath, limit: 4096) else { return nil }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard let first = lines.first, let processID = Int32(first), processID > 1 else { return nil }
        let url = lines.count > 2 && !lines[2].isEmpty ? lines[2] : nil
        return Record(processID: processID, url: url)
    }

    /// Whether a server holds the folder, be it that it does not answer (yet, or any more).
    package var isHeld: Bool {
        let file = open(lockPath, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { close(file) }
        // Held for an instant only; a server that starts just then tries more than once.
        return flock(file, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK
    }

    /// The server that runs and answers, or nil. A server that is ending counts as gone.
    package func running(apiKey: String?) async -> Record? {
        guard let record = record(), record.mayRun, let url = record.url,
            let client = try? ControlClient(url: url, apiKey: apiKey, connectTimeout: .seconds(1)),
            await client.isHealthy()
        else { return nil }
        return record
    }

    /// The last lines of the log, from an offset on.
    package func logLines(from offset: Int64 = 0, count: Int = 5) -> [String] {
        let file = open(logPath, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return [] }
        defer { close(file) }
        let end = Int64(lseek(file, 0, SEEK_END))
        let begin = max(offset, end - 16384)
        guard end > begin, lseek(file, off_t(begin), SEEK_SET) >= 0 else { return [] }
        var bytes = [UInt8](repeating: 0, count: Int(end - begin))
        let length = read(file, &bytes, bytes.count)
        guard length > 0 else { return [] }
        let lines = String(decoding: bytes[..<length], as: UTF8.self).split(separator: "\n")
        return lines.suffix(count).map(String.init)
    }

    /// The start of a text file, or nil.
    private static func start(of path: String, limit: Int) -> String? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: limit)
        let length = read(file, &bytes, limit)
        return length < 0 ? nil : String(decoding: bytes[..<length], as: UTF8.self)
    }
}

extension ControlClient {
    /// Whether the server answers that it is well.
    package func isHealthy(timeout: Duration = .seconds(2)) async -> Bool {
        do throws(ControlClientError) {
            try await checkHealth(timeout: timeout)
            return true
        } catch {
            return false
        }
    }
}
