import CServingKernels
import Glibc
import ServingTensors

extension StoredTensor {
    /// A range along the outermost dimension, without a copy.
    func outer(_ range: Range<Int>) -> StoredTensor {
        let size = bytes.count / max(shape[0], 1)
        return StoredTensor(
            name: name, type: type, shape: [range.count] + shape.dropFirst(),
            bytes: UnsafeRawBufferPointer(rebasing: bytes[range.lowerBound * size..<range.upperBound * size]),
            owner: owner)
    }

    /// The same elements as a vector.
    func flattened() -> StoredTensor {
        StoredTensor(name: name, type: type, shape: [shape.reduce(1, *)], bytes: bytes, owner: owner)
    }

    /// Rows in the order of a GGUF file whose rotation turns neighbours: its row (h, i, j) is Hugging Face's row
    /// (h, j, i), with i < D / 2 and j < 2.
    func permutedRows(headDimension: Int) -> StoredTensor {
        let size = bytes.count / max(shape[0], 1)
        let half = headDimension / 2
        let storage = TensorStorage(byteCount: bytes.count) { target in
            for row in 0..<shape[0] {
                let (head, within) = row.quotientAndRemainder(dividingBy: headDimension)
                let source = head * headDimension + within % 2 * half + within / 2
                target[row * size..<(row + 1) * size].copyBytes(from: bytes[source * size..<(source + 1) * size])
            }
        }
        return StoredTensor(name: name, type: type, shape: shape, bytes: storage.bytes, owner: storage)
    }

    /// Whether two matrices of one shape hold the same numbers, whatever the encoding.
    func holdsSameValues(as other: StoredTensor) -> Bool {
        guard shape == other.shape else { return false }
        if type == other.type { return bytes.elementsEqualFast(other.bytes) }
        var mine = [Float](repeating: 0, count: columnCount)
        var others = mine
        for row in 0..<rowCount {
            decodeRow(row, into: &mine)
            other.decodeRow(row, into: &others)
            guard mine == others else { return false }
        }
        return true
    }

    /// One row as float32; the target has as many elements as a row.
    func decodeRow(_ row: Int, into target: inout [Float]) {
        target.withUnsafeMutableBufferPointer { decodeRow(row, into: $0) }
    }

    /// One row as float32; the target has as many elements as a row.
    func decodeRow(_ row: Int, into target: UnsafeMutableBufferPointer<Float>) {
        precondition(target.count == columnCount, "tensor \(name): a row has \(columnCount) elements")
        let encoded = UnsafeRawBufferPointer(rebasing: bytes[row * bytesPerRow..<(row + 1) * bytesPerRow])
        withExtendedLifetime(owner) {
            let isKnown = sk_dequantize(
                type.rawValue, encoded.bindMemory(to: UInt8.self).baseAddress, target.baseAddress, target.count)
            precondition(isKnown, "tensor \(name): no decoder for \(type.name)")
        }
    }

    /// All elements as float32.
    func decoded() -> [Float] {
        [Float](unsafeUninitializedCapacity: shape.reduce(1, *)) { target, count in
            for row in 0..<rowCount {
                decodeRow(
                    row,
                    into: UnsafeMutableBufferPointer(
                        rebasing: target[row * columnCount..<(row + 1) * columnCount]))
            }
            count = target.count
        }
    }
}

extension UnsafeRawBufferPointer {
    fileprivate func elementsEqualFast(_ other: UnsafeRawBufferPointer) -> Bool {
        guard count == other.count else { return false }
        guard let mine = baseAddress, let others = other.baseAddress else { return true }
        return memcmp(mine, others, count) == 0
    }
}

extension UnsafeMutableRawBufferPointer.SubSequence {
    fileprivate func copyBytes(from source: UnsafeRawBufferPointer.SubSequence) {
        UnsafeMutableRawBufferPointer(rebasing: self).copyMemory(from: UnsafeRawBufferPointer(rebasing: source))
    }
}

extension LinearUpdate {
    /// Everything that has a row an output, changed the same way; A is shared.
    func mapRows(_ change: (StoredTensor) -> StoredTensor) -> LinearUpdate {
        var result = self
        if let lowRank {
            result.lowRank?.loraB = change(lowRank.loraB)
            result.lowRank?.bias = lowRank.bias.map(change)
        }
        result.magnitude = magnitude.map(change)
        result.bias = bias.map(change)
        result.weight = weight.map(change)
        return result
    }
}
