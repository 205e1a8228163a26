package import Deployments
import Glibc
import Synchronization

/// Sees to it that one server at a time works on a folder, and tells others where it listens.
///
/// `server.lock` is locked (`flock`) while the server lives; the system drops the lock with the process, however it
/// ends, so a file that a dead one left is no obstacle. It stays: removing it would let a third process lock a new file
/// of that name beside the second's old one.
package final class ServerLock: Sendable {
    /// Who holds a folder.
    package struct Holder: Sendable, Hashable {
        /// Nil where the holder didn't say, or isn't pbctl.
        package var processID: Int32?
        package var startedAt: Timestamp?
        /// Where it listens; nil until it does.
        package var url: String?

        package init(processID: Int32? = nil, startedAt: Timestamp? = nil, url: String? = nil) {
            self.processID = processID
            self.startedAt = startedAt
            self.url = url
        }
    }

    package enum Failure: Error, Hashable, CustomStringConvertible {
        /// Another server has the folder.
        case held(Holder, path: String)
        case cannotWrite(path: String, cause: String)

        package var description: String {
            switch self {
            case .held(let holder, let path):
                let process = holder.processID.map { " (process \($0))" } ?? ""
                let place = holder.url.map { " at \($0)" } ?? ""
                return "another server\(process) runs on this state\(place): \(path) is locked; use that one, or stop "
                    + "it with 'pbctl server stop'"
            case .cannotWrite(let path, let cause): return "\(path): cannot lock the state: \(cause)"
            }
        }
    }

    private let path: String
    private let startedAt: Timestamp
    /// Closed when the lock is given up.
    private let descriptor: Mutex<Int32?>

    private init(path: String, descriptor: Int32, startedAt: Timestamp) {
        self.path = path
        self.startedAt = startedAt
        self.descriptor = Mutex(descriptor)
    }

    deinit { release() }

    private static func path(in folder: String) -> String { folder + "/server.lock" }

    /// Takes the lock of a folder, which is made where it isn't there.
    ///
    /// Somebody who only looks holds it for an instant; so it is tried for a quarter of a second.
    package static func acquire(folder: String, now: Timestamp) throws(Failure) -> ServerLock {
        let path = path(in: folder)
        do { try StoreFiles(folder: folder).makeFolder() } catch {
            throw .cannotWrite(path: path, cause: error.message)
        }
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw .cannotWrite(path: path, cause: String(cString: strerror(errno))) }
        var attempt = 0
        while flock(file, LOCK_EX | LOCK_NB) != 0 {
            let number = errno
            if number == EINTR { continue }
            guard number == EWOULDBLOCK else {
                close(file)
                throw .cannotWrite(path: path, cause: String(cString: strerror(number)))
            }
            attempt += 1
            guard attempt < 25 else {
                defer { close(file) }
                throw .held(read(file), path: path)
            }
            usleep(10_000)
        }
        let lock = ServerLock(path: path, descriptor: file, startedAt: now)
        try lock.write(url: nil)
        return lock
    }

    /// Tells others where the server listens.
    package func setURL(_ url: String) throws(Failure) { try write(url: url) }

    /// Gives the lock up. Repeating it is safe.
    package func release() {
        guard let file = descriptor.withLock({ $0.take() }) else { return }
        // A file without content says that nobody is there, also to those who can't see locks.
        ftruncate(file, 0)
        close(file)
    }

    private func write(url: String?) throws(Failure) {
        let line = url.map { $0.split(whereSeparator: \.isNewline).first.map(String.init) ?? "" } ?? ""
        let text = Array("\(getpid())\n\(startedAt.milliseconds)\n\(line)\n".utf8)
        let failure = descriptor.withLock { file -> Int32? in
            guard let file else { return EBADF }
            guard ftruncate(file, 0) == 0 else { return errno }
            let count = text.withUnsafeBytes { pwrite(file, $0.baseAddress, $0.count, 0) }
            return count == text.count ? nil : (count < 0 ? errno : ENOSPC)
        }
        if let failure { throw .cannotWrite(path: path, cause: String(cString: strerror(failure))) }
    }

    /// Who holds a folder now; nil where nobody does.
    package static func holder(folder: String) -> Holder? {
        let file = open(path(in: folder), O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var holder = Holder()
        for _ in 0..<10 {
            var status: Int32
            repeat { status = flock(file, LOCK_SH | LOCK_NB) } while status != 0 && errno == EINTR
            if status == 0 {
                flock(file, LOCK_UN)
                return nil
            }
            holder = read(file)
            // Between taking the lock and writing there is the text of the one before, or none.
            if let process = holder.processID, kill(process, 0) == 0 || errno == EPERM { break }
            usleep(10_000)
        }
        return holder
    }

    private static func read(_ file: Int32) -> Holder {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = bytes.withUnsafeMutableBytes { pread(file, $0.baseAddress, $0.count, 0) }
        let lines = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
            .split(separator: "\n", omittingEmptySubsequences: false)
        func line(_ number: Int) -> String? {
            lines.indices.contains(number) && !lines[number].isEmpty ? String(lines[number]) : nil
        }
        return Holder(
            processID: line(0).flatMap { Int32($0) }.flatMap { $0 > 0 ? $0 : nil },
            startedAt: line(1).flatMap { Int64($0) }.flatMap { $0 >= 0 ? Timestamp(milliseconds: $0) : nil },
            url: line(2))
    }
}
