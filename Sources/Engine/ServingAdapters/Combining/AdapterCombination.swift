public import ServingModels
import ServingTensors

/// Several adapters merged into one.
///
/// By default the arithmetic is that of PEFT 0.21's `add_weighted_adapter` in float32: `linear`, `ties`, `dare_linear`,
/// `dare_ties` and `magnitude_prune` work on A and B apart, each with the square root of weight times scaling; `cat`
/// stacks the factors, which adds the products exactly; `svd` truncates the sum of the products to the rank asked for,
/// or to the largest one.
/// Modules that only some adapters change are merged from those. The result's scaling is 1; PEFT's own results for
/// rsLoRA and `alpha_pattern` keep the first adapter's scaling on top of that, which is not repeated here.
///
/// `dare_linear` and `dare_ties` drop elements at random: a generator seeded by the caller's seed, the module and the
/// adapter's position decides, so a seed gives the same result everywhere (PEFT's own depends on PyTorch's generator).
public enum AdapterCombination {
    /// Merges adapters of one model.
    ///
    /// - Parameters:
    ///   - adapters: one an id of `merge`, in order.
    ///   - loraxCompatible: LoRAX's arithmetic (server/lorax_server/utils/merges): weights apply to A and to B as they
    ///     are, so products get cross terms and squared weights; the scaling is the first adapter's; pruned values are
    ///     not rescaled; a density of 0 drops everything.
    ///   - seed: for the random strategies.
    ///   - rankLimit: largest rank of the result.
    /// - Throws: `invalidRequest` for a request that can't be, ranks that differ included; `unsupported` for adapters
    ///   with DoRA, biases or modules trained in full.
    public static func combine(
        _ adapters: [AdapterWeights], _ merge: AdapterMerge, loraxCompatible: Bool = false, seed: UInt64 = 0,
        rankLimit: Int = .max
    ) throws(AdapterError) -> AdapterWeights {
        try merge.validate(loraxCompatible: loraxCompatible)
        guard adapters.count == merge.ids.count, let first = adapters.first,
            adapters.allSatisfy({ $0.layers.count == first.layers.count })
        else {
            throw AdapterError(
                .invalidRequest, "\(adapters.count) adapters of one model were expected for \(merge.ids.count) ids")
        }
        for (adapter, id) in zip(adapters, merge.ids) { try adapter.checkCanMerge(id) }
        let combiner = ModuleCombiner(
            adapters, merge, loraxCompatible: loraxCompatible, seed: seed, rankLimit: rankLimit)
        try combiner.checkRanks()
        return try combiner.combined()
    }
}

extension AdapterMerge {
    /// Checks what can be checked without the adapters.
    ///
    /// - Throws: `invalidRequest`.
    public func validate(loraxCompatible: Bool = false) throws(AdapterError) {
        func invalid(_ message: String) -> AdapterError { AdapterError(.invalidRequest, message) }
        guard !ids.isEmpty else { throw invalid("merged adapters: at least one id is needed") }
        guard ids.count <= Self.memberLimit else {
            throw invalid("merged adapters: \(ids.count) ids; at most \(Self.memberLimit) are merged")
        }
        if let id = ids.first(where: \.isEmpty) { throw invalid("merged adapters: id \"\(id)\" is empty") }
        guard ids.count == weights.count else {
            throw invalid("merged adapters: \(ids.count) ids need as many weights, found \(weights.count)")
        }
        if let weight = weights.first(where: { !Float($0).isFinite }) {
            throw invalid("merged adapters: weights must be finite numbers, found \(weight)")
        }
        guard density.isFinite, density > 0 || loraxCompatible && density == 0, density <= 1 else {
            throw invalid("merged adapters: density must be above 0 and at most 1, found \(density)")
        }
        if let svdRank {
            guard strategy == .svd else {
                throw invalid("merged adapters: strategy \"\(strategy.rawValue)\" takes no svd_rank (svd does)")
            }
            guard AdapterConfig.ranks.contains(svdRank) else {
                throw invalid(
                    "merged adapters: svd_rank must be \(AdapterConfig.ranks.lowerBound) to "
                        + "\(AdapterConfig.ranks.upperBound), found \(svdRank)")
            }
        }
        guard !loraxCompatible || [.linear, .ties, .dareLinear, .dareTies].contains(strategy) else {
            throw invalid(
                "merged adapters: LoRAX has no strategy \"\(strategy.rawValue)\" (linear, ties, dare_linear, dare_ties)"
            )
        }
    }
}

extension AdapterWeights {
    /// Checks that the ranks are among those that are served beside a model.
    ///
    /// - Throws: `unsupported`.
    public func checkServable() throws(AdapterError) {
        guard maxRank > AdapterConfig.ranks.upperBound else { return }
        throw AdapterError(
            .unsupported,
            "rank \(maxRank) is above the largest that is served beside a model, \(AdapterConfig.ranks.upperBound) (merge the "
                + "adapter into the model instead: pbctl adapters merge, or engine serve --merge-adapter)")
    }

    fileprivate func checkCanMerge(_ id: String) throws(AdapterError) {
        let updates = linearUpdates
        let norms = layers.flatMap {
            [
                $0.attentionNorm, $0.queryNorm, $0.keyNorm, $0.postAttentionNorm, $0.feedForwardNorm,
                $0.postFeedForwardNorm,
            ].compactMap { $0 }
        }
        let reason: String
        if updates.contains(where: { $0.magnitude != nil }) {
            reason = "it is a DoRA adapter"
        } else if updates.contains(where: { $0.bias != nil || $0.lowRank?.bias != nil }) {
            reason = "it holds biases"
        } else if updates.contains(where: { $0.weight != nil }) || !norms.isEmpty || finalNorm != nil
            || embedding?.table != nil
        {
            reason = "it holds modules that were trained in full"
        } else {
            return
        }
        throw AdapterError(
            .unsupported,
            "adapter \(AdapterConfigReader.shown(id)) can't be merged with others: \(reason) "
                + "(merge it into the model instead)")
    }
}
