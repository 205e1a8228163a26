import CCUDAHeaders
import CServingKernels
public import ServingTensors

/// An adapter in a device's memory, one region for all its parts but whole matrices.
public final class CUDAAdapter: ResidentAdapter, Sendable {
    /// Largest rank; as in the kernels' source.
    static let rankLimit = 256

    /// Bytes that it takes on the device.
    public let byteCount: Int
    /// One update, as the kernels have it, for each linear slot of the model.
    let updates: cuda_address
    let slotCount: Int
    /// What is done to each linear slot.
    let linears: [Linear]
    /// Linear slots with an update.
    let changes: SlotSet
    /// Weights in place of the model's own, by linear slot.
    let matrices: [Int: CUDAMatrix]
    /// Norm weights in place of the model's own, by norm slot.
    let norms: [Int: CUDAVector]
    /// In place of the model's embeddings.
    let embeddingTable: DeviceMemory?
    /// The embeddings' low-rank update, as the kernels have it.
    let embeddingUpdate: DeviceMemory?
    /// Whether it does nothing but what `linears` says.
    let isLowRankOnly: Bool
    private let memory: DeviceMemory
    private let table: DeviceMemory

    /// What is done to one linear layer, as the kernels have it.
    struct Linear: Sendable {
        let a, b: cuda_address
        let gain, offset: cuda_address?
        let scaling: Float
        let rank: Int
    }

    init(_ parts: AdapterParts, device: CUDADevice, element: WeightElement) throws {
        var image = UpdateImage(element: element)
        var updates = [UpdateImage.Update](repeating: .none, count: parts.linearSlotCount)
        var matrices: [Int: CUDAMatrix] = [:]
        for part in parts.linears {
            updates[part.slot] = try image.append(part)
            if let weight = part.update.weight {
                matrices[part.slot] = CUDAMatrix(
                    rowCount: weight.rowCount, columnCount: weight.columnCount,
                    memory: try device.upload(weight, as: element))
            }
        }
        let embedding = try parts.embedding?.update.lowRank.map { try image.append(lowRank: $0) }
        let parameters = try DeviceMemory(device, byteCount: image.bytes.count, purpose: "an adapter")
        try withBytes(of: image.bytes) { bytes throws(CUDAError) in try parameters.fill(from: bytes) }
        memory = parameters
        let base = parameters.address
        func upload(_ updates: [UpdateImage.Update]) throws(CUDAError) -> DeviceMemory {
            let words = updates.flatMap { $0.words(from: base) }
            let memory = try DeviceMemory(device, byteCount: words.count * 8, purpose: "an adapter")
            try withBytes(of: words) { bytes throws(CUDAError) in try memory.fill(from: bytes) }
            return memory
        }
        table = try upload(updates)
        self.updates = table.address
        embeddingUpdate = try embedding.map { update throws(CUDAError) in try upload([update]) }
        embeddingTable = try parts.embedding?.update.table.map { try device.upload($0, as: element) }
        var norms: [Int: CUDAVector] = [:]
        for norm in parts.norms {
            norms[norm.slot] = try CUDAVector(
                device, norm.weight.floats().map { $0 + parts.normOffset }, purpose: norm.weight.name)
        }
        self.norms = norms
        self.matrices = matrices
        slotCount = parts.linearSlotCount
        linears = updates.map { $0.linear(at: base) }
        var changes = SlotSet()
        for (slot, update) in updates.enumerated() where !update.isNone { changes.insert(slot) }
        self.changes = changes
        isLowRankOnly =
            matrices.isEmpty && norms.isEmpty && embeddingTable == nil && embeddingUpdate == nil
        byteCount = Self.byteCount(of: parts, element: element)
    }

    /// Bytes that an adapter's parts take.
    static func byteCount(of parts: AdapterParts, element: WeightElement) -> Int {
        func elements(_ tensor: StoredTensor?) -> Int {
            tensor.map { $0.rowCount * $0.columnCount * element.byteCount } ?? 0
        }
        func elements(_ update: LowRankUpdate?) -> Int {
            [update?.loraA, update?.loraB].reduce(0) { bytes, factor in
                bytes + (factor.map { $0.rowCount * UpdateImage.rowBytes($0.columnCount, element) } ?? 0)
            }
        }
        var bytes = parts.linearSlotCount * UpdateImage.Update.byteCount
        for part in parts.linears {
            bytes += elements(part.update.lowRank) + elements(part.update.weight) + 8 * part.weight.rowCount
        }
        for norm in parts.norms { bytes += norm.weight.columnCount * 4 }
        bytes += elements(parts.embedding?.update.table) + elements(parts.embedding?.update.lowRank)
        return bytes
    }
}

/// Brings adapters to the device from any thread.
public struct CUDAUploader: AdapterUploading, Sendable {
    let device: CUDADevice
    let element: WeightElement

    /// Copies an adapter to the device.
    public func upload(_ parts: AdapterParts) throws -> any ResidentAdapter {
        try CUDAAdapter(parts, device: device, element: element)
    }

    /// Bytes that the copy takes.
    public func byteCount(of parts: AdapterParts) -> Int { CUDAAdapter.byteCount(of: parts, element: element) }
}
