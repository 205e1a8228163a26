import CCUDAHeaders
import CServingKernels
import Dispatch
public import ServingTensors

/// Weights, tables and caches.
extension CUDABackend {
    /// Copies a weight to the device, decoded to the backend's element.
    public func makeMatrix(_ weight: StoredTensor) throws -> CUDAMatrix { try makeMatrices([weight])[0] }

    /// Copies weights of equal width to the device, one behind the other: together they are one matrix.
    public func makeMatrices(_ weights: [StoredTensor]) throws -> [CUDAMatrix] {
        for weight in weights {
            guard weight.shape.count == 2, weight.rowCount > 0, weight.columnCount > 0, weight.rowCount <= 1 << 28,
                weight.columnCount <= 1 << 28, weight.columnCount == weights[0].columnCount
            else { throw CUDAError(.invalid, "\(weight.name): a weight of shape \(weight.shape) does not fit here") }
        }
        let rowBytes = (weights.first?.columnCount ?? 0) * element.byteCount
        let memory = try DeviceMemory(
            device, byteCount: weights.reduce(0) { $0 + $1.rowCount } * rowBytes,
            purpose: "weight \(weights.first?.name ?? "")")
        var (offset, matrices) = (0, [CUDAMatrix]())
        for weight in weights {
            try memory.fill(from: weight, as: element, at: offset)
            didUpload?(weight)
            matrices.append(
                CUDAMatrix(
                    rowCount: weight.rowCount, columnCount: weight.columnCount, memory: memory, byteOffset: offset))
            offset += weight.rowCount * rowBytes
        }
        return matrices
    }

    /// Decodes a vector to float32 and adds `offset`.
    public func makeVector(_ vector: StoredTensor, offset: Float) throws -> CUDAVector {
        try CUDAVector(device, vector.floats().map { $0 + offset }, purpose: vector.name)
    }

    /// Copies an embedding table, (V, E).
    public func makeEmbeddingTable(_ table: StoredTensor) throws -> CUDAMatrix { try makeMatrix(table) }

    /// Copies the frequencies.
    public func makeRotary(_ rotary: RotaryEmbedding) throws -> CUDARotary {
        guard rotary.headDimension > 0, 2 * rotary.inverseFrequencies.count <= rotary.headDimension else {
            throw CUDAError(
                .invalid,
                "\(rotary.inverseFrequencies.count) rotation pairs do not fit a head of \(rotary.headDimension)")
        }
        return CUDARotary(
            rotary, frequencies: try CUDAVector(device, rotary.inverseFrequencies, purpose: "rotation frequencies"))
    }

    /// Room for rows of float32 and of the weights' element.
    public func makeActivation(rowCapacity: Int, width: Int) throws -> CUDAActivation {
        try makeActivations(rowCapacity: rowCapacity, widths: [width])[0]
    }

    /// Room for rows that lie side by side.
    public func makeActivations(rowCapacity: Int, widths: [Int]) throws -> [CUDAActivation] {
        guard rowCapacity >= 0, rowCapacity <= 1 << 24, widths.allSatisfy({ $0 > 0 && $0 <= 1 << 28 }) else {
            throw CUDAError(.invalid, "bad size of activations (\(rowCapacity), \(widths))")
        }
        // Recorded steps and deterministic products have some rows for nothing.
        let recorded = StepRecordings.rowCount(for: rowCapacity) ?? rowCapacity
        let multiple = options.isDeterministic ? Self.deterministicRowCount : 1
        return try CUDAActivation.sideBySide(
            device, rowCapacity: (recorded + multiple - 1) / multiple * multiple, widths: widths, element: element)
    }

    /// Makes a cache.
    public func makeKVCache(_ layout: KVCacheLayout) throws -> CUDAKVCache { try CUDAKVCache(device, layout) }
}

extension CUDADevice {
    /// Copies a tensor to memory of its own, decoded to an element.
    func upload(_ tensor: StoredTensor, as element: WeightElement) throws(CUDAError) -> DeviceMemory {
        let memory = try DeviceMemory(
            self, byteCount: tensor.rowCount * tensor.columnCount * element.byteCount,
            purpose: "weight \(tensor.name)")
        try memory.fill(from: tensor, as: element, at: 0)
        return memory
    }
}

extension DeviceMemory {
    /// Copies a tensor to an offset, decoded to an element.
    func fill(from tensor: StoredTensor, as element: WeightElement, at offset: Int) throws(CUDAError) {
        if tensor.type.isSame(as: element) { return try fill(from: tensor.bytes, at: offset) }
        // Some megabytes at a time, on all cores: decoded weights need not fit the host's memory.
        let rowBytes = tensor.columnCount * element.byteCount
        let rowsEach = max(1, (1 << 20) / max(1, tensor.columnCount * 4))
        let rowsAtOnce = min(rowsEach * 32, max(1, tensor.rowCount))
        let encoded = UnsafeMutableRawBufferPointer.allocate(byteCount: rowsAtOnce * rowBytes, alignment: 64)
        defer { encoded.deallocate() }
        guard let start = encoded.baseAddress else { return }
        for first in stride(from: 0, to: tensor.rowCount, by: rowsAtOnce) {
            let count = min(rowsAtOnce, tensor.rowCount - first)
            let target = EncodingTarget(start: start)
            DispatchQueue.concurrentPerform(iterations: (count + rowsEach - 1) / rowsEach) { part in
                let rows = part * rowsEach..<min(count, (part + 1) * rowsEach)
                tensor.encode(
                    first + rows.lowerBound..<first + rows.upperBound, as: element,
                    to: target.start + rows.lowerBound * rowBytes)
            }
            try fill(
                from: UnsafeRawBufferPointer(rebasing: encoded[..<(count * rowBytes)]), at: offset + first * rowBytes)
        }
    }
}

/// Where several threads write, each its own part.
///
/// `@unchecked Sendable`: the parts do not overlap, and nobody reads before all are done.
private struct EncodingTarget: @unchecked Sendable {
    let start: UnsafeMutableRawPointer
}

extension StoredTensor {
    /// Writes some rows in an element's form.
    fileprivate func encode(_ rows: Range<Int>, as element: WeightElement, to target: UnsafeMutableRawPointer) {
        let count = rows.count * columnCount
        withUnsafeTemporaryAllocation(of: Float.self, capacity: max(1, count)) { floats in
            let source = bytes.baseAddress.map { $0 + rows.lowerBound * bytesPerRow }
            let known = sk_dequantize(
                type.rawValue, source?.assumingMemoryBound(to: UInt8.self), floats.baseAddress, count)
            precondition(known, "every TensorType can be decoded")
            element.encode(UnsafeBufferPointer(rebasing: floats[..<count]), to: target)
        }
    }
}

extension StoredTensor {
    /// All elements as float32.
    func floats() -> [Float] {
        [Float](unsafeUninitializedCapacity: rowCount * columnCount) { target, count in
            count = rowCount * columnCount
            let known = sk_dequantize(
                type.rawValue, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), target.baseAddress, count)
            precondition(known, "every TensorType can be decoded")
        }
    }
}

extension TensorType {
    fileprivate func isSame(as element: WeightElement) -> Bool {
        switch (self, element) {
        case (.bf16, .bf16), (.f16, .f16), (.f32, .f32): true
        default: false
        }
    }
}
