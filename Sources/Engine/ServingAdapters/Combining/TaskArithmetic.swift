/// Merging tensors of one shape element by element, in float32: TIES (arXiv:2306.01708), DARE (arXiv:2311.03099) and
/// weighted sums, as PEFT's `merge_utils` computes them.
struct TaskArithmetic {
    let strategy: AdapterMergeStrategy
    /// Share of elements that pruning keeps.
    let density: Double
    let majority: MajoritySignMethod
    /// Whether random pruning divides what is left by the density, which keeps the expectation.
    let rescales: Bool

    /// Merges tensors, each with its weight; `seeds` are for random pruning.
    func combine(_ tensors: [[Float]], weights: [Float], seeds: [UInt64]) -> [Float] {
        switch strategy {
        case .linear, .cat, .svd: return weightedSum(tensors, weights)
        case .magnitudePrune: return weightedSum(tensors.map(largest), weights)
        case .dareLinear: return weightedSum(zip(tensors, seeds).map { random($0, seed: $1) }, weights)
        case .ties: return disjointSum(tensors.map(largest), weights)
        case .dareTies: return disjointSum(zip(tensors, seeds).map { random($0, seed: $1) }, weights)
        }
    }

    private func weightedSum(_ tensors: [[Float]], _ weights: [Float]) -> [Float] {
        var sum = [Float](repeating: 0, count: tensors[0].count)
        for (tensor, weight) in zip(tensors, weights) {
            for index in sum.indices { sum[index] += tensor[index] * weight }
        }
        return sum
    }

    /// The mean of what agrees with the majority's sign.
    private func disjointSum(_ tensors: [[Float]], _ weights: [Float]) -> [Float] {
        tensors[0].indices.map { index in
            var election: Float = 0
            for tensor in tensors {
                election += majority == .total ? tensor[index] : Self.sign(tensor[index])
            }
            let elected: Float = election >= 0 ? 1 : -1
            var (sum, count): (Float, Float) = (0, 0)
            for (tensor, weight) in zip(tensors, weights) where Self.sign(tensor[index]) == elected {
                sum += tensor[index] * weight
                count += 1
            }
            return sum / max(count, 1)
        }
    }

    private static func sign(_ value: Float) -> Float { value > 0 ? 1 : value < 0 ? -1 : 0 }

    /// Keeps the elements of largest magnitude, as many as the density says, rounded down; of equal ones the first.
    private func largest(_ tensor: [Float]) -> [Float] {
        guard density < 1 else { return tensor }
        let count = Int(density * Double(tensor.count))
        guard count > 0 else { return [Float](repeating: 0, count: tensor.count) }
        let threshold = tensor.map(abs).sorted(by: >)[count - 1]
        var equalsLeft = count - tensor.count { abs($0) > threshold }
        return tensor.map { value in
            if abs(value) > threshold { return value }
            guard abs(value) == threshold, equalsLeft > 0 else { return 0 }
            equalsLeft -= 1
            return value
        }
    }

    /// Keeps each element with a probability of the density.
    private func random(_ tensor: [Float], seed: UInt64) -> [Float] {
        guard density < 1 else { return tensor }
        var generator = SplitMix64(seed: seed)
        let divisor = rescales ? Float(density) : 1
        return tensor.map { value in
            // 53 bits: a uniform double in [0, 1).
            Double(generator.next() >> 11) * 0x1p-53 < density ? value / divisor : 0
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, the same everywhere.
struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}
