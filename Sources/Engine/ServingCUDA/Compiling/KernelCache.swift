import Crypto
import Glibc

/// Compiled kernels on disk. An entry holds the digest of what it is named for and of its own bytes, so that a file
/// that was cut short or changed is compiled anew.
struct KernelCache: Sendable {
    /// The folder; made when something is stored.
    let folder: String

    /// What an entry is found by.
    struct Key: Sendable, Hashable {
        let name: String
        fileprivate let digest: [UInt8]

        /// - Parameter parts: All that the result depends on.
        init(name: String, parts: [String]) {
            self.name = name
            var hash = SHA256()
            for part in parts {
                var count = UInt64(part.utf8.count).littleEndian
                withUnsafeBytes(of: &count) { hash.update(bufferPointer: $0) }
                hash.update(data: Array(part.utf8))
            }
            digest = Array(hash.finalize())
        }

        fileprivate var fileName: String {
            name + "-" + digest.prefix(16).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() + ".cubin"
        }
    }

    /// Version of the entries' format; in the digests.
    private static let seal = Array("pbctl kernel 1\n".utf8)

    /// The stored bytes, or nil where there are none that are whole.
    func load(_ key: Key) -> [UInt8]? {
        guard let bytes = Self.read(folder + "/" + key.fileName) else { return nil }
        let headerCount = Self.seal.count + 32
        guard bytes.count > headerCount, bytes.starts(with: Self.seal) else { return nil }
        let image = Array(bytes[headerCount...])
        return Array(bytes[Self.seal.count..<headerCount]) == Self.digest(of: image, key) ? image : nil
    }

    /// Stores bytes in one step: readers see all of them or none. Failing is no error; the next start compiles again.
    /// - Returns: Whether they are stored.
    @discardableResult
    func store(_ image: [UInt8], for key: Key) -> Bool {
        Self.makeFolders(folder)
        let path = folder + "/" + key.fileName
        var template = Array((path + ".XXXXXX").utf8CString)
        let file = mkstemp(&template)
        guard file >= 0 else { return false }
        let temporary = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let isWritten = Self.write(Self.seal + Self.digest(of: image, key) + image, to: file)
        let isClosed = close(file) == 0
        guard isWritten, isClosed, rename(temporary, path) == 0 else {
            unlink(temporary)
            return false
        }
        return true
    }

    /// Takes an entry away that turned out to be useless.
    func remove(_ key: Key) { unlink(folder + "/" + key.fileName) }

    private static func digest(of image: [UInt8], _ key: Key) -> [UInt8] {
        var hash = SHA256()
        hash.update(data: key.digest)
        hash.update(data: image)
        return Array(hash.finalize())
    }

    private static func makeFolders(_ path: String) {
        var made = ""
        for part in path.split(separator: "/") {
            made += "/" + part
            mkdir(made, 0o700)
        }
    }

    private static func read(_ path: String) -> [UInt8]? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var information = stat()
        guard fstat(file, &information) == 0, information.st_size < 1 << 28 else { return nil }
        var bytes = [UInt8](repeating: 0, count: Int(information.st_size))
        var count = 0
        while count < bytes.count {
            let got = bytes.withUnsafeMutableBytes {
                pread(file, $0.baseAddress.map { $0 + count }, $0.count - count, count)
            }
            if got < 0, errno == EINTR { continue }
            guard got > 0 else { return nil }
            count += got
        }
        return bytes
    }

    private static func write(_ bytes: [UInt8], to file: Int32) -> Bool {
        var count = 0
        while count < bytes.count {
            let put = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress.map { $0 + count }, $0.count - count) }
            if put < 0, errno == EINTR { continue }
            guard put > 0 else { return false }
            count += put
        }
        return true
    }
}
