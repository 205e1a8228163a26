import CCUDAHeaders
public import ServingTensors

/// A linear layer's weight (out, in) on the device, row by row.
public final class CUDAMatrix: Sendable {
    /// Rows, (out).
    public let rowCount: Int
    /// Columns, (in).
    public let columnCount: Int
    let memory: DeviceMemory

    init(rowCount: Int, columnCount: Int, memory: DeviceMemory) {
        self.rowCount = rowCount
        self.columnCount = columnCount
        self.memory = memory
    }
}

/// A float32 vector on the device.
public final class CUDAVector: Sendable {
    /// Elements.
    public let count: Int
    let memory: DeviceMemory

    init(_ device: CUDADevice, _ values: [Float], purpose: String) throws(CUDAError) {
        count = values.count
        memory = try DeviceMemory(device, byteCount: values.count * 4, purpose: purpose)
        try withBytes(of: values) { bytes throws(CUDAError) in try memory.fill(from: bytes) }
    }
}

/// Calls a function with an array's bytes.
func withBytes<Element>(
    of values: [Element], _ body: (UnsafeRawBufferPointer) throws(CUDAError) -> Void
) throws(CUDAError) {
    let result = values.withUnsafeBytes { bytes in Result { () throws(CUDAError) in try body(bytes) } }
    try result.get()
}

/// Rotation frequencies on the device.
public final class CUDARotary {
    let rotary: RotaryEmbedding
    let frequencies: CUDAVector

    init(_ rotary: RotaryEmbedding, frequencies: CUDAVector) {
        self.rotary = rotary
        self.frequencies = frequencies
    }
}

/// Rows of float32, (T, width), contiguous, and room for the same rows as the weights' element: what cuBLAS reads.
public final class CUDAActivation {
    /// Elements a row.
    public let width: Int
    /// Most rows.
    public let rowCapacity: Int
    /// T: rows in use.
    public internal(set) var rowCount = 0
    /// Whether the rows were gathered from the step's, and what is computed from those.
    var isGathered = false
    /// Whether `packed` holds the rows as they are.
    var isPacked = false
    let rows: DeviceMemory
    /// Equals `rows` where weights are float32.
    let packed: DeviceMemory
    /// Made when the host first looks.
    var host: PinnedMemory?

    init(_ device: CUDADevice, rowCapacity: Int, width: Int, element: WeightElement) throws(CUDAError) {
        self.width = width
        self.rowCapacity = rowCapacity
        let purpose = "activations (\(rowCapacity), \(width))"
        rows = try DeviceMemory(device, byteCount: rowCapacity * width * 4, purpose: purpose)
        packed =
            element == .f32
            ? rows : try DeviceMemory(device, byteCount: rowCapacity * width * element.byteCount, purpose: purpose)
    }

    var count: Int { rowCount * width }
}

/// Keys and values of all layers: for each layer keys, then values, (N, P, K, D) each.
public final class CUDAKVCache {
    /// Its shape.
    public let layout: KVCacheLayout
    let memory: DeviceMemory
    private let planeBytes: Int

    init(_ device: CUDADevice, _ layout: KVCacheLayout) throws(CUDAError) {
        guard layout.headDimension > 0, layout.headDimension <= 256 else {
            throw CUDAError(.invalid, "heads have \(layout.headDimension) elements; 1 to 256 are supported")
        }
        let limit = Int(Int32.max)
        guard layout.positionsPerBlock > 0, layout.blockCount >= 0, layout.layerCount >= 0, layout.headCount > 0,
            layout.blockCount.multipliedReportingOverflow(by: layout.positionsPerBlock).partialValue <= limit
        else { throw CUDAError(.invalid, "KV cache: bad counts in \(layout)") }
        self.layout = layout
        planeBytes =
            layout.blockCount * layout.positionsPerBlock * layout.headCount * layout.headDimension
            * layout.element.byteCount
        memory = try DeviceMemory(
            device, byteCount: 2 * layout.layerCount * planeBytes,
            purpose: "keys and values of \(layout.blockCount * layout.positionsPerBlock) tokens")
    }

    func keys(layer: Int) -> cuda_address { memory.address + cuda_address(2 * layer * planeBytes) }
    func values(layer: Int) -> cuda_address { memory.address + cuda_address((2 * layer + 1) * planeBytes) }
}
