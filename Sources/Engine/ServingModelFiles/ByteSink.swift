#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// Takes a file's bytes in order.
public typealias ByteSink = (UnsafeRawBufferPointer) throws(ModelFileError) -> Void

/// A tensor that is to be written: what the header says of it, and its bytes when they are wanted.
struct PendingTensor {
    let name: String
    /// The encoding as the format names it.
    let typeName: String
    let typeCode: UInt32
    /// Outermost first.
    let shape: [Int]
    let byteCount: Int
    /// Hands exactly `byteCount` bytes to the sink, in as many pieces as it likes.
    let write: (ByteSink) throws(ModelFileError) -> Void

    /// Hands the bytes to `sink` and checks that they are as many as announced.
    func write(to sink: ByteSink, file: String) throws(ModelFileError) {
        var written = 0
        try write { bytes throws(ModelFileError) in
            written += bytes.count
            try sink(bytes)
        }
        guard written == byteCount else {
            throw ModelFileError(
                .sizeMismatch, file: file, subject: GGUFHeader.subject(name), "has the wrong number of bytes",
                expected: "\(byteCount)", found: "\(written)")
        }
    }
}

/// A file under construction: written beside its final name and renamed only when complete, so that nobody ever opens
/// half a model.
struct OutputFile: ~Copyable {
    private let path: String
    private let temporaryPath: String
    private let descriptor: Int32
    private var buffer: [UInt8] = []
    private static let bufferSize = 1 << 20

    init(path: String) throws(ModelFileError) {
        self.path = path
        temporaryPath = path + ".part"
        descriptor = open(temporaryPath, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw Self.error(path) }
        buffer.reserveCapacity(Self.bufferSize)
    }

    deinit {
        // After `finish` the temporary name is gone and both calls are harmless.
        close(descriptor)
        unlink(temporaryPath)
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer) throws(ModelFileError) {
        if buffer.count + bytes.count > Self.bufferSize { try flush() }
        if bytes.count >= Self.bufferSize { try write(bytes) } else { buffer.append(contentsOf: bytes) }
    }

    /// Makes the file durable and gives it its name.
    consuming func finish() throws(ModelFileError) {
        try flush()
        guard fsync(descriptor) == 0, rename(temporaryPath, path) == 0 else { throw Self.error(path) }
    }

    private mutating func flush() throws(ModelFileError) {
        let full = buffer
        buffer.removeAll(keepingCapacity: true)
        try full.withBytes { bytes throws(ModelFileError) in try write(bytes) }
    }

    private func write(_ bytes: UnsafeRawBufferPointer) throws(ModelFileError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = systemWrite(descriptor, UnsafeRawBufferPointer(rebasing: rest))
            guard count >= 0 || errno == EINTR else { throw Self.error(path) }
            rest = rest.dropFirst(max(count, 0))
        }
    }

    private static func error(_ path: String) -> ModelFileError {
        ModelFileError(.notWritten, file: path, "cannot be written: " + String(cString: strerror(errno)))
    }
}

/// `write(2)`, which the methods above would hide.
private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
    write(descriptor, bytes.baseAddress, bytes.count)
}

extension [UInt8] {
    /// `withUnsafeBytes` for a body with typed errors.
    func withBytes<Value>(
        _ body: (UnsafeRawBufferPointer) throws(ModelFileError) -> Value
    ) throws(ModelFileError) -> Value {
        try withUnsafeBytes { bytes in
            Result { () throws(ModelFileError) in try body(bytes) }
        }.get()
    }
}
