import ServingModels
import ServingTensors

/// Walks the modules of several adapters and merges each.
struct ModuleCombiner {
    private let adapters: [AdapterWeights]
    private let merge: AdapterMerge
    private let loraxCompatible: Bool
    private let strategy: AdapterMergeStrategy
    private let seed: UInt64
    private let rankLimit: Int

    init(_ adapters: [AdapterWeights], _ merge: AdapterMerge, loraxCompatible: Bool, seed: UInt64, rankLimit: Int) {
        self.rankLimit = rankLimit
        self.adapters = adapters
        self.merge = merge
        self.loraxCompatible = loraxCompatible
        self.seed = seed
        // As in PEFT: one adapter alone is only weighted, unless a rank is asked for.
        let isOnlyWeighted = adapters.count == 1 && !loraxCompatible && merge.svdRank == nil
        strategy = isOnlyWeighted ? .linear : merge.strategy
    }

    private typealias Place = WritableKeyPath<DecoderLayerUpdate, LinearUpdate?>

    /// One module's update in one adapter.
    struct Operand {
        let position: Int
        let update: LowRankUpdate
    }

    func checkRanks() throws(AdapterError) {
        let ranks = adapters.map(\.maxRank)
        guard strategy != .cat, strategy != .svd, Set(ranks).count > 1 else { return }
        throw differing(ranks)
    }

    private func differing(_ ranks: [Int]) -> AdapterError {
        let list = zip(merge.ids, ranks).map { "\(AdapterConfigReader.shown($0)) has \($1)" }.joined(separator: ", ")
        return AdapterError(
            .invalidRequest,
            "merged adapters: strategy \"\(strategy.rawValue)\" needs equal ranks: \(list)"
                + (loraxCompatible ? "" : " (use cat or svd)"))
    }

    func combined() throws(AdapterError) -> AdapterWeights {
        var result = AdapterWeights(layerCount: adapters[0].layers.count)
        let groups: [[Place]] = [[\.query, \.key, \.value], [\.output], [\.gate, \.up], [\.down]]
        for layer in result.layers.indices {
            for (index, group) in groups.enumerated() {
                try combine(group, layer, ordinal: layer * groups.count + index, into: &result.layers[layer])
            }
        }
        let last = result.layers.count * groups.count
        if let update = try combine(operands { $0.head?.lowRank }, ordinal: last) {
            result.head = LinearUpdate(lowRank: update)
        }
        if let update = try combine(operands { $0.embedding?.lowRank }, ordinal: last + 1) {
            result.embedding = EmbeddingUpdate(lowRank: update)
        }
        return result
    }

    private func operands(_ update: (AdapterWeights) -> LowRankUpdate?) -> [Operand] {
        adapters.enumerated().compactMap { position, adapter in
            update(adapter).map { Operand(position: position, update: $0) }
        }
    }

    /// Merges modules that read the same input. Where all adapters have them as parts of one fused module, they are
    /// merged as that one: pruning and truncating look at a module as a whole.
    private func combine(
        _ group: [Place], _ layer: Int, ordinal: Int, into target: inout DecoderLayerUpdate
    ) throws(AdapterError) {
        let parts = group.map { place in operands { $0.layers[layer][keyPath: place]?.lowRank } }
        let isFused =
            group.count > 1 && parts.allSatisfy { $0.map(\.position) == parts[0].map(\.position) }
            && parts[0].indices.allSatisfy { index in
                parts.allSatisfy { $0[index].update.isFused(with: parts[0][index].update) }
            }
        guard isFused, !parts[0].isEmpty else {
            for (index, place) in group.enumerated() {
                let update = try combine(parts[index], ordinal: ordinal * 4 + index)
                target[keyPath: place] = update.map { LinearUpdate(lowRank: $0) }
            }
            return
        }
        let joined = parts[0].indices.map { index in
            Operand(
                position: parts[0][index].position,
                update: LowRankUpdate(
                    loraA: parts[0][index].update.loraA,
                    loraB: .joiningRows(parts.map { $0[index].update.loraB }), scaling: parts[0][index].update.scaling))
        }
        guard let whole = try combine(joined, ordinal: ordinal * 4) else { return }
        var first = 0
        for (index, place) in group.enumerated() {
            let rows = first..<first + parts[index][0].update.loraB.shape[0]
            first = rows.upperBound
            target[keyPath: place] = LinearUpdate(lowRank: whole).mapRows { $0.outer(rows) }
        }
    }

    private func combine(_ operands: [Operand], ordinal: Int) throws(AdapterError) -> LowRankUpdate? {
        guard let first = operands.first else { return nil }
        let update = try combined(operands, first.update, ordinal: ordinal)
        guard update.isComputable else {
            throw AdapterError(
                .invalidRequest,
                "merged adapters: with weights \(merge.weights.map { "\($0)" }.joined(separator: ", ")) the result "
                    + "is too large to compute with (use smaller weights)")
        }
        return update
    }

