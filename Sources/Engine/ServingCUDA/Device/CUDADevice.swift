import CCUDAHeaders

/// A device and what it is reached through: the primary context, one stream for work and a cuBLAS handle on it.
///
/// Work is issued by one thread at a time; memory may be allocated, filled and freed from any thread.
///
/// `@unchecked Sendable`: all members are constants; the driver's functions may be called from any thread once the
/// context is current there, which ``activate()`` sees to, and cuBLAS's handle is used by the working thread alone.
public final class CUDADevice: @unchecked Sendable {
    /// Its number among the devices that the driver shows.
    public let ordinal: Int
    /// As the driver names it.
    public let name: String
    /// Compute capability, 90 for 9.0.
    public let capability: Int
    /// Bytes of its memory.
    public let memoryBytes: Int
    /// Streaming multiprocessors.
    public let multiprocessorCount: Int
    /// Bytes of shared memory that a block may ask for.
    let sharedBytesLimit: Int
    /// Bytes of its second-level cache.
    let cacheBytes: Int

    let libraries: CUDALibraries
    let stream: cuda_stream_ref
    /// For work beside that of `stream`, forked from it and joined to it by marks.
    let sideStream: cuda_stream_ref
    let cublas: cublas_handle_ref
    /// What weights and adapters come by.
    let uploads: UploadLane
    private let device: Int32
    private let context: cuda_context_ref
    private let workspace: cuda_address

    /// Bytes that cuBLAS works in; what NVIDIA advises for Hopper. One fixed region a stream, or else a captured graph
    /// would allocate its own.
    private static let workspaceBytes = 32 << 20

    /// Takes the device into use.
    ///
    /// - Throws: ``CUDAError``: `.noDevice` where the driver has no device of this number, or one too old for the
    ///   kernels.
    public init(_ libraries: CUDALibraries, ordinal: Int) throws(CUDAError) {
        self.libraries = libraries
        self.ordinal = ordinal
        let driver = libraries.driver
        var count = Int32(0)
        try driver.check(driver.device_get_count(&count), "counting devices")
        guard ordinal >= 0, ordinal < Int(count) else {
            throw CUDAError(
                .noDevice,
                count == 0
                    ? CUDADriver.noDevice
                    : "there is no device cuda:\(ordinal); the driver shows \(count), from cuda:0 on")
        }
        var device = Int32(0)
        try driver.check(driver.device_get(&device, Int32(ordinal)), "opening cuda:\(ordinal)")
        self.device = device
        func attribute(_ code: Int) throws(CUDAError) -> Int {
            var value = Int32(0)
            try driver.check(driver.device_get_attribute(&value, Int32(code), device), "asking cuda:\(ordinal)")
            return Int(value)
        }
        capability =
            try attribute(CUDA_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) * 10
            + attribute(CUDA_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)
        multiprocessorCount = try attribute(CUDA_ATTRIBUTE_MULTIPROCESSOR_COUNT)
        sharedBytesLimit = try attribute(CUDA_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)
        cacheBytes = (try? attribute(CUDA_ATTRIBUTE_L2_CACHE_SIZE)) ?? 64 << 20
        var bytes = 0
        try driver.check(driver.device_total_memory(&bytes, device), "asking cuda:\(ordinal)")
        memoryBytes = bytes
        var text = [CChar](repeating: 0, count: 256)
        try driver.check(driver.device_get_name(&text, Int32(text.count), device), "asking cuda:\(ordinal)")
        name = text.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
        guard capability >= 80 else {
            throw CUDAError(
                .noDevice,
                "\(name) has compute capability \(capability / 10).\(capability % 10); 8.0 (Ampere) or later is needed")
        }
        (context, stream, sideStream, cublas, workspace, uploads) = try Self.open(libraries, device)
    }

    private static func open(
        _ libraries: CUDALibraries, _ device: Int32
    ) throws(CUDAError) -> (
        cuda_context_ref, cuda_stream_ref, cuda_stream_ref, cublas_handle_ref, cuda_address, UploadLane
    ) {
        let driver = libraries.driver
        var context: cuda_context_ref?
        try driver.check(driver.primary_context_retain(&context, device), "opening the device")
        var (stream, side, handle) = (cuda_stream_ref?.none, cuda_stream_ref?.none, cublas_handle_ref?.none)
        var workspace = cuda_address(0)
        do throws(CUDAError) {
            try driver.check(driver.context_set_current(context), "opening the device")
            try driver.check(driver.stream_create(&stream, UInt32(CUDA_STREAM_NON_BLOCKING)), "making a stream")
            try driver.check(driver.stream_create(&side, UInt32(CUDA_STREAM_NON_BLOCKING)), "making a stream")
            try driver.check(
                driver.memory_allocate(&workspace, workspaceBytes), "\(workspaceBytes >> 20) MiB for cuBLAS")
            let cublas = libraries.cublas
            guard cublas.create(&handle) == 0, let context, let stream, let side, let handle,
                cublas.set_stream(handle, stream) == 0,
                cublas.set_workspace(
                    handle, UnsafeMutableRawPointer(bitPattern: UInt(workspace)), workspaceBytes) == 0
            else { throw CUDAError(.libraryUnusable, "cuBLAS can't be started on this device") }
            return (context, stream, side, handle, workspace, try UploadLane(driver))
        } catch {
            // Nothing may be held of a device that is not used: something else may run on it.
            if let handle { _ = libraries.cublas.destroy(handle) }
            if workspace != 0 { _ = driver.memory_free(workspace) }
            for made in [stream, side].compactMap({ $0 }) { _ = driver.stream_destroy(made) }
            _ = driver.primary_context_release(device)
            throw error
        }
    }

    deinit {
        try? activate()
        uploads.close()
        _ = libraries.cublas.destroy(cublas)
        _ = libraries.driver.memory_free(workspace)
        _ = libraries.driver.stream_destroy(sideStream)
        _ = libraries.driver.stream_destroy(stream)
        _ = libraries.driver.primary_context_release(device)
    }

    /// Makes the device the calling thread's.
    func activate() throws(CUDAError) {
        try libraries.driver.check(libraries.driver.context_set_current(context), "using the device")
    }

    /// Bytes that are free now.
    public func freeBytes() throws(CUDAError) -> Int {
        try activate()
        var (free, total) = (0, 0)
        try libraries.driver.check(libraries.driver.memory_get_info(&free, &total), "asking for free memory")
        return free
    }

    /// Waits for all work of the stream.
    func synchronize() throws(CUDAError) {
        try libraries.driver.check(libraries.driver.stream_synchronize(stream), "a step")
    }
}

extension cuda_driver_table {
    /// Turns the driver's error into ours. `what` completes "... failed".
    func check(_ status: Int32, _ what: @autoclosure () -> String) throws(CUDAError) {
        guard status != CUDA_OK else { return }
        let code: CUDAError.Code =
            switch Int(status) {
            case CUDA_OUT_OF_MEMORY: .outOfMemory
            case CUDA_NO_DEVICE: .noDevice
            default: .deviceFailed
            }
        throw CUDAError(code, "\(what()) failed on the GPU: \(message(status))")
    }
}
