import CCUDAHeaders
import Glibc

/// A shared library opened at run time. It stays open to the end of the process: CUDA's libraries keep threads and exit
/// handlers of their own.
struct DynamicLibrary: Sendable {
    /// The file that was opened.
    let path: String
    /// `nonisolated(unsafe)`: the handle is only ever given to `dlsym`.
    private nonisolated(unsafe) let handle: UnsafeMutableRawPointer

    /// Opens the first candidate that exists. A name without a slash is looked up by the system's loader.
    ///
    /// - Parameter isGlobal: Whether libraries opened later see its symbols.
    /// - Throws: `.libraryMissing` where there is none, `.libraryUnusable` where one is there and cannot be opened.
    init(_ name: String, candidates: [String], isGlobal: Bool = false, hint: String) throws(CUDAError) {
        for candidate in candidates {
            if candidate.contains("/"), access(candidate, F_OK) != 0 { continue }
            if let handle = dlopen(candidate, RTLD_NOW | (isGlobal ? RTLD_GLOBAL : RTLD_LOCAL)) {
                self.handle = handle
                path = cuda_library_path(handle).map { String(cString: $0) } ?? candidate
                return
            }
            let reason = dlerror().map { String(cString: $0) } ?? "no reason given"
            // The loader's own search says the same for "not there" and for a library of it that is not there.
            if candidate.contains("/") || !reason.hasPrefix(candidate + ":") {
                throw CUDAError(.libraryUnusable, "\(name) can't be opened: \(reason)")
            }
        }
        throw CUDAError(.libraryMissing, "\(name) is not installed (\(hint))")
    }

    /// Fills a table of function pointers, one for each symbol in the order of its fields.
    /// - Throws: `.libraryUnusable` naming the first symbol that the library lacks.
    func table<Table>(
        _ type: Table.Type, symbols: UnsafePointer<UnsafePointer<CChar>?>
    ) throws(CUDAError) -> Table {
        let pointerSize = MemoryLayout<UnsafeMutableRawPointer>.size
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: MemoryLayout<Table>.size, alignment: MemoryLayout<Table>.alignment)
        defer { memory.deallocate() }
        var index = 0
        while let symbol = symbols[index] {
            guard let function = dlsym(handle, symbol) else {
                throw CUDAError(
                    .libraryUnusable,
                    "\(path) lacks \(String(cString: symbol)): it is too old or not what it is named for")
            }
            memory.storeBytes(of: function, toByteOffset: index * pointerSize, as: UnsafeMutableRawPointer.self)
            index += 1
        }
        precondition(index * pointerSize == MemoryLayout<Table>.size, "a table has one field a symbol")
        return memory.load(as: Table.self)
    }
}
