import CServingAdapters
import ServingModelFiles
import ServingTensors

/// A weight with an update added in: rows are computed in float32 when they are asked for.
struct MergedMatrix {
    private let base: StoredTensor
    private let update: LinearUpdate?
    /// (R, in) and (out, R), decoded.
    private let loraA: [Float]
    private let loraB: [Float]
    private let magnitude: [Float]?

    /// (out, in).
    let shape: [Int]
    /// Whether it differs from the base.
    var isChanged: Bool { update != nil }

    /// A weight of shape (out, in); an update that only changes the bias leaves it as it is.
    init(base: StoredTensor, update: LinearUpdate?) {
        let update = update.flatMap { $0.lowRank == nil && $0.weight == nil ? nil : $0 }
        self.base = update?.weight ?? base
        self.update = update
        shape = base.shape
        loraA = update?.lowRank?.loraA.decoded() ?? []
        loraB = update?.lowRank?.loraB.decoded() ?? []
        magnitude = update?.magnitude?.decoded()
    }

    /// Row `row` of `magnitude / |W + s B A| * (W + s B A)`, the quotient only for DoRA. `delta` is room for a row.
    func fill(_ target: UnsafeMutableBufferPointer<Float>, row: Int, delta: UnsafeMutableBufferPointer<Float>) {
        base.decodeRow(row, into: target)
        guard let lowRank = update?.lowRank else { return }
        delta.update(repeating: 0)
        loraA.withUnsafeBufferPointer { loraA in
            guard let first = loraA.baseAddress else { return }
            for index in 0..<lowRank.rank {
                sa_add_scaled(
                    delta.baseAddress, first + index * target.count, loraB[row * lowRank.rank + index], target.count)
            }
        }
        sa_add_scaled(target.baseAddress, delta.baseAddress, lowRank.scaling, target.count)
        guard let magnitude else { return }
        let norm = Float(sa_square_sum(target.baseAddress, target.count).squareRoot())
        // A row of zeros has no direction to scale.
        guard norm > 0 else { return }
        let factor = magnitude[row] / norm
        for index in target.indices { target[index] *= factor }
    }

    /// The type for a changed weight where none is asked for: float types stay, the rest becomes Q8_0.
    static func changedType(of base: TensorType) -> TensorType { base.isQuantized ? .q8_0 : base }

    /// `type`, or F16 where rows are not whole blocks of it. Embedding and head are Q8_0 at least, as they are in files
    /// of 4 bits a weight that llama.cpp's tools make: four bits there cost more than in all other layers.
    static func fitting(_ type: TensorType, columns: Int, isTable: Bool) -> TensorType {
        let type = isTable && (type == .q4_0 || type == .q4_1) ? .q8_0 : type
        return columns.isMultiple(of: type.blockElementCount) ? type : .f16
    }

    /// Hands all rows, encoded, to `sink`.
    ///
    /// - Throws: `malformed` where a value does not fit the type.
    func write(
        _ type: TensorType, name: String, to sink: (UnsafeRawBufferPointer) throws(ModelFileError) -> Void
    ) throws(ModelFileError) {
        let columns = shape.last ?? 1
        let rowBytes = columns / type.blockElementCount * type.blockByteCount
        let floats = UnsafeMutableBufferPointer<Float>.allocate(capacity: 2 * columns)
        defer { floats.deallocate() }
        floats.initialize(repeating: 0)
        let encoded = UnsafeMutableRawBufferPointer.allocate(byteCount: rowBytes, alignment: 64)
        defer { encoded.deallocate() }
        let target = UnsafeMutableBufferPointer(rebasing: floats[..<columns])
        let delta = UnsafeMutableBufferPointer(rebasing: floats[columns...])
        for row in 0..<(shape.first ?? 0) {
            fill(target, row: row, delta: delta)
            let isKnown = sa_encode(
                type.rawValue, target.baseAddress, encoded.bindMemory(to: UInt8.self).baseAddress, columns)
            precondition(isKnown, "no encoder for \(type.name)")
            let isFinite =
                type.isQuantized
                || sa_first_not_finite(type.rawValue, encoded.bindMemory(to: UInt8.self).baseAddress, columns)
                    == columns
            guard isFinite else {
                throw ModelFileError(
                    .malformed, file: name, "row \(row) of the merged weight has values beyond \(type.name)",
                    hint: "ask for BF16 or F32")
            }
            try sink(UnsafeRawBufferPointer(encoded))
        }
    }

    /// The whole weight in memory.
    func stored(_ type: TensorType, name: String) throws(AdapterError) -> StoredTensor {
        let rowBytes = (shape.last ?? 1) / type.blockElementCount * type.blockByteCount
        do {
            let storage = try TensorStorage(byteCount: (shape.first ?? 0) * rowBytes) {
                target throws(ModelFileError) in
                var offset = 0
                try write(type, name: name) { bytes in
                    UnsafeMutableRawBufferPointer(rebasing: target[offset..<offset + bytes.count]).copyMemory(
                        from: bytes)
                    offset += bytes.count
                }
            }
            return StoredTensor(name: name, type: type, shape: shape, bytes: storage.bytes, owner: storage)
        } catch {
            throw AdapterError(.invalidAdapter, error.description)
        }
    }
}

extension LinearUpdate {
    /// The update of an embedding table seen as a weight (V, E): its rows change by `s * transpose(A) transpose(B)`.
    init?(_ update: EmbeddingUpdate?) {
        guard let update else { return nil }
        self.init(weight: update.table)
        if let lowRank = update.lowRank {
            self.lowRank = LowRankUpdate(
                loraA: lowRank.loraB.transposed(), loraB: lowRank.loraA.transposed(), scaling: lowRank.scaling)
        }
    }
}

extension StoredTensor {
    /// A matrix with rows and columns exchanged, as float32.
    fileprivate func transposed() -> StoredTensor {
        let (rows, columns, values) = (shape[0], shape[1], decoded())
        return StoredTensor(name: name, shape: [columns, rows]) { target in
            for row in 0..<rows {
                for column in 0..<columns { target[column * rows + row] = values[row * columns + column] }
            }
        }
    }
}
