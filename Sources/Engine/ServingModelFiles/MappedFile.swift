#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// The bytes of a file, mapped read-only for as long as this object lives, or bytes of the caller under a file's name.
///
/// Tensors keep their file alive as their owner. A mapped file must not be shortened by others while it is in use: the
/// system then raises SIGBUS on access, as with every mapping.
public final class MappedFile: Sendable {
    /// The path, or the name given with the bytes; used in error messages.
    public let path: String
    /// All bytes of the file.
    ///
    /// Valid while this object is referenced; ``withBytes(_:)`` sees to that where nothing else does.
    ///
    /// `nonisolated(unsafe)`: read-only memory that lives as long as this object, through the mapping or `owner`.
    public nonisolated(unsafe) let bytes: UnsafeRawBufferPointer
    /// Keeps the bytes of the caller alive; nil for a mapping.
    private let owner: (any AnyObject & Sendable)?

    /// Size in bytes.
    public var count: Int { bytes.count }

    /// Maps a regular file that is not empty.
    ///
    /// - Throws: `missing`, `unreadable`, `isFolder`, `notRegularFile` or `empty`.
    public init(path: String) throws(ModelFileError) {
        self.path = path
        owner = nil
        bytes = try Self.map(path)
    }

    /// Shows bytes of the caller, which `owner` keeps alive and nobody changes, as a file of that name.
    public init(name: String, bytes: UnsafeRawBufferPointer, owner: any AnyObject & Sendable) {
        path = name
        self.bytes = bytes
        self.owner = owner
    }

    /// Copies bytes and shows them as a file of that name.
    public convenience init(name: String, copying bytes: some Collection<UInt8>) {
        let copy = OwnedBytes(copying: bytes)
        self.init(name: name, bytes: UnsafeRawBufferPointer(copy.memory), owner: copy)
    }

    deinit {
        if owner == nil { munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count) }
    }

    /// Calls `body` with all bytes and keeps the file mapped meanwhile.
    public func withBytes<Value, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        defer { withExtendedLifetime(self) {} }
        return try body(bytes)
    }

    /// Asks the system to read the whole file ahead. Failure does no harm and is not reported.
    public func adviseWillNeed() { adviseWillNeed(0..<count) }

    /// Asks the system to read a part of the file ahead.
    public func adviseWillNeed(_ range: Range<Int>) {
        let range = range.clamped(to: 0..<count)
        guard owner == nil, !range.isEmpty, let base = bytes.baseAddress else { return }
        let pageSize = Int(getpagesize())
        let start = range.lowerBound / pageSize * pageSize
        madvise(UnsafeMutableRawPointer(mutating: base + start), range.upperBound - start, Int32(MADV_WILLNEED))
    }

    /// Tells the system that a part of a mapped file, which must be a part of ``bytes``, is not needed in memory for
    /// now: its pages no longer count as this process's. They come back from the file when read again.
    public func adviseNotNeeded(_ part: UnsafeRawBufferPointer) {
        guard owner == nil, let base = bytes.baseAddress, let first = part.baseAddress, first >= base,
            first + part.count <= base + bytes.count
        else { return }
        // Whole pages only: the neighbours' first and last ones may be in use.
        let pageSize = Int(getpagesize())
        let start = (first - base + pageSize - 1) / pageSize * pageSize
        let end = (first - base + part.count) / pageSize * pageSize
        guard start < end else { return }
        madvise(UnsafeMutableRawPointer(mutating: base + start), end - start, Int32(MADV_DONTNEED))
    }

    private static func map(_ path: String) throws(ModelFileError) -> UnsafeRawBufferPointer {
        guard !path.utf8.contains(0) else { throw ModelFileError(.missing, file: path, "no such file") }
        // Without O_NONBLOCK, opening a pipe would wait for a writer.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw FileSystem.error(errno, path) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw FileSystem.error(errno, path) }
        switch status.st_mode & S_IFMT {
        case S_IFREG: break
        case S_IFDIR: throw ModelFileError(.isFolder, file: path, "is a folder", expected: "a file")
        default: throw ModelFileError(.notRegularFile, file: path, "is not a regular file")
        }
        guard status.st_size > 0 else {
            throw ModelFileError(.empty, file: path, "is empty", hint: "download it again")
        }
        let size = Int(status.st_size)
        guard let base = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED else {
            throw FileSystem.error(errno, path)
        }
        return UnsafeRawBufferPointer(start: base, count: size)
    }
}

/// A copy of bytes on the heap. `@unchecked Sendable`: written only before `init` returns.
private final class OwnedBytes: @unchecked Sendable {
    let memory: UnsafeMutableRawBufferPointer

    init(copying bytes: some Collection<UInt8>) {
        memory = .allocate(byteCount: bytes.count, alignment: 64)
        memory.copyBytes(from: bytes)
    }

    deinit { memory.deallocate() }
}
