/// A low-rank change of a linear layer: `scaling * (B (A x) + bias)` is added to its result (LoRA, arXiv:2106.09685).
public struct LowRankUpdate: Sendable {
    /// (R, in).
    public var loraA: StoredTensor
    /// (out, R).
    public var loraB: StoredTensor
    /// alpha / R, or alpha / sqrt(R) (rsLoRA).
    public var scaling: Float
    /// (out): PEFT's `lora_bias`, scaled like the product; usually nil.
    public var bias: StoredTensor?

    /// An update. The shapes must agree with each other.
    public init(loraA: StoredTensor, loraB: StoredTensor, scaling: Float, bias: StoredTensor? = nil) {
        self.loraA = loraA
        self.loraB = loraB
        self.scaling = scaling
        self.bias = bias
    }

    /// R.
    public var rank: Int { loraA.rowCount }
}

/// All that an adapter does to one linear layer. At least one part is there.
///
/// With y = W x + b: `weight` and `bias` stand in for W and b; then
/// `y = m / |W + scaling B A| * (W x + scaling B A x) + b`, the quotient taken row by row, where there is a magnitude m
/// (DoRA, arXiv:2402.09353), and `y = W x + b + scaling B A x` where there is none.
public struct LinearUpdate: Sendable {
    /// The low-rank part.
    public var lowRank: LowRankUpdate?
    /// (out): DoRA's magnitude; only with `lowRank`.
    public var magnitude: StoredTensor?
    /// (out): in place of the layer's bias.
    public var bias: StoredTensor?
    /// (out, in): in place of the layer's weight.
    public var weight: StoredTensor?

    /// An update.
    public init(
        lowRank: LowRankUpdate? = nil, magnitude: StoredTensor? = nil, bias: StoredTensor? = nil,
        weight: StoredTensor? = nil
    ) {
        self.lowRank = lowRank
        self.magnitude = magnitude
        self.bias = bias
        self.weight = weight
    }

    /// The tensors it is made of.
    public var tensors: [StoredTensor] {
        [lowRank?.loraA, lowRank?.loraB, lowRank?.bias, magnitude, bias, weight].compactMap { $0 }
    }
}

/// What an adapter does to the token embeddings: `e = table[id] + scaling * B A[:, id]`.
public struct EmbeddingUpdate: Sendable {
    /// `loraA` is (R, V), `loraB` (E, R).
    public var lowRank: LowRankUpdate?
    /// (V, E): in place of the table.
    public var table: StoredTensor?

    /// An update.
    public init(lowRank: LowRankUpdate? = nil, table: StoredTensor? = nil) {
        self.lowRank = lowRank
        self.table = table
    }

    /// The tensors it is made of.
    public var tensors: [StoredTensor] { [lowRank?.loraA, lowRank?.loraB, lowRank?.bias, table].compactMap { $0 } }
}
