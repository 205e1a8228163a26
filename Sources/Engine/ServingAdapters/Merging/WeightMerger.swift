public import ServingModels
public import ServingTensors

/// Merges an adapter into a model's weights: W + scaling B A, DoRA's rows scaled to their magnitudes, biases added,
/// weights and norms replaced. What the adapter does not touch stays in its file.
public enum WeightMerger {
    /// The model with the adapter in it. Where embedding and head are one tensor and only one of them changes, they are
    /// two in the result.
    ///
    /// - Parameters:
    ///   - adapter: made for these weights.
    ///   - config: the model.
    ///   - type: encoding of changed weights (F32, F16, BF16, Q8_0, Q4_0, Q4_1); nil keeps float types and takes Q8_0
    ///     for changed weights of quantised models. F16 where rows are not whole
    ///     blocks, Q8_0 for embedding and head instead of four bits.
    /// - Throws: `invalidAdapter` where a merged value does not fit the type, `invalidRequest` for a type without
    ///   encoder.
    public static func merged(
        _ weights: DecoderWeights, with adapter: AdapterWeights, config: DecoderConfig, type: TensorType? = nil
    ) throws(AdapterError) -> DecoderWeights {
        if let type { try checkEncodable(type) }
        func weight(
            _ base: StoredTensor, _ update: LinearUpdate?, isTable: Bool = false
        ) throws(AdapterError) -> StoredTensor {
            let matrix = MergedMatrix(base: base, update: update)
            guard matrix.isChanged else { return base }
            let wanted = type ?? MergedMatrix.changedType(of: base.type)
            let fitting = MergedMatrix.fitting(wanted, columns: base.columnCount, isTable: isTable)
            return try matrix.stored(fitting, name: base.name)
        }
        func linear(
            _ base: LinearWeights, _ update: LinearUpdate?, isTable: Bool = false
        ) throws(AdapterError) -> LinearWeights {
            LinearWeights(
                weight: try weight(base.weight, update, isTable: isTable),
                bias: update.map { bias(base, $0) } ?? base.bias)
        }
        let offset = adapter.normWeightOffset - config.normWeightOffset
        func norm(_ base: StoredTensor, _ update: StoredTensor?) -> StoredTensor {
            update.map { shifted($0, by: offset, name: base.name) } ?? base
        }
        var result = weights
        for (index, update) in adapter.layers.enumerated() {
            var layer = weights.layers[index]
            layer.query = try linear(layer.query, update.query)
            layer.key = try linear(layer.key, update.key)
            layer.value = try linear(layer.value, update.value)
            layer.output = try linear(layer.output, update.output)
            layer.gate = try linear(layer.gate, update.gate)
            layer.up = try linear(layer.up, update.up)
            layer.down = try linear(layer.down, update.down)
            layer.attentionNorm = norm(layer.attentionNorm, update.attentionNorm)
            layer.queryNorm = layer.queryNorm.map { norm($0, update.queryNorm) }
            layer.keyNorm = layer.keyNorm.map { norm($0, update.keyNorm) }
            layer.postAttentionNorm = layer.postAttentionNorm.map { norm($0, update.postAttentionNorm) }
            layer.feedForwardNorm = norm(layer.feedForwardNorm, update.feedForwardNorm)
            layer.postFeedForwardNorm = layer.postFeedForwardNorm.map { norm($0, update.postFeedForwardNorm) }
            result.layers[index] = layer
        }
        result.embedding = try weight(weights.embedding, LinearUpdate(adapter.embedding), isTable: true)
        result.finalNorm = norm(weights.finalNorm, adapter.finalNorm)
        result.head = try linear(weights.head, adapter.head, isTable: true)
        return result
    }

    /// Encodings that merged weights can have.
    public static let types: [TensorType] = [.f32, .f16, .bf16, .q8_0, .q4_0, .q4_1]

    static func checkEncodable(_ type: TensorType) throws(AdapterError) {
        guard !types.contains(type) else { return }
        throw AdapterError(
            .invalidRequest,
            "merged weights can't be written as \(type.name) (\(types.map(\.name).joined(separator: ", ")) can)")
    }

    /// The layer's bias, or the one in its place, plus the update's own.
    static func bias(_ base: LinearWeights, _ update: LinearUpdate) -> StoredTensor? {
        let bias = update.bias ?? base.bias
        guard let lowRank = update.lowRank, let added = lowRank.bias?.decoded() else { return bias }
        let values = bias?.decoded() ?? [Float](repeating: 0, count: added.count)
        return StoredTensor(
            name: bias?.name ?? "bias", shape: [added.count],
            values: zip(values, added).map { $0 + lowRank.scaling * $1 })
    }

    static func shifted(_ tensor: StoredTensor, by offset: Float, name: String) -> StoredTensor {
        StoredTensor(name: name, shape: tensor.shape, values: tensor.decoded().map { $0 + offset })
    }
}
