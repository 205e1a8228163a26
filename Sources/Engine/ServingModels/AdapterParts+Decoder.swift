public import ServingTensors

extension AdapterParts {
    /// An adapter's changes laid over the weights of the model that it changes.
    public init(_ adapter: AdapterWeights, of base: DecoderWeights) {
        let slots = AdapterSlots(layerCount: base.layers.count)
        self.init(linearSlotCount: slots.linearCount)
        normOffset = adapter.normWeightOffset
        for (index, (update, layer)) in zip(adapter.layers, base.layers).enumerated() {
            let linears: [(AdapterSlots.Linear, LinearUpdate?, LinearWeights)] = [
                (.query, update.query, layer.query), (.key, update.key, layer.key),
                (.value, update.value, layer.value), (.output, update.output, layer.output),
                (.gate, update.gate, layer.gate), (.up, update.up, layer.up), (.down, update.down, layer.down),
            ]
            for (part, update, weights) in linears {
                append(update, weights, slot: slots.linear(part, layer: index))
            }
            let norms: [(AdapterSlots.Norm, StoredTensor?)] = [
                (.attention, update.attentionNorm), (.query, update.queryNorm), (.key, update.keyNorm),
                (.postAttention, update.postAttentionNorm), (.feedForward, update.feedForwardNorm),
                (.postFeedForward, update.postFeedForwardNorm),
            ]
            for case (let part, let weight?) in norms {
                self.norms.append((slots.norm(part, layer: index), weight))
            }
        }
        append(adapter.head, base.head, slot: slots.head)
        if let norm = adapter.finalNorm { norms.append((slots.finalNorm, norm)) }
        embedding = adapter.embedding.map { ($0, base.embedding) }
    }

    private mutating func append(_ update: LinearUpdate?, _ base: LinearWeights, slot: Int) {
        guard let update else { return }
        linears.append(Linear(slot: slot, update: update, weight: base.weight, bias: base.bias))
    }
}
