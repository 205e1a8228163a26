public import ServingModels
public import ServingTensors

/// Decoders with random weights, in the shapes of models that people run: their speed is that of the real ones.
public struct RandomModel: Sendable {
    /// A shape by name.
    public enum Shape: String, Sendable, CaseIterable {
        /// Llama 3.1 8B.
        case eightB = "8b"
        /// Llama 3.2 1B.
        case oneB = "1b"
        /// A few thousand weights, for tests.
        case tiny
    }

    /// What it is.
    public let description: ModelDescription
    private let pool: WeightPool

    /// A model whose tensors share one region of random bfloat16 numbers: 16 GB of weights need not be made.
    ///
    /// - Parameter contextLength: Longest sequence in tokens.
    public init(_ shape: Shape, contextLength: Int) {
        let (hidden, forward, heads, keyHeads, dimension, layers, vocabulary) =
            switch shape {
            case .eightB: (4096, 14336, 32, 8, 128, 32, 128_256)
            case .oneB: (2048, 8192, 32, 8, 64, 16, 128_256)
            case .tiny: (64, 160, 4, 2, 16, 2, 320)
            }
        let largest = max(vocabulary, forward) * hidden
        let pool = WeightPool(elementCount: largest, seed: 1)
        self.pool = pool
        let frequencies = (0..<dimension / 2).map { 1 / Self.power(500_000, Float(2 * $0) / Float(dimension)) }
        let config = DecoderConfig(
            architecture: "llama", vocabularyCount: vocabulary, hiddenSize: hidden, feedForwardSize: forward,
            headCount: heads, keyValueHeadCount: keyHeads, headDimension: dimension, contextLength: contextLength,
            normEpsilon: 1e-5, activation: .silu, softmaxScale: 1 / Float(dimension).squareRoot(),
            rotaries: [
                RotaryEmbedding(headDimension: dimension, inverseFrequencies: frequencies, pairing: .halves)
            ], layers: [DecoderConfig.Layer](repeating: .init(), count: layers))
        let norm = StoredTensor(name: "norm", shape: [hidden], values: [Float](repeating: 1, count: hidden))
        func linear(_ name: String, _ outputs: Int, _ inputs: Int) -> LinearWeights {
            LinearWeights(weight: pool.tensor(name, [outputs, inputs]))
        }
        let layer = DecoderLayerWeights(
            attentionNorm: norm, query: linear("query", heads * dimension, hidden),
            key: linear("key", keyHeads * dimension, hidden), value: linear("value", keyHeads * dimension, hidden),
            output: linear("output", hidden, heads * dimension), feedForwardNorm: norm,
            gate: linear("gate", forward, hidden), up: linear("up", forward, hidden),
            down: linear("down", hidden, forward))
        description = ModelDescription(
            config: config,
            weights: DecoderWeights(
                embedding: pool.tensor("embedding", [vocabulary, hidden]),
                layers: [DecoderLayerWeights](repeating: layer, count: layers), finalNorm: norm,
                head: linear("head", vocabulary, hidden)))
    }

    /// An adapter of a rank on all seven linear parts of every layer.
    public func adapter(rank: Int) -> AdapterParts {
        let config = description.config
        let slots = AdapterSlots(layerCount: config.layerCount)
        var parts = AdapterParts(linearSlotCount: slots.linearCount)
        for (index, layer) in description.weights.layers.enumerated() {
            let weights: [(AdapterSlots.Linear, LinearWeights)] = [
                (.query, layer.query), (.key, layer.key), (.value, layer.value), (.output, layer.output),
                (.gate, layer.gate), (.up, layer.up), (.down, layer.down),
            ]
            for (part, linear) in weights {
                let (outputs, inputs) = (linear.weight.rowCount, linear.weight.columnCount)
                let update = LowRankUpdate(
                    loraA: pool.tensor("lora_A", [rank, inputs]), loraB: pool.tensor("lora_B", [outputs, rank]),
                    scaling: 0.5)
                parts.linears.append(
                    .init(
                        slot: slots.linear(part, layer: index), update: LinearUpdate(lowRank: update),
                        weight: linear.weight, bias: nil))
            }
        }
        return parts
    }

    private static func power(_ base: Float, _ exponent: Float) -> Float {
        // base^exponent for exponents in [0, 1), by halving: no library beside the standard one is needed.
        var (result, root, rest) = (Float(1), base, exponent)
        for _ in 0..<24 {
            root = root.squareRoot()
            rest *= 2
            if rest >= 1 {
                result *= root
                rest -= 1
            }
        }
        return result
    }
}

/// Random bfloat16 numbers in (-0.04, 0.04) that tensors of any shape begin at the start of.
private final class WeightPool: Sendable {
    private let storage: TensorStorage

    init(elementCount: Int, seed: UInt64) {
        var random = RandomNumbers(seed: seed)
        storage = TensorStorage(byteCount: elementCount * 2) { bytes in
            let words = bytes.bindMemory(to: UInt16.self)
            // Sign, an exponent of 2^-5 to 2^-8, and a fraction.
            var index = 0
            while index < words.count {
                var word = random.next()
                for _ in 0..<min(4, words.count - index) {
                    let bits = UInt16(truncatingIfNeeded: word)
                    words[index] = bits & 0x807f | UInt16(119 + (bits >> 7 & 3)) << 7
                    word >>= 16
                    index += 1
                }
            }
        }
    }

    func tensor(_ name: String, _ shape: [Int]) -> StoredTensor {
        let bytes = UnsafeRawBufferPointer(rebasing: storage.bytes[..<(shape.reduce(1, *) * 2)])
        return StoredTensor(name: name, type: .bf16, shape: shape, bytes: bytes, owner: storage)
    }
}
