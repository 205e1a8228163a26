import CServingKernels
public import ServingTensors

/// A weight (out, in), repacked into panels of 16 rows.
public final class CPUMatrix {
    /// Rows, (out).
    public let rowCount: Int
    /// Columns, (in).
    public let columnCount: Int
    let kind: sk_panel_kind
    let panels: UnsafeMutableRawPointer
    private let owner: PageMemory

    /// Bytes of a stored weight's panels.
    static func byteCount(of weight: StoredTensor) -> Int {
        let code = sk_panel_kind_for_type(weight.type.rawValue)
        precondition(code >= 0, "every TensorType has a panel kind")
        return sk_panel_bytes(sk_panel_kind(UInt32(code)), weight.columnCount) * ((weight.rowCount + 15) / 16)
    }

    /// Packs a float weight into memory of its own, on the calling thread.
    convenience init(packing weight: StoredTensor) throws(CPUBackendError) {
        let code = sk_panel_kind_for_type(weight.type.rawValue)
        precondition(code >= 0, "every TensorType has a panel kind")
        let kind = sk_panel_kind(UInt32(code))
        let (rows, columns) = (weight.rowCount, weight.columnCount)
        let memory = try PageMemory(byteCount: Self.byteCount(of: weight), purpose: "weight \(weight.name)")
        var packing = sk_packing(
            source: weight.bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), type: weight.type.rawValue,
            kind: kind, rows: rows, columns: columns, row_bytes: weight.bytesPerRow,
            panels: memory.base.assumingMemoryBound(to: UInt8.self))
        sk_pack(nil, &packing)
        self.init(rowCount: rows, columnCount: columns, kind: kind, panels: memory.base, owner: memory)
    }

    init(
        rowCount: Int, columnCount: Int, kind: sk_panel_kind, panels: UnsafeMutableRawPointer, owner: PageMemory
    ) {
        self.rowCount = rowCount
        self.columnCount = columnCount
        self.kind = kind
        self.panels = panels
        self.owner = owner
    }
}

/// A float32 vector.
public final class CPUVector {
    /// Elements.
    public let count: Int
    let elements: UnsafeMutablePointer<Float>

    init(_ values: [Float]) {
        count = values.count
        elements = .allocate(capacity: max(values.count, 1))
        elements.initialize(from: values, count: values.count)
    }

    /// Decodes a stored vector and adds `offset`.
    convenience init(_ vector: StoredTensor, offset: Float) {
        var values = vector.floats()
        if offset != 0 {
            for index in values.indices { values[index] += offset }
        }
        self.init(values)
    }

    deinit {
        elements.deallocate()
    }
}

/// Token embeddings (V, E), left as the file has them and decoded a row at a time.
public final class CPUEmbeddingTable {
    let stored: StoredTensor

    init(_ stored: StoredTensor) {
        self.stored = stored
    }
}

/// Cosines and sines of one kind of rotation for the tokens of the current step, computed once a step.
public final class CPURotary {
    let rotary: RotaryEmbedding
    /// The step that the tables were computed for.
    var step = 0
    /// (T, R / 2) each.
    var cosines: [Float] = []
    var sines: [Float] = []

    init(_ rotary: RotaryEmbedding) {
        self.rotary = rotary
    }
}

/// Rows of float32, (T, width), contiguous.
public final class CPUActivation {
    /// Elements a row.
    public let width: Int
    /// Most rows.
    public let rowCapacity: Int
    /// T: rows in use.
    public internal(set) var rowCount = 0
    /// Whether the rows were gathered from the step's, and what is computed from those.
    var isGathered = false
    let elements: UnsafeMutablePointer<Float>
    private let memory: PageMemory

    init(rowCapacity: Int, width: Int, memory: PageMemory) {
        self.width = width
        self.rowCapacity = rowCapacity
        self.memory = memory
        elements = memory.base.assumingMemoryBound(to: Float.self)
    }

    var count: Int { rowCount * width }
}

/// Keys and values of all layers in blocks of P positions; layouts are in `serving_kernels.h`.
///
/// Memory is zero until written and resident only once touched.
public final class CPUKVCache {
    /// Its shape.
    public let layout: KVCacheLayout
    private let memory: PageMemory
    private let layerByteCount: Int
    /// The step whose block tables were checked against this cache.
    var checkedStep = 0

    init(_ layout: KVCacheLayout) throws(CPUBackendError) {
        let purpose = "the KV cache (\(layout.blockCount) blocks of \(layout.positionsPerBlock) positions)"
        guard layout.positionsPerBlock > 0, layout.positionsPerBlock % 16 == 0, layout.positionsPerBlock <= 1 << 20
        else {
            throw .invalid("KV blocks have \(layout.positionsPerBlock) positions; a multiple of 16 is needed")
        }
        guard layout.headDimension > 0, layout.headDimension <= Int(SK_HEAD_LIMIT) else {
            throw .invalid("heads have \(layout.headDimension) elements; 1 to \(SK_HEAD_LIMIT) are supported")
        }
        guard
            layout.headCount > 0, layout.headCount <= 1 << 16, layout.layerCount >= 0, layout.blockCount >= 0,
            layout.blockCount <= Int(Int32.max)
        else { throw .invalid("KV cache: bad counts in \(layout)") }
        self.layout = layout
        var shape = CPUKVCache.shape(layout, base: nil)
        let block = withUnsafePointer(to: &shape) { sk_kv_block_bytes($0) }
        layerByteCount = try checkedProduct(block, layout.blockCount, for: purpose)
        memory = try PageMemory(
            byteCount: try checkedProduct(layerByteCount, layout.layerCount, for: purpose), purpose: purpose)
    }

    private static func shape(_ layout: KVCacheLayout, base: UnsafeMutableRawPointer?) -> sk_kv_layer {
        sk_kv_layer(
            base: base?.assumingMemoryBound(to: UInt8.self), half: layout.element == .f16,
            kv_heads: Int32(layout.headCount), head_dimension: Int32(layout.headDimension),
            positions_per_block: Int32(layout.positionsPerBlock))
    }

    /// One layer as the kernels take it.
    func layer(_ index: Int) -> sk_kv_layer {
        CPUKVCache.shape(layout, base: memory.base + index * layerByteCount)
    }
}
