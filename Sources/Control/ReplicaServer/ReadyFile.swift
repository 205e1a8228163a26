import Glibc
import ServingJSON

/// Tells whoever started a replica where it listens: a JSON file that is there whole or not at all.
package struct ReadyFile: Sendable {
    /// Why the file can't be written. One line: what, which, why.
    package struct Failure: Error, Sendable, CustomStringConvertible {
        /// The line.
        package let description: String
    }

    private let path: String

    /// A file at a path, in a folder that exists.
    package init(path: String) { self.path = path }

    /// Writes `{"pid", "host", "port", "version"}` beside the path and moves it there.
    package func write(host: String, port: Int, version: String) throws(Failure) {
        var json = JSONBytes()
        json.openObject()
        json.member("pid", getpid())
        json.member("host", host)
        json.member("port", port)
        json.member("version", version)
        json.closeObject()
        let temporary = "\(path).\(getpid()).tmp"
        let file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o644)
        guard file >= 0 else { throw failure() }
        do throws(Failure) {
            try Self.write(json.bytes, to: file, failure)
            guard rename(temporary, path) == 0 else { throw failure() }
        } catch {
            unlink(temporary)
            throw error
        }
    }

    /// Writes everything and closes the file.
    private static func write(
        _ bytes: [UInt8], to file: Int32, _ failure: () -> Failure
    ) throws(Failure) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let failure = failure()
                close(file)
                throw failure
            }
            rest = rest.dropFirst(count)
        }
        guard fsync(file) == 0 else {
            let failure = failure()
            close(file)
            throw failure
        }
        guard close(file) == 0 else { throw failure() }
    }

    private func failure() -> Failure {
        Failure(description: "--ready-file \(path) can't be written: \(String(cString: strerror(errno)))")
    }
}
