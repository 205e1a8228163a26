public import ServingTensors

/// A linear layer's weight (out, in) with its optional bias (out), as stored.
public struct LinearWeights: Sendable {
    /// (out, in).
    public var weight: StoredTensor
    /// (out).
    public var bias: StoredTensor?

    /// A layer's weights.
    public init(weight: StoredTensor, bias: StoredTensor? = nil) {
        self.weight = weight
        self.bias = bias
    }

    /// Bytes of both.
    var byteCount: Int { weight.bytes.count + (bias?.bytes.count ?? 0) }
}

/// One decoder layer's tensors by role.
public struct DecoderLayerWeights: Sendable {
    /// (E), before attention.
    public var attentionNorm: StoredTensor
    /// (H * D, E).
    public var query: LinearWeights
    /// (K * D, E).
    public var key: LinearWeights
    /// (K * D, E).
    public var value: LinearWeights
    /// (E, H * D).
    public var output: LinearWeights
    /// (D), on each query head.
    public var queryNorm: StoredTensor?
    /// (D), on each key head.
    public var keyNorm: StoredTensor?
    /// (E), on attention's result (sandwich norms).
    public var postAttentionNorm: StoredTensor?
    /// (E), before the feed-forward layer.
    public var feedForwardNorm: StoredTensor
    /// (F, E).
    public var gate: LinearWeights
    /// (F, E).
    public var up: LinearWeights
    /// (E, F).
    public var down: LinearWeights
    /// (E), on the feed-forward layer's result (sandwich norms).
    public var postFeedForwardNorm: StoredTensor?

    /// A layer's tensors; what some families have is nil.
    public init(
        attentionNorm: StoredTensor, query: LinearWeights, key: LinearWeights, value: LinearWeights,
        output: LinearWeights, queryNorm: StoredTensor? = nil, keyNorm: StoredTensor? = nil,
        postAttentionNorm: StoredTensor? = nil, feedForwardNorm: StoredTensor, gate: LinearWeights,
        up: LinearWeights, down: LinearWeights, postFeedForwardNorm: StoredTensor? = nil
    ) {
        self.attentionNorm = attentionNorm
        self.query = query
        self.key = key
        self.value = value
        self.output = output
        self.queryNorm = queryNorm
        self.keyNorm = keyNorm
        self.postAttentionNorm = postAttentionNorm
        self.feedForwardNorm = feedForwardNorm
        self.gate = gate
        self.up = up
        self.down = down
        self.postFeedForwardNorm = postFeedForwardNorm
    }

    /// Bytes of all of them.
    var byteCount: Int {
        let linear = [query, key, value, output, gate, up, down]
        let norms = [attentionNorm, queryNorm, keyNorm, postAttentionNorm, feedForwardNorm, postFeedForwardNorm]
        return linear.reduce(0) { $0 + $1.byteCount } + norms.reduce(0) { $0 + ($1?.bytes.count ?? 0) }
    }
}

/// All tensors of a decoder by role, shapes checked against the config. Nothing is copied.
public struct DecoderWeights: Sendable {
    /// (V, E).
    public var embedding: StoredTensor
    /// L.
    public var layers: [DecoderLayerWeights]
    /// (E).
    public var finalNorm: StoredTensor
    /// (V, E); the embedding table itself where the two are tied.
    public var head: LinearWeights

    /// Tensors of a decoder, of the shapes that its config says.
    public init(
        embedding: StoredTensor, layers: [DecoderLayerWeights], finalNorm: StoredTensor, head: LinearWeights
    ) {
        self.embedding = embedding
        self.layers = layers
        self.finalNorm = finalNorm
        self.head = head
    }

    /// Bytes of all tensors, each counted as often as it is uploaded.
    var byteCount: Int {
        layers.reduce(embedding.bytes.count + finalNorm.bytes.count + head.byteCount) { $0 + $1.byteCount }
    }
}

