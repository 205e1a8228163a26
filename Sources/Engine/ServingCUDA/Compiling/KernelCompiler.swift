import CCUDAHeaders
import Dispatch
import Synchronization

/// Compiles kernels for a device with NVRTC, or takes them from the cache.
struct KernelCompiler: Sendable {
    let libraries: CUDALibraries
    /// `sm_90`, or `compute_90` for a device that is newer than the compiler.
    let architecture: String
    /// Nil for none.
    let cache: KernelCache?

    /// A file with its macros, such as `HEAD_DIM` = 128.
    struct Unit: Sendable {
        let source: KernelSource
        let macros: [(name: String, value: String)]

        var macroOptions: [String] { macros.map { "-D\($0.name)=\($0.value)" } }
    }

    /// For a device that is newer than the compiler, portable code that the driver translates.
    ///
    /// - Parameter capability: The device's, 90 for 9.0.
    init(_ libraries: CUDALibraries, capability: Int, cache: KernelCache?) {
        self.libraries = libraries
        self.cache = cache
        let known = Self.architectures(libraries.nvrtc)
        let isKnown = known.isEmpty || known.contains(capability)
        architecture = isKnown ? "sm_\(capability)" : "compute_\(known.last { $0 < capability } ?? 80)"
    }

    /// The architectures that the compiler knows, ascending.
    private static func architectures(_ nvrtc: nvrtc_table) -> [Int] {
        var count = Int32(0)
        guard nvrtc.get_architecture_count(&count) == NVRTC_OK, count > 0 else { return [] }
        var architectures = [Int32](repeating: 0, count: Int(count))
        guard nvrtc.get_architectures(&architectures) == NVRTC_OK else { return [] }
        return architectures.map(Int.init).sorted()
    }

    /// The machine code of each unit, compiled side by side, and whether each came out of the cache.
    func images(of units: [Unit]) throws(CUDAError) -> [(key: KernelCache.Key, image: [UInt8], isCached: Bool)] {
        let results = Mutex([Result<(KernelCache.Key, [UInt8], Bool), CUDAError>?](repeating: nil, count: units.count))
        DispatchQueue.concurrentPerform(iterations: units.count) { index in
            let result = Result { () throws(CUDAError) in try image(of: units[index]) }
            results.withLock { $0[index] = result }
        }
        var images: [(key: KernelCache.Key, image: [UInt8], isCached: Bool)] = []
        for case let result? in results.withLock({ $0 }) { images.append(try result.get()) }
        return images
    }

    func key(of unit: Unit) -> KernelCache.Key {
        KernelCache.Key(
            name: unit.source.rawValue,
            parts: [libraries.compilerVersion, architecture, KernelSource.header, unit.source.text] + options(unit))
    }

    private func options(_ unit: Unit) -> [String] {
        ["--gpu-architecture=\(architecture)", "--std=c++17"] + unit.macroOptions
    }

    private func image(of unit: Unit) throws(CUDAError) -> (KernelCache.Key, [UInt8], Bool) {
        let key = key(of: unit)
        if let image = cache?.load(key) { return (key, image, true) }
        let image = try compile(unit).image
        cache?.store(image, for: key)
        return (key, image, false)
    }

    /// Compiles a unit whatever is in the cache; the image, and what the compiler says of it.
    func compile(_ unit: Unit, extraOptions: [String] = []) throws(CUDAError) -> (image: [UInt8], log: String) {
        try compile(unit.source.text, fileName: unit.source.rawValue + ".cu", options: options(unit) + extraOptions)
    }

    /// Compiles a source that may include `device.cuh`.
    func compile(
        _ source: String, fileName: String, options: [String]
    ) throws(CUDAError) -> (image: [UInt8], log: String) {
        let nvrtc = libraries.nvrtc
        var program: nvrtc_program_ref?
        let status = KernelSource.header.withCString { header in
            "device.cuh".withCString { headerName in
                withUnsafePointer(to: header) { headers in
                    withUnsafePointer(to: headerName) { names in
                        nvrtc.create(&program, source, fileName, 1, headers, names)
                    }
                }
            }
        }
        guard status == NVRTC_OK, let program else {
            throw CUDAError(.compilationFailed, "NVRTC refuses \(fileName): error \(status)")
        }
        defer {
            var program = Optional(program)
            _ = nvrtc.destroy(&program)
        }
        let strings = options.map { Array($0.utf8CString) }
        let compiled = withPointers(to: strings) { nvrtc.compile(program, Int32(strings.count), $0) }
        guard compiled == NVRTC_OK else {
            throw CUDAError(
                .compilationFailed,
                "\(fileName) can't be compiled for \(architecture) (\(options.joined(separator: " "))): "
                    + "NVRTC error \(compiled)\n\(log(of: program))")
        }
        return (try code(of: program), log(of: program))
    }

    /// Machine code for an `sm_` architecture; PTX for a `compute_` one.
    private func code(of program: nvrtc_program_ref) throws(CUDAError) -> [UInt8] {
        let nvrtc = libraries.nvrtc
        let (getSize, get) =
            architecture.hasPrefix("sm_")
            ? (nvrtc.get_cubin_size, nvrtc.get_cubin) : (nvrtc.get_ptx_size, nvrtc.get_ptx)
        var count = 0
        if getSize(program, &count) == NVRTC_OK, count > 0 {
            var bytes = [CChar](repeating: 0, count: count)
            if get(program, &bytes) == NVRTC_OK { return bytes.map { UInt8(bitPattern: $0) } }
        }
        throw CUDAError(.compilationFailed, "NVRTC gives no code for \(architecture)")
    }

    private func log(of program: nvrtc_program_ref) -> String {
        var count = 0
        guard libraries.nvrtc.get_log_size(program, &count) == NVRTC_OK, count > 1 else { return "" }
        var text = [CChar](repeating: 0, count: count)
        guard libraries.nvrtc.get_log(program, &text) == NVRTC_OK else { return "" }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// Calls a function with the addresses of C strings.
private func withPointers<Result>(
    to strings: [[CChar]], _ body: (UnsafePointer<UnsafePointer<CChar>>?) -> Result
) -> Result {
    let storage = UnsafeMutableBufferPointer<CChar>.allocate(capacity: strings.reduce(0) { $0 + $1.count } + 1)
    defer { storage.deallocate() }
    var pointers: [UnsafePointer<CChar>] = []
    var next = 0
    for string in strings {
        for (offset, character) in string.enumerated() { storage[next + offset] = character }
        if let start = storage.baseAddress { pointers.append(UnsafePointer(start + next)) }
        next += string.count
    }
    return pointers.withUnsafeBufferPointer { body($0.baseAddress) }
}