    private func combined(
        _ operands: [Operand], _ first: LowRankUpdate, ordinal: Int
    ) throws(AdapterError) -> LowRankUpdate {
        switch strategy {
        case .cat: return try concatenate(operands)
        case .svd:
            return LowRankUpdate.truncating(
                operands.map { (update: $0.update, factor: merge.weights[$0.position] * Double($0.update.scaling)) },
                rank: merge.svdRank ?? adapters.map(\.maxRank).max() ?? 1)
        default: break
        }
        guard Set(operands.map(\.update.rank)).count == 1 else { throw differing(operands.map(\.update.rank)) }
        let arithmetic = TaskArithmetic(
            strategy: strategy, density: merge.density, majority: merge.majoritySignMethod,
            rescales: !loraxCompatible)
        var weights: [(a: Float, b: Float)] = []
        for operand in operands {
            let weight = merge.weights[operand.position]
            if loraxCompatible {
                weights.append((Float(weight), Float(weight)))
            } else {
                // The square root on either side; the sign on one, or two would cancel.
                let product = weight * Double(operand.update.scaling)
                let root = Float(abs(product).squareRoot())
                weights.append((product < 0 ? -root : root, root))
            }
        }
        let seeds = operands.map { seed &+ UInt64(ordinal) << 32 &+ UInt64($0.position) << 1 }
        let loraA = arithmetic.combine(
            operands.map { $0.update.loraA.decoded() }, weights: weights.map(\.a), seeds: seeds)
        let loraB = arithmetic.combine(
            operands.map { $0.update.loraB.decoded() }, weights: weights.map(\.b), seeds: seeds.map { $0 | 1 })
        return LowRankUpdate(
            loraA: StoredTensor(name: "merged.lora_A", shape: first.loraA.shape, values: loraA),
            loraB: StoredTensor(name: "merged.lora_B", shape: first.loraB.shape, values: loraB),
            scaling: loraxCompatible ? firstScaling(operands) : 1)
    }

    /// LoRAX knows one scaling, that of the first adapter's config.
    private func firstScaling(_ operands: [Operand]) -> Float {
        if let own = operands.first(where: { $0.position == 0 }) { return own.update.scaling }
        let first = adapters[0]
        return (first.linearUpdates.compactMap(\.lowRank).first ?? first.embedding?.lowRank)?.scaling ?? 1
    }

    private func concatenate(_ operands: [Operand]) throws(AdapterError) -> LowRankUpdate {
        let rank = operands.reduce(0) { $0 + $1.update.rank }
        guard rank <= rankLimit else {
            throw AdapterError(
                .invalidRequest,
                "merged adapters: strategy \"cat\" gives rank \(rank), at most \(rankLimit) is served "
                    + "(use svd)")
        }
        let (rows, columns) = (operands[0].update.loraB.shape[0], operands[0].update.loraA.shape[1])
        var loraA: [Float] = []
        loraA.reserveCapacity(rank * columns)
        var loraB = [Float](repeating: 0, count: rows * rank)
        var first = 0
        for operand in operands {
            let factor = Float(merge.weights[operand.position] * Double(operand.update.scaling))
            loraA += operand.update.loraA.decoded().map { $0 * factor }
            let own = operand.update.rank
            let values = operand.update.loraB.decoded()
            for row in 0..<rows {
                for column in 0..<own { loraB[row * rank + first + column] = values[row * own + column] }
            }
            first += own
        }
        return LowRankUpdate(
            loraA: StoredTensor(name: "merged.lora_A", shape: [rank, columns], values: loraA),
            loraB: StoredTensor(name: "merged.lora_B", shape: [rows, rank], values: loraB), scaling: 1)
    }
}

extension LowRankUpdate {
    /// Largest product of the norms of A and B. A layer's norm squares activations in float32, which end at 3e38; what
    /// was trained stays below a thousand.
    private static let normLimit = 1e16

    /// Whether the update is finite, and small enough for what it is added to.
    fileprivate var isComputable: Bool {
        func norm(_ tensor: StoredTensor) -> Double {
            tensor.decoded().reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
        }
        // Not a number compares as false.
        return norm(loraA) * norm(loraB) * Double(abs(scaling)) < Self.normLimit
    }

    /// Whether two updates are rows of one: they share A in memory.
    fileprivate func isFused(with other: LowRankUpdate) -> Bool {
        loraA.bytes.baseAddress == other.loraA.bytes.baseAddress && loraA.bytes.baseAddress != nil
            && loraA.bytes.count == other.loraA.bytes.count
    }
}

extension StoredTensor {
    /// Matrices of equal width one below the other, as float32.
    fileprivate static func joiningRows(_ parts: [StoredTensor]) -> StoredTensor {
        StoredTensor(
            name: parts[0].name, shape: [parts.reduce(0) { $0 + $1.shape[0] }, parts[0].columnCount],
            values: parts.flatMap { $0.decoded() })
    }
}