extension DecoderWeights {
    /// Assigns tensors to roles.
    ///
    /// - Parameters:
    ///   - tensors: the file's tensors; each must be used or known to carry no information.
    ///   - naming: how the file names roles.
    init(
        tensors: [StoredTensor], naming: TensorNaming, config: DecoderConfig
    ) throws(ModelError) {
        var shelf = TensorShelf(tensors: tensors, naming: naming)
        embedding = try shelf.take(naming.embedding, [config.vocabularyCount, config.hiddenSize])
        finalNorm = try shelf.take(naming.finalNorm, [config.hiddenSize])
        layers = []
        layers.reserveCapacity(config.layerCount)
        for layer in 0..<config.layerCount { layers.append(try shelf.layer(layer, config)) }
        let ownHead = try shelf.takeOptional(naming.head, [config.vocabularyCount, config.hiddenSize])
        let headBias = try shelf.takeOptional(naming.bias(naming.head), [config.vocabularyCount])
        switch (config.tiesEmbeddings, ownHead) {
        case (true, _), (nil, nil): head = LinearWeights(weight: embedding, bias: headBias)
        case (_, .some(let ownHead)): head = LinearWeights(weight: ownHead, bias: headBias)
        case (false, nil):
            throw ModelError(
                .invalidWeights,
                "tensor \"\(naming.head)\" is missing, and the config says that the head is not the embedding table")
        }
        try shelf.checkNothingIsLeft()
    }
}

/// How a file format names a decoder's tensors.
struct TensorNaming: Sendable {
    var embedding: String
    var finalNorm: String
    var head: String
    /// Prefix of a layer's tensors; `#` stands for its number.
    var layerPrefix: String
    var attentionNorm: String
    var query: String
    var key: String
    var value: String
    /// Query, key and value rows in one tensor.
    var fusedQueryKeyValue: String
    var output: String
    var queryNorm: String
    var keyNorm: String
    /// Norm on attention's result, where the family has sandwich norms.
    var postAttentionNorm: String?
    var feedForwardNorm: String
    var gate: String
    var up: String
    /// Gate and up rows in one tensor.
    var fusedGateUp: String
    var down: String
    var postFeedForwardNorm: String?
    /// Ends of names that carry nothing we need.
    var ignoredSuffixes: [String]

    func bias(_ weight: String) -> String { String(weight.dropLast("weight".count)) + "bias" }

    /// Names of Hugging Face checkpoints.
    static func huggingFace(prefix: String, hasSandwichNorms: Bool) -> TensorNaming {
        TensorNaming(
            embedding: "\(prefix)embed_tokens.weight", finalNorm: "\(prefix)norm.weight", head: "lm_head.weight",
            layerPrefix: "\(prefix)layers.#.", attentionNorm: "input_layernorm.weight",
            query: "self_attn.q_proj.weight", key: "self_attn.k_proj.weight", value: "self_attn.v_proj.weight",
            fusedQueryKeyValue: "self_attn.qkv_proj.weight", output: "self_attn.o_proj.weight",
            queryNorm: "self_attn.q_norm.weight", keyNorm: "self_attn.k_norm.weight",
            postAttentionNorm: hasSandwichNorms ? "post_attention_layernorm.weight" : nil,
            feedForwardNorm: hasSandwichNorms ? "pre_feedforward_layernorm.weight" : "post_attention_layernorm.weight",
            gate: "mlp.gate_proj.weight", up: "mlp.up_proj.weight", fusedGateUp: "mlp.gate_up_proj.weight",
            down: "mlp.down_proj.weight",
            postFeedForwardNorm: hasSandwichNorms ? "post_feedforward_layernorm.weight" : nil,
            ignoredSuffixes: ["rotary_emb.inv_freq", "self_attn.bias", "self_attn.masked_bias"])
    }

    /// Names of GGUF files.
    static func gguf(hasFusedGateUp: Bool) -> TensorNaming {
        TensorNaming(
            embedding: "token_embd.weight", finalNorm: "output_norm.weight", head: "output.weight",
            layerPrefix: "blk.#.", attentionNorm: "attn_norm.weight", query: "attn_q.weight", key: "attn_k.weight",
            value: "attn_v.weight", fusedQueryKeyValue: "attn_qkv.weight", output: "attn_output.weight",
            queryNorm: "attn_q_norm.weight", keyNorm: "attn_k_norm.weight",
            postAttentionNorm: "post_attention_norm.weight", feedForwardNorm: "ffn_norm.weight",
            gate: "ffn_gate.weight", up: hasFusedGateUp ? "" : "ffn_up.weight",
            fusedGateUp: hasFusedGateUp ? "ffn_up.weight" : "", down: "ffn_down.weight",
            postFeedForwardNorm: "post_ffw_norm.weight",
            ignoredSuffixes: ["rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"])
    }
}

/// The file's tensors, each to be taken once.
private struct TensorShelf {
    private var tensors: [String: StoredTensor] = [:]
    private let naming: TensorNaming

