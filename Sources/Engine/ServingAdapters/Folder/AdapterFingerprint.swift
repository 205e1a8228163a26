import Glibc

/// Which files an adapter's folder holds right now, by what the system knows of them without reading them. Two readings
/// differ when a file was replaced or rewritten in between.
public struct AdapterFingerprint: Sendable, Hashable {
    /// One file.
    struct File: Sendable, Hashable {
        let device: UInt64
        let inode: UInt64
        let byteCount: Int64
        let modifiedSeconds: Int
        let modifiedNanoseconds: Int
        /// When the file or what the system knows of it was changed, which nobody can set back.
        let changedSeconds: Int
        let changedNanoseconds: Int
    }

    let config: File
    let tensors: File

    /// Bytes of the file of tensors.
    public var tensorByteCount: Int { Int(tensors.byteCount) }

    /// Looks at a folder's files: two calls of `stat(2)`.
    ///
    /// - Throws: `notFound` where there is no folder, `invalidAdapter` where one of the files is not there.
    public init(folder: String) throws(AdapterError) {
        config = try Self.file(folder, AdapterConfig.fileName)
        tensors = try Self.file(folder, AdapterFolder.tensorsFileName)
    }

    private static func file(_ folder: String, _ name: String) throws(AdapterError) -> File {
        var status = stat()
        guard stat(AdapterFile.join(folder, name), &status) == 0 else {
            throw AdapterFile.unreadable(folder, name, errno)
        }
        return File(
            device: UInt64(status.st_dev), inode: UInt64(status.st_ino), byteCount: Int64(status.st_size),
            modifiedSeconds: status.st_mtim.tv_sec, modifiedNanoseconds: status.st_mtim.tv_nsec,
            changedSeconds: status.st_ctim.tv_sec, changedNanoseconds: status.st_ctim.tv_nsec)
    }
}
