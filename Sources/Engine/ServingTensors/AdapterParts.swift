/// Numbers the places of a decoder that adapters change. A layer's linear parts stand in the order in which they are
/// computed, so that those with one input follow one another.
public struct AdapterSlots: Sendable, Equatable {
    /// A layer's linear parts.
    public enum Linear: Int, Sendable, CaseIterable {
        case query, key, value, output, gate, up, down
    }

    /// A layer's norms.
    public enum Norm: Int, Sendable, CaseIterable {
        case attention, query, key, postAttention, feedForward, postFeedForward
    }

    /// L.
    public let layerCount: Int

    /// The slots of a decoder of L layers.
    public init(layerCount: Int) { self.layerCount = layerCount }

    /// A layer's linear part.
    public func linear(_ part: Linear, layer: Int) -> Int { layer * Linear.allCases.count + part.rawValue }
    /// The head.
    public var head: Int { layerCount * Linear.allCases.count }
    /// Linear slots in all.
    public var linearCount: Int { head + 1 }
    /// A layer's norm.
    public func norm(_ part: Norm, layer: Int) -> Int { layer * Norm.allCases.count + part.rawValue }
    /// The norm before the head.
    public var finalNorm: Int { layerCount * Norm.allCases.count }
    /// Norm slots in all.
    public var normCount: Int { finalNorm + 1 }
}

/// An adapter by slots, ready to be uploaded. `DecoderModel`'s side makes it of an adapter and its base.
public struct AdapterParts: Sendable {
    /// A change of a linear layer, with what the model has there.
    public struct Linear: Sendable {
        /// Which layer, as ``AdapterSlots`` numbers them.
        public var slot: Int
        /// What changes.
        public var update: LinearUpdate
        /// (out, in): the model's own weight.
        public var weight: StoredTensor
        /// (out): the model's own bias.
        public var bias: StoredTensor?

        /// A change.
        public init(slot: Int, update: LinearUpdate, weight: StoredTensor, bias: StoredTensor?) {
            self.slot = slot
            self.update = update
            self.weight = weight
            self.bias = bias
        }
    }

    /// Linear slots of the model.
    public var linearSlotCount: Int
    /// Changed linear layers, by ascending slots.
    public var linears: [Linear] = []
    /// Norm weights in place of the model's own, by slot.
    public var norms: [(slot: Int, weight: StoredTensor)] = []
    /// Added to those norm weights.
    public var normOffset: Float = 0
    /// The embeddings' change, and the model's own table (V, E).
    public var embedding: (update: EmbeddingUpdate, table: StoredTensor)?

    /// Nothing changed in a model of so many linear slots.
    public init(linearSlotCount: Int) { self.linearSlotCount = linearSlotCount }
}

/// Makes adapters resident. Usable from any thread, also while a step is computed.
public protocol AdapterUploading: Sendable {
    /// Copies an adapter to the device.
    func upload(_ parts: AdapterParts) throws -> any ResidentAdapter
    /// Bytes that `upload` would take.
    func byteCount(of parts: AdapterParts) -> Int
}
