import CCUDAHeaders
public import ServingTensors

/// A linear layer's weight (out, in) on the device, row by row.
public final class CUDAMatrix: Sendable {
    /// Rows, (out).
    public let rowCount: Int
    /// Columns, (in).
    public let columnCount: Int
    /// Of the first element.
    let address: cuda_address
    /// May hold other matrices beside this one.
    private let memory: DeviceMemory

    /// A matrix at a place in a region.
    init(rowCount: Int, columnCount: Int, memory: DeviceMemory, byteOffset: Int = 0) {
        self.rowCount = rowCount
        self.columnCount = columnCount
        self.memory = memory
        address = memory.address + cuda_address(byteOffset)
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

/// Rotation frequencies on the device, and the angles of the step's tokens.
public final class CUDARotary {
    let rotary: RotaryEmbedding
    let frequencies: CUDAVector
    /// Cosines and sines, (T, R / 2) pairs; made when first used, for as many rows as a step can have.
    var angles: DeviceMemory?
    /// The step that the angles are of.
    var step = 0

    init(_ rotary: RotaryEmbedding, frequencies: CUDAVector) {
        self.rotary = rotary
        self.frequencies = frequencies
    }
}

/// Rows of float32, (T, width), and room for the same rows as the weights' element: what cuBLAS reads. Rows of several
/// activations may lie side by side.
public final class CUDAActivation {
    /// Elements a row.
    public let width: Int
    /// Elements from one row to the next.
    let stride: Int
    /// Most rows.
    public let rowCapacity: Int
    /// T: rows in use.
    public internal(set) var rowCount = 0
    /// Whether the rows were gathered from the step's, and what is computed from those.
    var isGathered = false
    /// Which of both forms holds the rows as they are.
    var form = Form.float32
    /// Of the first element as float32.
    let rows: cuda_address
    /// Of the first element in the other form; equals `rows` where weights are float32.
    let packed: cuda_address
    /// Made when the host first looks.
    var host: PinnedMemory?
    private let memory: [DeviceMemory]

    enum Form {
        case float32
        case packed
        case both
    }

    private init(
        width: Int, stride: Int, rowCapacity: Int, rows: cuda_address, packed: cuda_address, memory: [DeviceMemory]
    ) {
        self.width = width
        self.stride = stride
        self.rowCapacity = rowCapacity
        self.rows = rows
        self.packed = packed
        self.memory = memory
    }

    /// Activations whose rows lie side by side, one after another in each row.
    static func sideBySide(
        _ device: CUDADevice, rowCapacity: Int, widths: [Int], element: WeightElement
    ) throws(CUDAError) -> [CUDAActivation] {
        let stride = widths.reduce(0, +)
        let purpose = "activations (\(rowCapacity), \(stride))"
        let rows = try DeviceMemory(device, byteCount: rowCapacity * stride * 4, purpose: purpose)
        var memory = [rows]
        if element != .f32 {
            memory.append(
                try DeviceMemory(device, byteCount: rowCapacity * stride * element.byteCount, purpose: purpose))
        }
        var (offset, activations) = (0, [CUDAActivation]())
        for width in widths {
            activations.append(
                CUDAActivation(
                    width: width, stride: stride, rowCapacity: rowCapacity,
                    rows: rows.address + cuda_address(4 * offset),
                    packed: memory[memory.count - 1].address + cuda_address(element.byteCount * offset),
                    memory: memory))
            offset += width
        }
        return activations
    }

    var count: Int { rowCount * width }

    /// Whether the other's rows follow this one's in each row.
    func isBeside(_ other: CUDAActivation) -> Bool {
        stride == other.stride && rows + cuda_address(4 * width) == other.rows
    }
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
