import ServingModels
import ServingTensors

/// What becomes of each tensor of a model's files when an adapter is merged in, by the names in the files. The same for
/// GGUF and for Hugging Face folders: a tensor is made of the row ranges that roles have in it.
struct MergePlan {
    /// Weights, each of the parts that it consists of, in order: several for a fused tensor.
    private(set) var matrices: [String: [MergedMatrix]] = [:]
    /// Vectors in place of the file's, or added to it: biases, norms. Float32.
    private(set) var vectors: [String: StoredTensor] = [:]
    /// Vectors that the base does not have.
    private(set) var addedVectors: [String] = []
    /// The head, where it was one tensor with the embedding and is not any more.
    private(set) var ownHead: MergedMatrix?

    init(weights: DecoderWeights, adapter: AdapterWeights, config: DecoderConfig) throws(AdapterError) {
        let offset = adapter.normWeightOffset - config.normWeightOffset
        for (layer, update) in zip(weights.layers, adapter.layers) {
            try add([(layer.query, update.query), (layer.key, update.key), (layer.value, update.value)])
            try add([(layer.output, update.output)])
            try add([(layer.gate, update.gate), (layer.up, update.up)])
            try add([(layer.down, update.down)])
            add(layer.attentionNorm, update.attentionNorm, offset)
            add(layer.queryNorm, update.queryNorm, offset)
            add(layer.keyNorm, update.keyNorm, offset)
            add(layer.postAttentionNorm, update.postAttentionNorm, offset)
            add(layer.feedForwardNorm, update.feedForwardNorm, offset)
            add(layer.postFeedForwardNorm, update.postFeedForwardNorm, offset)
        }
        add(weights.finalNorm, adapter.finalNorm, offset)
        let embedding = MergedMatrix(base: weights.embedding, update: LinearUpdate(adapter.embedding))
        matrices[weights.embedding.name] = [embedding]
        guard weights.head.weight.bytes.baseAddress == weights.embedding.bytes.baseAddress else {
            try add([(weights.head, adapter.head)])
            return
        }
        guard adapter.head?.bias == nil, adapter.head?.lowRank?.bias == nil else {
            throw AdapterError(.unsupported, "a bias on a head that is the embedding table can't be written")
        }
        let head = MergedMatrix(base: weights.head.weight, update: adapter.head)
        if head.isChanged || embedding.isChanged { ownHead = head }
    }

    /// Weights that may be parts of one tensor.
    private mutating func add(_ parts: [(base: LinearWeights, update: LinearUpdate?)]) throws(AdapterError) {
        for (base, update) in parts {
            matrices[base.weight.name, default: []].append(MergedMatrix(base: base.weight, update: update))
        }
        let isFused = parts.count > 1 && Set(parts.map(\.base.weight.name)).count == 1
        guard parts.contains(where: { $0.update?.bias != nil || $0.update?.lowRank?.bias != nil }) else { return }
        let biases = parts.map { base, update in
            (name: Self.biasName(base), values: update.map { WeightMerger.bias(base, $0) } ?? base.bias, base: base)
        }
        if isFused {
            let values = biases.flatMap { bias in
                bias.values?.decoded() ?? [Float](repeating: 0, count: bias.base.weight.shape[0])
            }
            addBias(biases[0].name, values, isNew: parts[0].base.bias == nil)
        } else {
            for (part, bias) in zip(parts, biases) {
                guard let values = bias.values, part.update != nil else { continue }
                addBias(bias.name, values.decoded(), isNew: part.base.bias == nil)
            }
        }
    }

    private mutating func addBias(_ name: String, _ values: [Float], isNew: Bool) {
        vectors[name] = StoredTensor(name: name, shape: [values.count], values: values)
        if isNew { addedVectors.append(name) }
    }

    private static func biasName(_ base: LinearWeights) -> String {
        base.bias?.name ?? String(base.weight.name.dropLast("weight".count)) + "bias"
    }

    private mutating func add(_ base: StoredTensor?, _ update: StoredTensor?, _ offset: Float) {
        guard let base, let update else { return }
        vectors[base.name] = WeightMerger.shifted(update, by: offset, name: base.name)
    }
}
