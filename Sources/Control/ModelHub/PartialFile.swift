import Glibc

/// A download that is under way: `<file>.part`, its length, and the checksum of what it holds.
struct PartialFile: ~Copyable {
    let path: String
    private let file: HubFile
    private let descriptor: Int32
    private let writer: FileWriter
    /// Bytes that are there.
    private(set) var count: Int64 = 0
    private var digest: ContentDigest

    /// As `write(2)`; tests put a full disk here.
    typealias FileWriter = @Sendable (Int32, UnsafeRawBufferPointer) -> Int

    /// Opens or makes the file. What an earlier pull left is kept where a checksum can tell in the end whether it fits.
    static func open(
        _ path: String, of file: HubFile, writer: @escaping FileWriter, cancellation: CancellationFlag
    ) throws(ModelHubError) -> PartialFile {
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw FileSystem.failure("cannot write", path) }
        var part = PartialFile(path, file, descriptor, writer)
        let found = lseek(descriptor, 0, SEEK_END)
        if found > 0, let size = file.size, file.checksum != nil, found <= size {
            try part.readBack(found, cancellation)
        } else {
            try part.restart()
        }
        return part
    }

    private init(_ path: String, _ file: HubFile, _ descriptor: Int32, _ writer: @escaping FileWriter) {
        self.path = path
        self.file = file
        self.descriptor = descriptor
        self.writer = writer
        digest = ContentDigest(for: file.checksum, size: file.size)
    }

    deinit { close(descriptor) }

    /// Takes in what is there already.
    private mutating func readBack(_ found: Int, _ cancellation: CancellationFlag) throws(ModelHubError) {
        var chunk = [UInt8](repeating: 0, count: 1 << 20)
        while count < found {
            try cancellation.check()
            let read = pread(descriptor, &chunk, chunk.count, Int(count))
            if read < 0, errno == EINTR { continue }
            guard read > 0 else { throw FileSystem.failure("cannot read", path) }
            chunk.withUnsafeBytes { digest.update(UnsafeRawBufferPointer(rebasing: $0[..<read])) }
            count += Int64(read)
        }
    }

    /// Forgets all content.
    mutating func restart() throws(ModelHubError) {
        guard ftruncate(descriptor, 0) == 0 else { throw FileSystem.failure("cannot write", path) }
        count = 0
        digest = ContentDigest(for: file.checksum, size: file.size)
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer) throws(ModelHubError) {
        if let size = file.size, Int64(bytes.count) > size - count {
            throw ModelHubError(.hubFailed, "\(file.path): the hub sent more than the \(size) bytes it announced")
        }
        guard lseek(descriptor, Int(count), SEEK_SET) >= 0 else { throw FileSystem.failure("cannot write", path) }
        var rest = bytes
        while !rest.isEmpty {
            let written = writer(descriptor, rest)
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { throw FileSystem.failure("cannot write", path, written == 0 ? ENOSPC : errno) }
            digest.update(UnsafeRawBufferPointer(rebasing: rest[..<written]))
            count += Int64(written)
            rest = UnsafeRawBufferPointer(rebasing: rest[written...])
        }
    }

    /// Makes the content durable. Gives its SHA-256, or nil where it is not what the hub's checksum says.
    func finish() throws(ModelHubError) -> String? {
        guard fsync(descriptor) == 0 else { throw FileSystem.failure("cannot write", path) }
        return digest.matches(file.checksum) ? digest.sha256Text : nil
    }
}
