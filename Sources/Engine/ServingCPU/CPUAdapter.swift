import CServingKernels
public import ServingTensors

/// An adapter in the CPU's memory: its low-rank updates packed one after another in the order of their use, and
/// whatever it puts in place of the model's own tensors.
///
/// `@unchecked Sendable`: written by its initializer only, then read by the thread that computes steps.
public final class CPUAdapter: ResidentAdapter, @unchecked Sendable {
    /// Bytes that it keeps in memory.
    public let byteCount: Int
    /// One for each linear slot of the model.
    let updates: UnsafeMutablePointer<sk_update>
    let slotCount: Int
    /// Weights in place of the model's own, by linear slot.
    let matrices: [Int: CPUMatrix]
    /// Norm weights in place of the model's own, by norm slot.
    let norms: [Int: CPUVector]
    let embedding: CPUEmbeddingChange?
    private let memory: PageMemory

    init(_ parts: AdapterParts, kernels: OpaquePointer, usesFloat32Weights: Bool) throws {
        let forms = parts.linears.map { UpdateForm($0, usesFloat32Weights: usesFloat32Weights) }
        for (form, part) in zip(forms, parts.linears) { try form.check(part.weight.name) }
        let embeddingForm = parts.embedding?.update.lowRank.map(UpdateForm.init(embedding:))
        try embeddingForm?.check("the embeddings")
        let packedBytes = forms.reduce(embeddingForm?.byteCount ?? 0) { $0 + $1.byteCount }
        memory = try PageMemory(byteCount: packedBytes, purpose: "an adapter")
        slotCount = parts.linearSlotCount
        updates = .allocate(capacity: slotCount)
        updates.initialize(repeating: sk_update(), count: slotCount)
        var writer = UpdateWriter(next: memory.base, kernels: kernels)
        var matrices: [Int: CPUMatrix] = [:]
        var norms: [Int: CPUVector] = [:]
        do {
            for (form, part) in zip(forms, parts.linears) {
                updates[part.slot] = try writer.write(part, form)
                if let weight = part.update.weight { matrices[part.slot] = try CPUMatrix(packing: weight) }
            }
            for norm in parts.norms { norms[norm.slot] = CPUVector(norm.weight, offset: parts.normOffset) }
            embedding = try parts.embedding.map { change in
                CPUEmbeddingChange(
                    table: change.update.table.map { CPUEmbeddingTable($0.copied()) },
                    lowRank: change.update.lowRank.map { lowRank in
                        var copy = lowRank
                        copy.loraA = lowRank.loraA.copied()
                        return copy
                    },
                    update: try zip(change.update.lowRank, embeddingForm).map { try writer.write(embedding: $0, $1) })
            }
        } catch {
            updates.deallocate()
            throw error
        }
        self.matrices = matrices
        self.norms = norms
        byteCount = Self.byteCount(of: parts, usesFloat32Weights: usesFloat32Weights)
    }

    deinit { updates.deallocate() }

    /// Bytes of the packed copies, and of the file's parts that are used as they are: embedding tables and their
    /// factors A.
    static func byteCount(of parts: AdapterParts, usesFloat32Weights: Bool) -> Int {
        var bytes = parts.linearSlotCount * MemoryLayout<sk_update>.stride
        for part in parts.linears {
            bytes += UpdateForm(part, usesFloat32Weights: usesFloat32Weights).byteCount
            bytes += part.update.weight.map(CPUMatrix.byteCount(of:)) ?? 0
        }
        for norm in parts.norms { bytes += norm.weight.columnCount * 4 }
        if let embedding = parts.embedding?.update {
            bytes += embedding.table?.bytes.count ?? 0
            if let lowRank = embedding.lowRank {
                bytes += UpdateForm(embedding: lowRank).byteCount + lowRank.loraA.bytes.count
            }
        }
        return bytes
    }
}

/// What an adapter does to the token embeddings.
struct CPUEmbeddingChange {
    /// In place of the model's table.
    let table: CPUEmbeddingTable?
    /// A (R, V), read a column a token; B is packed in `update`.
    let lowRank: LowRankUpdate?
    let update: sk_update?
}

/// Both values where there are both.
private func zip<A, B>(_ a: A?, _ b: B?) -> (A, B)? {
    guard let a, let b else { return nil }
    return (a, b)
}

/// How an update is stored, and how much room its parts take.
private struct UpdateForm {
    let kind: sk_update_kind
    let rank: Int
    let columns: Int
    let rows: Int
    let hasGain: Bool
    let hasOffset: Bool
    let hasA: Bool

    /// Updates of quantised layers are kept in 8 bits, which is finer than the layers themselves; others as they are
    /// stored.
    init(_ part: AdapterParts.Linear, usesFloat32Weights: Bool) {
        let lowRank = part.update.lowRank
        let isCoarse = part.weight.type.isQuantized && !usesFloat32Weights && part.update.weight == nil
        kind = isCoarse && lowRank != nil ? SK_UPDATE_I8 : Self.floatKind(lowRank)
        rank = lowRank?.rank ?? 0
        columns = part.weight.columnCount
        rows = part.weight.rowCount
        hasGain = part.update.magnitude != nil
        hasOffset = part.update.bias != nil || lowRank?.bias != nil || hasGain && part.bias != nil
        hasA = true
    }

    init(embedding: LowRankUpdate) {
        kind = Self.floatKind(embedding)
        rank = embedding.rank
        columns = 0
        rows = embedding.loraB.rowCount
        hasGain = false
        hasOffset = false
        hasA = false
    }

    private static func floatKind(_ lowRank: LowRankUpdate?) -> sk_update_kind {
        lowRank?.loraA.type == .f16 && lowRank?.loraB.type == .f16 ? SK_UPDATE_F16 : SK_UPDATE_F32
    }

