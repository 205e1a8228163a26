import CCUDAHeaders

/// What NVIDIA's management library (NVML) tells of one GPU: how busy it is and how full, with all that runs on it.
///
/// Found by the device's identifier: NVML counts all GPUs of a machine, CUDA those that `CUDA_VISIBLE_DEVICES` leaves,
/// in its order. May be asked from any thread.
public struct GPUMonitor: Sendable {
    /// A moment's figures; nil for what the GPU does not tell (a part of a GPU tells no utilisation).
    public struct Reading: Sendable, Hashable {
        /// Share of the last second or so in which a kernel ran, 0 to 1.
        public let utilization: Double?
        /// Bytes in use, by all processes.
        public let usedBytes: Int?
        /// Bytes of its memory.
        public let totalBytes: Int?
    }

    /// The library's file.
    public let path: String
    private let table: nvml_table
    /// `nonisolated(unsafe)`: the handle is a constant that is only ever given to NVML, which may be called from any
    /// thread.
    private nonisolated(unsafe) let handle: nvml_device_ref

    /// - Throws: ``CUDAError`` where the library is not installed or does not know the device.
    public init(_ device: CUDADriver.Device) throws(CUDAError) { try self.init(device, search: LibrarySearch()) }

    /// The monitor of the device of a number, as CUDA counts.
    public init(ordinal: Int) throws(CUDAError) { try self.init(CUDADriver().device(ordinal)) }

    init(_ device: CUDADriver.Device, search: LibrarySearch) throws(CUDAError) {
        let library = try DynamicLibrary(
            "NVML", candidates: search.candidates(["libnvidia-ml.so.1"]),
            hint: "libnvidia-ml.so.1 comes with the driver; without it a GPU's utilisation is not shown")
        table = try library.table(nvml_table.self, symbols: nvml_symbols())
        path = library.path
        guard table.`init`() == NVML_OK else {
            throw CUDAError(.libraryUnusable, "\(library.path) can't be started (does nvidia-smi work?)")
        }
        var handle: nvml_device_ref?
        // A part of a GPU (MIG) has an identifier of its own, and another prefix.
        for prefix in ["GPU-", "MIG-"] where handle == nil {
            guard table.get_handle(prefix + device.identifier.dropFirst(4), &handle) != NVML_OK else { break }
            handle = nil
        }
        guard let handle else {
            throw CUDAError(.noDevice, "\(library.path) does not know cuda:\(device.ordinal), \(device.identifier)")
        }
        self.handle = handle
    }

    /// How the GPU is now.
    public func reading() -> Reading {
        var rates = nvml_utilization()
        let knowsRates = table.get_utilization(handle, &rates) == NVML_OK
        var memory = nvml_memory()
        let knowsMemory = table.get_memory(handle, &memory) == NVML_OK
        return Reading(
            utilization: knowsRates ? min(1, Double(rates.gpu) / 100) : nil,
            usedBytes: knowsMemory ? Int(clamping: memory.used) : nil,
            totalBytes: knowsMemory ? Int(clamping: memory.total) : nil)
    }
}
