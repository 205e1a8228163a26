import CServingKernels
public import ServingTensors

/// Weights, tables and caches.
extension CPUBackend {
    /// Repacks a weight for the kernels, without loss unless the backend was asked for float32.
    public func makeMatrix(_ weight: StoredTensor) throws -> CPUMatrix {
        let (rows, columns) = (weight.rowCount, weight.columnCount)
        guard weight.shape.count == 2, rows > 0, columns > 0, rows <= 1 << 28, columns <= 1 << 28 else {
            throw CPUBackendError.invalid("\(weight.name): a weight of shape \(weight.shape) is no matrix")
        }
        let code = sk_panel_kind_for_type(weight.type.rawValue)
        precondition(code >= 0, "every TensorType has a panel kind")
        let kind = usesFloat32Weights ? SK_PANEL_F32 : sk_panel_kind(UInt32(code))
        let panelCount = (rows + Int(SK_PANEL_ROWS) - 1) / Int(SK_PANEL_ROWS)
        let byteCount = try checkedProduct(sk_panel_bytes(kind, columns), panelCount, for: weight.name)
        let (pointer, owner) = try arena.allocate(byteCount, purpose: "weight \(weight.name)")
        var packing = sk_packing(
            source: weight.bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), type: weight.type.rawValue,
            kind: kind, rows: rows, columns: columns, row_bytes: weight.bytesPerRow,
            panels: pointer.assumingMemoryBound(to: UInt8.self))
        sk_pack(context.pool, &packing)
        didRepack?(weight)
        return CPUMatrix(rowCount: rows, columnCount: columns, kind: kind, panels: pointer, owner: owner)
    }

    /// Decodes a vector to float32 and adds `offset`.
    public func makeVector(_ vector: StoredTensor, offset: Float) throws -> CPUVector {
        CPUVector(vector, offset: offset)
    }

    /// Keeps the table as it lies in the file; rows are decoded when looked up.
    public func makeEmbeddingTable(_ table: StoredTensor) throws -> CPUEmbeddingTable {
        guard table.shape.count == 2 else {
            throw CPUBackendError.invalid("\(table.name): an embedding table of shape \(table.shape)")
        }
        return CPUEmbeddingTable(table)
    }

    /// Keeps the frequencies; tables are computed once a step.
    public func makeRotary(_ rotary: RotaryEmbedding) throws -> CPURotary {
        guard rotary.headDimension > 0, 2 * rotary.inverseFrequencies.count <= rotary.headDimension else {
            throw CPUBackendError.invalid(
                "\(rotary.inverseFrequencies.count) rotation pairs do not fit a head of \(rotary.headDimension)")
        }
        return CPURotary(rotary)
    }

    /// Rows of float32, zero and without a row in use.
    public func makeActivation(rowCapacity: Int, width: Int) throws -> CPUActivation {
        let purpose = "activations (\(rowCapacity), \(width))"
        guard rowCapacity >= 0, width > 0, rowCapacity <= 1 << 28, width <= 1 << 28 else {
            throw CPUBackendError.invalid("bad size of \(purpose)")
        }
        let bytes = try checkedProduct(rowCapacity, width, 4, for: purpose)
        return CPUActivation(
            rowCapacity: rowCapacity, width: width, memory: try PageMemory(byteCount: bytes, purpose: purpose))
    }

    /// Makes an empty cache. P must be a multiple of 16.
    public func makeKVCache(_ layout: KVCacheLayout) throws -> CPUKVCache {
        try CPUKVCache(layout)
    }
}