    var aBytes: Int { hasA ? aligned(sk_update_a_bytes(kind, Int32(rank), Int32(columns))) : 0 }
    var bBytes: Int { aligned(sk_update_b_bytes(kind, Int32(rank), Int32(rows))) }
    var rankBytes: Int { aligned(rank * 4) }
    var rowBytes: Int { aligned((rows + 15) / 16 * 64) }
    var byteCount: Int {
        aBytes + bBytes + rankBytes + (hasGain ? rowBytes : 0) + (hasOffset ? rowBytes : 0)
    }

    private func aligned(_ bytes: Int) -> Int { (bytes + 63) / 64 * 64 }

    func check(_ name: String) throws(CPUBackendError) {
        guard rank <= Int(SK_UPDATE_RANK_LIMIT) else {
            throw .invalid("an update of rank \(rank) for \(name); at most \(SK_UPDATE_RANK_LIMIT) is supported")
        }
    }
}

/// Packs updates one after another.
private struct UpdateWriter {
    var next: UnsafeMutableRawPointer
    let kernels: OpaquePointer

    private mutating func take(_ byteCount: Int) -> UnsafeMutablePointer<UInt8> {
        defer { next += byteCount }
        return next.assumingMemoryBound(to: UInt8.self)
    }

    private mutating func takeFloats(_ byteCount: Int) -> UnsafeMutablePointer<Float> {
        defer { next += byteCount }
        return next.assumingMemoryBound(to: Float.self)
    }

    mutating func write(_ part: AdapterParts.Linear, _ form: UpdateForm) throws(CPUBackendError) -> sk_update {
        var update = sk_update()
        update.kind = form.kind
        update.rows = Int32(form.rows)
        if let lowRank = part.update.lowRank { try pack(lowRank, form, into: &update) }
        let gain = try form.hasGain ? writeGain(part, form) : nil
        update.gain = UnsafePointer(gain)
        if form.hasOffset { update.offset = UnsafePointer(writeOffset(part, form, gain: gain)) }
        return update
    }

    mutating func write(embedding: LowRankUpdate, _ form: UpdateForm) throws(CPUBackendError) -> sk_update {
        var update = sk_update()
        update.kind = form.kind
        update.rows = Int32(form.rows)
        try pack(embedding, form, into: &update)
        return update
    }

    private mutating func pack(
        _ lowRank: LowRankUpdate, _ form: UpdateForm, into update: inout sk_update
    ) throws(CPUBackendError) {
        let a = form.hasA ? take(form.aBytes) : nil
        let scales = takeFloats(form.rankBytes)
        let b = take(form.bBytes)
        let isDone = sk_pack_update(
            kernels, form.kind, lowRank.loraA.type.rawValue,
            lowRank.loraA.bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), lowRank.loraB.type.rawValue,
            lowRank.loraB.bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), Int32(form.rank),
            Int32(form.columns), Int32(form.rows), lowRank.scaling, a, scales, b)
        guard isDone else { throw .invalid("\(lowRank.loraA.name) cannot be packed") }
        update.rank = Int32(form.rank)
        update.a = UnsafePointer(a)
        update.scales = UnsafePointer(scales)
        update.b = UnsafePointer(b)
    }

    /// DoRA's m / |W + scaling B A|, (out).
    private mutating func writeGain(
        _ part: AdapterParts.Linear, _ form: UpdateForm
    ) throws(CPUBackendError) -> UnsafeMutablePointer<Float> {
        let gain = takeFloats(form.rowBytes)
        let magnitude = part.update.magnitude.map { $0.floats() } ?? []
        let a = part.update.lowRank?.loraA.floats() ?? []
        let b = part.update.lowRank?.loraB.floats() ?? []
        let weight = part.update.weight ?? part.weight
        let isDone = sk_update_norms(
            kernels, weight.type.rawValue, weight.bytes.baseAddress?.assumingMemoryBound(to: UInt8.self),
            weight.bytesPerRow, a, b, Int32(form.rank), Int32(form.columns), Int32(form.rows),
            part.update.lowRank?.scaling ?? 0, gain)
        guard isDone else { throw .outOfMemory(purpose: "norms of \(part.weight.name)", bytes: form.columns * 4) }
        for row in 0..<form.rows {
            // A row of zeros stays one: nothing divides by zero.
            gain[row] = gain[row] > 0 ? magnitude[row] / gain[row] : 0
        }
        return gain
    }

    /// What is added after the gain: the bias that is to be there in the end, less what the gain makes of the model's
    /// own.
    private mutating func writeOffset(
        _ part: AdapterParts.Linear, _ form: UpdateForm, gain: UnsafeMutablePointer<Float>?
    ) -> UnsafeMutablePointer<Float> {
        let offset = takeFloats(form.rowBytes)
        let own = part.bias?.floats()
        let wanted = part.update.bias?.floats() ?? own
        let added = part.update.lowRank?.bias?.floats()
        let scaling = part.update.lowRank?.scaling ?? 0
        for row in 0..<form.rows {
            let factor = gain?[row] ?? 1
            offset[row] = (wanted?[row] ?? 0) - factor * (own?[row] ?? 0) + factor * scaling * (added?[row] ?? 0)
        }
        return offset
    }
}

extension StoredTensor {
    /// The tensor in memory of its own, so that it keeps no file.
    func copied() -> StoredTensor {
        let storage = TensorStorage(byteCount: bytes.count) { $0.copyMemory(from: bytes) }
        return StoredTensor(name: name, type: type, shape: shape, bytes: storage.bytes, owner: storage)
    }

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
