public import ServingTensors

/// What an adapter does to one decoder layer; nil where it does nothing.
public struct DecoderLayerUpdate: Sendable {
    /// (H * D, E).
    public var query: LinearUpdate?
    /// (K * D, E).
    public var key: LinearUpdate?
    /// (K * D, E).
    public var value: LinearUpdate?
    /// (E, H * D).
    public var output: LinearUpdate?
    /// (F, E).
    public var gate: LinearUpdate?
    /// (F, E).
    public var up: LinearUpdate?
    /// (E, F).
    public var down: LinearUpdate?
    /// Norm weights in place of the layer's own, as Hugging Face stores them.
    public var attentionNorm: StoredTensor?
    /// (D).
    public var queryNorm: StoredTensor?
    /// (D).
    public var keyNorm: StoredTensor?
    /// (E).
    public var postAttentionNorm: StoredTensor?
    /// (E).
    public var feedForwardNorm: StoredTensor?
    /// (E).
    public var postFeedForwardNorm: StoredTensor?

    /// No change.
    public init() {}
}

/// An adapter as its files describe it, by role in the model that it changes: shapes fit the model, and rows are in the
/// model's own order. Made by ServingAdapters, uploaded to a backend as
/// `AdapterParts`.
public struct AdapterWeights: Sendable {
    /// The token embeddings.
    public var embedding: EmbeddingUpdate?
    /// L.
    public var layers: [DecoderLayerUpdate]
    /// (E), in place of the model's own.
    public var finalNorm: StoredTensor?
    /// (V, E).
    public var head: LinearUpdate?
    /// Added to replaced norm weights (1 for Gemma, whose checkpoints store them minus one).
    public var normWeightOffset: Float = 0

    /// No change of a model of so many layers.
    public init(layerCount: Int) { layers = Array(repeating: DecoderLayerUpdate(), count: layerCount) }

    /// All changes of linear layers.
    public var linearUpdates: [LinearUpdate] {
        layers.flatMap { [$0.query, $0.key, $0.value, $0.output, $0.gate, $0.up, $0.down].compactMap { $0 } }
            + [head].compactMap { $0 }
    }

    /// The largest rank; 0 where nothing is of low rank.
    public var maxRank: Int {
        max(linearUpdates.compactMap { $0.lowRank?.rank }.max() ?? 0, embedding?.lowRank?.rank ?? 0)
    }
}
