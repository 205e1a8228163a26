import CCUDAHeaders

/// NVIDIA's libraries, opened at run time: driver, cuBLAS, cuBLASLt and the kernel compiler, each as a table of
/// functions. A build of pbctl needs none of them.
public final class CUDALibraries: Sendable {
    let driver: cuda_driver_table
    let cublas: cublas_table
    let cublasLt: cublaslt_table
    let nvrtc: nvrtc_table
    /// What the libraries' files and versions are, in the order in which they were opened.
    public let files: [(name: String, path: String, version: String)]
    /// The kernel compiler's version, such as 13.0.
    let compilerVersion: String

    /// Opens the libraries and starts the driver.
    ///
    /// - Throws: ``CUDAError`` naming the library that is missing or does not fit, and what to do.
    public convenience init() throws(CUDAError) {
        try self.init(search: LibrarySearch())
    }

    init(search: LibrarySearch) throws(CUDAError) {
        // First of all: where there is no driver or no device, half a gigabyte of cuBLASLt need not be opened.
        let opened = try CUDADriver(search: search)
        driver = opened.table
        guard try opened.deviceCount() > 0 else { throw CUDAError(.noDevice, CUDADriver.noDevice) }
        let cublasLtLibrary = try DynamicLibrary(
            "cuBLASLt", candidates: search.candidates(["libcublasLt.so.13", "libcublasLt.so.12"]),
            hint: Self.cublasHint)
        cublasLt = try cublasLtLibrary.table(cublaslt_table.self, symbols: cublaslt_symbols())
        let cublasLibrary = try DynamicLibrary(
            "cuBLAS", candidates: search.candidates(["libcublas.so.13", "libcublas.so.12"]), hint: Self.cublasHint)
        cublas = try cublasLibrary.table(cublas_table.self, symbols: cublas_symbols())
        // The compiler opens its builtins by name and has no path of its own to find them by.
        let builtins = ["libnvrtc-builtins.so.13.0", "libnvrtc-builtins.so.12.9", "libnvrtc-builtins.so.12.8"]
        _ = try? DynamicLibrary(
            "NVRTC's builtins", candidates: search.candidates(builtins), isGlobal: true, hint: "")
        let compilerLibrary = try DynamicLibrary(
            "NVRTC", candidates: search.candidates(["libnvrtc.so.13", "libnvrtc.so.12"]),
            hint: "pip install nvidia-cuda-nvrtc, or apt install cuda-nvrtc-13-0")
        nvrtc = try compilerLibrary.table(nvrtc_table.self, symbols: nvrtc_symbols())
        var (major, minor) = (Int32(0), Int32(0))
        guard nvrtc.version(&major, &minor) == NVRTC_OK else {
            throw CUDAError(.libraryUnusable, "\(compilerLibrary.path) does not tell its version")
        }
        compilerVersion = "\(major).\(minor)"
        guard Int(major) <= opened.version / 1000 else {
            throw CUDAError(
                .libraryUnusable,
                "the driver knows CUDA \(CUDADriver.text(opened.version)) and \(compilerLibrary.path) is of CUDA "
                    + "\(compilerVersion) (install a newer driver, or NVRTC and cuBLAS of CUDA \(opened.version / 1000))"
            )
        }
        var cublasVersion = Int32(0)
        _ = cublas.get_version(nil, &cublasVersion)
        files = [
            ("driver", opened.path, CUDADriver.text(opened.version)), ("cuBLASLt", cublasLtLibrary.path, ""),
            ("cuBLAS", cublasLibrary.path, cublasVersion > 0 ? "\(cublasVersion)" : ""),
            ("NVRTC", compilerLibrary.path, compilerVersion),
        ]
    }

    /// How many devices the driver shows.
    public func deviceCount() throws(CUDAError) -> Int {
        var count = Int32(0)
        try driver.check(driver.device_get_count(&count), "counting devices")
        return Int(count)
    }

    private static let cublasHint = "pip install nvidia-cublas, or apt install libcublas-13-0"
}
