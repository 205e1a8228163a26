import CCUDAHeaders
import Glibc

/// NVIDIA's driver, started, and what it says of its devices. Takes none of them into use: no memory is held on a
/// device and no context is open because of it.
public struct CUDADriver: Sendable {
    let table: cuda_driver_table
    /// The file that was opened.
    public let path: String
    /// The newest CUDA that it knows, such as 13000.
    let version: Int

    /// A device as the driver describes it.
    public struct Device: Sendable, Hashable {
        /// Its number among those that the driver shows.
        public let ordinal: Int
        /// As the driver names it.
        public let name: String
        /// Compute capability, 90 for 9.0.
        public let capability: Int
        /// Bytes of its memory.
        public let memoryBytes: Int
        /// Which device of all in the world it is, whatever its number.
        public let uuid: [UInt8]

        /// Whether the kernels run on it.
        public var isUsable: Bool { capability >= CUDADriver.leastCapability }

        /// The identifier as NVIDIA's tools write it: `GPU-1b4e28ba-2fa1-11d2-883f-0016d3cca427`.
        public var identifier: String {
            let digits = uuid.map { byte in
                let text = String(byte, radix: 16)
                return text.count == 1 ? "0" + text : text
            }
            let groups = [0..<4, 4..<6, 6..<8, 8..<10, 10..<16].map { digits[$0].joined() }
            return "GPU-" + groups.joined(separator: "-")
        }

        /// Why it can't be used, where that is so.
        var complaint: String {
            "\(name) has compute capability \(capability / 10).\(capability % 10); 8.0 (Ampere) or later is needed"
        }
    }

    /// What the kernels need: 8.0, for bf16 and asynchronous copies.
    static let leastCapability = 80

    /// Opens the driver and starts it.
    ///
    /// - Throws: ``CUDAError``: `.libraryMissing` where no driver is installed, `.noDevice` where it finds no GPU.
    public init() throws(CUDAError) { try self.init(search: LibrarySearch()) }

    init(search: LibrarySearch) throws(CUDAError) {
        let library = try Self.open(search)
        table = try library.table(cuda_driver_table.self, symbols: cuda_driver_symbols())
        path = library.path
        version = try Self.start(table)
    }

    /// Whether there is a driver, in whatever state; it is not started to find that out.
    public static var isInstalled: Bool {
        do throws(CUDAError) {
            _ = try open(LibrarySearch())
            return true
        } catch { return error.code != .libraryMissing }
    }

    /// The driver, started; nil where none is installed and where `CUDA_VISIBLE_DEVICES` hides all devices from this
    /// process, which both say that there is to be no GPU.
    public static func ifWanted() throws(CUDAError) -> CUDADriver? {
        do throws(CUDAError) {
            return try CUDADriver()
        } catch {
            let shown = getenv("CUDA_VISIBLE_DEVICES").map { String(cString: $0) }
            if error.code == .libraryMissing || error.code == .noDevice && (shown == "" || shown == "-1") { return nil }
            throw error
        }
    }

    private static func open(_ search: LibrarySearch) throws(CUDAError) -> DynamicLibrary {
        try DynamicLibrary(
            "NVIDIA's driver", candidates: search.candidates(["libcuda.so.1"]),
            hint: "libcuda.so.1 comes with the driver, of version 525 or later")
    }

    /// How many devices the driver shows.
    public func deviceCount() throws(CUDAError) -> Int {
        var count = Int32(0)
        try table.check(table.device_get_count(&count), "counting devices")
        return Int(count)
    }

    /// All devices that the driver shows, by number.
    public func devices() throws(CUDAError) -> [Device] {
        var devices: [Device] = []
        for ordinal in 0..<(try deviceCount()) { devices.append(try device(ordinal)) }
        return devices
    }

    /// The first device that the kernels run on.
    ///
    /// - Throws: `.noDevice`, with the reason.
    public func firstUsableDevice() throws(CUDAError) -> Device {
        let devices = try devices()
        if let device = devices.first(where: \.isUsable) { return device }
        throw CUDAError(.noDevice, devices.first?.complaint ?? Self.noDevice)
    }

    static let noDevice = "the driver finds no GPU (does nvidia-smi list one? is CUDA_VISIBLE_DEVICES empty?)"

    /// The device of a number, which the driver must have.
    func device(_ ordinal: Int) throws(CUDAError) -> Device {
        var device = Int32(0)
        try table.check(table.device_get(&device, Int32(ordinal)), "opening cuda:\(ordinal)")
        func check(_ status: Int32) throws(CUDAError) { try table.check(status, "asking cuda:\(ordinal)") }
        func attribute(_ code: Int) throws(CUDAError) -> Int {
            var value = Int32(0)
            try check(table.device_get_attribute(&value, Int32(code), device))
            return Int(value)
        }
        var bytes = 0
        try check(table.device_total_memory(&bytes, device))
        var text = [CChar](repeating: 0, count: 256)
        try check(table.device_get_name(&text, Int32(text.count), device))
        var uuid = [UInt8](repeating: 0, count: 16)
        try check(table.device_get_uuid(&uuid, device))
        return Device(
            ordinal: ordinal, name: text.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" },
            capability: try attribute(CUDA_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) * 10
                + attribute(CUDA_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR),
            memoryBytes: bytes, uuid: uuid)
    }

    /// Starts the driver; the CUDA version it knows, such as 13000.
    private static func start(_ table: cuda_driver_table) throws(CUDAError) -> Int {
        let status = table.`init`(0)
        guard status == CUDA_OK else {
            let reason = table.message(status)
            guard status != CUDA_NO_DEVICE else {
                throw CUDAError(
                    .noDevice, "the driver finds no GPU (does nvidia-smi list one? is CUDA_VISIBLE_DEVICES empty?)")
            }
            throw CUDAError(
                .libraryUnusable, "NVIDIA's driver can't be started: \(reason) (does nvidia-smi work?)")
        }
        var version = Int32(0)
        guard table.driver_get_version(&version) == CUDA_OK, version >= 12000 else {
            throw CUDAError(
                .libraryUnusable,
                "the driver knows CUDA \(text(Int(version))) and 12.0 is needed (install driver 525 or later)")
        }
        return Int(version)
    }

    static func text(_ version: Int) -> String { "\(version / 1000).\(version % 1000 / 10)" }
}

extension cuda_driver_table {
    /// What the driver says of one of its errors.
    func message(_ status: Int32) -> String {
        var (name, text) = (UnsafePointer<CChar>?.none, UnsafePointer<CChar>?.none)
        _ = get_error_name(status, &name)
        _ = get_error_string(status, &text)
        let words = [name, text].compactMap { $0.map { String(cString: $0) } }
        return words.isEmpty ? "error \(status)" : words.joined(separator: ", ")
    }
}
