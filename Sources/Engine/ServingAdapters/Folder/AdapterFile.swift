import Glibc
import ServingModelFiles
import ServingTensors

/// Reads a file of an adapter's folder into memory.
///
/// Read rather than mapped: adapters are small, and a mapping of a file that somebody rewrites in place would end the
/// process.
enum AdapterFile {
    static func join(_ folder: String, _ name: String) -> String {
        folder.utf8.last == UInt8(ascii: "/") ? folder + name : folder + "/" + name
    }

    static func exists(_ folder: String, _ name: String) -> Bool { access(join(folder, name), F_OK) == 0 }

    /// The whole file under its bare name, so that messages do not tell clients where it lies.
    static func read(_ folder: String, _ name: String, limit: Int) throws(AdapterError) -> MappedFile {
        let path = join(folder, name)
        guard !path.utf8.contains(0) else { throw unreadable(folder, name, ENOENT) }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw unreadable(folder, name, errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw unreadable(folder, name, errno) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw AdapterError(.invalidAdapter, "\(name): is not a regular file")
        }
        let byteCount = Int(status.st_size)
        guard byteCount > 0 else { throw AdapterError(.invalidAdapter, "\(name): is empty (download it again)") }
        guard byteCount <= limit else {
            throw AdapterError(.invalidAdapter, "\(name): has \(byteCount) bytes, expected at most \(limit)")
        }
        let storage = try TensorStorage(byteCount: byteCount) { target throws(AdapterError) in
            var offset = 0
            while offset < byteCount {
                let count = systemRead(descriptor, UnsafeMutableRawBufferPointer(rebasing: target[offset...]))
                if count < 0, errno == EINTR { continue }
                guard count >= 0 else { throw unreadable(folder, name, errno) }
                guard count > 0 else {
                    throw AdapterError(.invalidAdapter, "\(name): became shorter while it was read (try again)")
                }
                offset += count
            }
        }
        return MappedFile(name: name, bytes: storage.bytes, owner: storage)
    }

    static func unreadable(_ folder: String, _ name: String, _ number: Int32) -> AdapterError {
        guard number == ENOENT || number == ENOTDIR else {
            return AdapterError(
                .invalidAdapter, "\(name): cannot be read: \(String(cString: strerror(number)))")
        }
        var status = stat()
        guard !folder.utf8.contains(0), stat(folder, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            return AdapterError(.notFound, "there is no adapter's folder of that name")
        }
        if name == AdapterFolder.tensorsFileName, exists(folder, "adapter_model.bin") {
            return AdapterError(
                .invalidAdapter,
                "adapter_model.bin: is a Python pickle, which can run code when read and is never read here "
                    + "(save the adapter with PEFT's safe_serialization=True)")
        }
        return AdapterError(
            .invalidAdapter,
            "\(name): is not there (a PEFT adapter is a folder with \(AdapterConfig.fileName) and "
                + "\(AdapterFolder.tensorsFileName))")
    }
}

/// `read(2)`, which the method above would hide.
private func systemRead(_ descriptor: Int32, _ target: UnsafeMutableRawBufferPointer) -> Int {
    read(descriptor, target.baseAddress, target.count)
}