    init(tensors: [StoredTensor], naming: TensorNaming) {
        self.naming = naming
        for tensor in tensors where !naming.ignoredSuffixes.contains(where: { tensor.name.hasSuffix($0) }) {
            self.tensors[tensor.name] = tensor
        }
    }

    mutating func takeOptional(_ name: String, _ shape: [Int]) throws(ModelError) -> StoredTensor? {
        guard let tensor = tensors.removeValue(forKey: name) else { return nil }
        guard tensor.shape == shape else {
            throw ModelError(
                .invalidWeights, "tensor \"\(name)\" has shape \(tensor.shape), the config implies \(shape)")
        }
        return tensor
    }

    mutating func take(_ name: String, _ shape: [Int]) throws(ModelError) -> StoredTensor {
        guard let tensor = try takeOptional(name, shape) else {
            throw ModelError(.invalidWeights, "tensor \"\(name)\" is missing")
        }
        return tensor
    }

    private mutating func linear(_ name: String, _ shape: [Int]) throws(ModelError) -> LinearWeights {
        LinearWeights(weight: try take(name, shape), bias: try takeOptional(naming.bias(name), [shape[0]]))
    }

    mutating func layer(_ number: Int, _ config: DecoderConfig) throws(ModelError) -> DecoderLayerWeights {
        let prefix = naming.layerPrefix.split(separator: "#").joined(separator: String(number))
        let hidden = config.hiddenSize
        let queryRows = config.headCount * config.headDimension
        let keyRows = config.keyValueHeadCount * config.headDimension
        let attention = try split(
            prefix + naming.fusedQueryKeyValue, into: [naming.query, naming.key, naming.value].map { prefix + $0 },
            rows: [queryRows, keyRows, keyRows], columns: hidden)
        let feedForward = try split(
            prefix + naming.fusedGateUp, into: [naming.gate, naming.up].map { prefix + $0 },
            rows: [config.feedForwardSize, config.feedForwardSize], columns: hidden)
        func optional(_ name: String?, _ shape: [Int]) throws(ModelError) -> StoredTensor? {
            guard let name else { return nil }
            return try takeOptional(prefix + name, shape)
        }
        return DecoderLayerWeights(
            attentionNorm: try take(prefix + naming.attentionNorm, [hidden]),
            query: attention[0], key: attention[1], value: attention[2],
            output: try linear(prefix + naming.output, [hidden, queryRows]),
            queryNorm: try optional(naming.queryNorm, [config.headDimension]),
            keyNorm: try optional(naming.keyNorm, [config.headDimension]),
            postAttentionNorm: try optional(naming.postAttentionNorm, [hidden]),
            feedForwardNorm: try take(prefix + naming.feedForwardNorm, [hidden]),
            gate: feedForward[0], up: feedForward[1],
            down: try linear(prefix + naming.down, [hidden, config.feedForwardSize]),
            postFeedForwardNorm: try optional(naming.postFeedForwardNorm, [hidden]))
    }

    /// Either the separate tensors or the row ranges of the fused one.
    private mutating func split(
        _ fusedName: String, into names: [String], rows: [Int], columns: Int
    ) throws(ModelError) -> [LinearWeights] {
        guard let fused = try takeOptional(fusedName, [rows.reduce(0, +), columns]) else {
            return try zip(names, rows).map { name, rows throws(ModelError) in try linear(name, [rows, columns]) }
        }
        let bias = try takeOptional(naming.bias(fusedName), [rows.reduce(0, +)])
        var first = 0
        return rows.map { count in
            defer { first += count }
            return LinearWeights(
                weight: fused.rows(first..<first + count), bias: bias.map { $0.elements(first..<first + count) })
        }
    }

    func checkNothingIsLeft() throws(ModelError) {
        guard let name = tensors.keys.min() else { return }
        throw ModelError(
            .invalidWeights,
            "tensor \"\(name)\"\(tensors.count > 1 ? " and \(tensors.count - 1) more" : "") would not be used: "
                + "the model has parts that this architecture does not describe")
    }
}

extension StoredTensor {
    /// A range of a vector's elements. Only for types without blocks, as biases are.
    fileprivate func elements(_ range: Range<Int>) -> StoredTensor {
        let size = type.blockByteCount
        return StoredTensor(
            name: name, type: type, shape: [range.count],
            bytes: UnsafeRawBufferPointer(rebasing: bytes[range.lowerBound * size..<range.upperBound * size]),
            owner: owner)
    }
}
