import ServingJSON
import ServingModelFiles
import ServingModels
import ServingTensors
import Testing

@testable import ServingAdapters

@Suite("Merging adapters")
struct AdapterCombinationTests {
    private func merge(
        _ strategy: AdapterMergeStrategy, _ weights: [Double] = [0.7, 0.3], density: Double = 1,
        _ majority: MajoritySignMethod = .total
    ) -> AdapterMerge {
        AdapterMerge(
            ids: weights.indices.map { "a\($0)" }, weights: weights, strategy: strategy, density: density,
            majoritySignMethod: majority)
    }

    private func pair() throws -> [AdapterWeights] {
        [try AdapterFixtures.weights("r8-all"), try AdapterFixtures.weights("r8-all-second")]
    }

    @Test(
        "gives the logits of PEFT's add_weighted_adapter",
        arguments: ["linear", "linear-negative", "ties", "ties-frequency", "magnitude_prune", "cat", "svd"])
    func logits(_ name: String) throws {
        let path = AdapterFixtures.path("merges/\(name).json")
        let call = try #require(try JSONValue(readingFile: path)["call"])
        let merge = AdapterMerge(
            ids: ["a", "b"], weights: try #require(call["weights"]?.arrayValue).compactMap(\.doubleValue),
            strategy: try #require(call["combination_type"]?.stringValue.flatMap(AdapterMergeStrategy.init)),
            density: call["density"]?.doubleValue ?? 1,
            majoritySignMethod: call["majority_sign_method"]?.stringValue.flatMap(MajoritySignMethod.init) ?? .total)
        let model = try AdapterFixtures.model()
        let weights = try WeightMerger.merged(
            model.weights, with: AdapterCombination.combine(pair(), merge), config: model.config)
        #expect(try AdapterFixtures.difference(model.config, weights, expected: path) < 2e-3)
    }

    @Test("drops elements at random, as many as asked, the same for a seed")
    func dare() throws {
        let adapters = try pair()
        let merge = merge(.dareLinear, [1, 0], density: 0.5)
        func loraA(_ seed: UInt64) throws -> [Float] {
            let merged = try AdapterCombination.combine(adapters, merge, seed: seed)
            return try #require(merged.layers[0].query?.lowRank).loraA.floats
        }
        let (first, second) = (try loraA(1), try loraA(2))
        #expect(try loraA(1) == first)
        #expect(first != second)
        let source = try #require(adapters[0].layers[0].query?.lowRank)
        let root = source.scaling.squareRoot()
        for (found, original) in zip(first, source.loraA.floats) where found != 0 {
            #expect(abs(found - original * root * 2) < 1e-5)
        }
        let kept = first.count { $0 != 0 }
        #expect((160...352).contains(kept), "\(kept) of 512")
        // Nothing is dropped at density 1.
        let all = try AdapterCombination.combine(adapters, self.merge(.dareTies, [1, 1]), seed: 3)
        let ties = try AdapterCombination.combine(adapters, self.merge(.ties, [1, 1]))
        #expect(all.layers[0].query?.lowRank?.loraA.floats == ties.layers[0].query?.lowRank?.loraA.floats)
    }

    @Test("in LoRAX's arithmetic weighs A and B alike and keeps the first scaling")
    func lorax() throws {
        let adapters = try pair()
        let merged = try AdapterCombination.combine(adapters, merge(.linear), loraxCompatible: true)
        let (a, b) = (
            try #require(adapters[0].layers[2].up?.lowRank), try #require(adapters[1].layers[2].up?.lowRank)
        )
        let found = try #require(merged.layers[2].up?.lowRank)
        #expect(found.scaling == a.scaling && a.scaling != b.scaling)
        for (found, pair) in zip(found.loraB.floats, zip(a.loraB.floats, b.loraB.floats)) {
            #expect(abs(found - (0.7 * pair.0 + 0.3 * pair.1)) < 1e-6)
        }
        let nothing = try AdapterCombination.combine(adapters, merge(.ties, density: 0), loraxCompatible: true)
        #expect(nothing.layers[2].up?.lowRank?.loraA.floats.allSatisfy { $0 == 0 } == true)
        // Pruned values are not rescaled.
        let pruned = try AdapterCombination.combine(
            adapters, merge(.dareLinear, [1, 0], density: 0.5), loraxCompatible: true)
        for (found, original) in zip(try #require(pruned.layers[2].up?.lowRank).loraA.floats, a.loraA.floats) {
            #expect(found == 0 || found == original)
        }
    }

    @Test("merges modules that only some adapters change from those")
    func partial() throws {
        let adapters = [try AdapterFixtures.weights("r8-all"), try AdapterFixtures.weights("layers-to-transform")]
        let merged = try AdapterCombination.combine(adapters, merge(.cat))
        #expect(merged.layers[0].query?.lowRank?.rank == 8 && merged.layers[1].query?.lowRank?.rank == 16)
        let head = try AdapterCombination.combine(
            [try AdapterFixtures.weights("lm-head"), try AdapterFixtures.weights("embedding")], merge(.linear))
        #expect(head.head?.lowRank?.loraB.shape == [320, 8] && head.embedding?.lowRank?.loraA.shape == [8, 320])
    }

    @Test("by singular values keeps a product whose rank suffices")
    func svd() throws {
        let adapter = try AdapterFixtures.weights("r13-odd")
        let single = try AdapterCombination.combine([adapter, adapter], merge(.svd, [0.5, 0.5]))
        let (expected, found) = (
            try #require(adapter.layers[1].down?.lowRank), try #require(single.layers[1].down?.lowRank)
        )
        #expect(found.rank == 13 && found.scaling == 1)
        let (before, after) = (Self.product(expected), Self.product(found))
        #expect(zip(before, after).allSatisfy { abs($0 - $1) < 1e-4 })
        #expect(before.contains { abs($0) > 0.1 })
    }

    @Test("finds the singular values of a matrix whose values are known")
    func singularValues() {
        // diag(3, 2, 0) turned: columns of U diag V'.
        let columns: [[Double]] = [[1.8, 2.4, 0], [-1.6, 1.2, 0], [0, 0, 0]]
        let values = SingularTriple.decompose(columns: columns).map(\.value)
        #expect(values.count == 2 && abs(values[0] - 3) < 1e-12 && abs(values[1] - 2) < 1e-12)
    }

    private static func product(_ update: LowRankUpdate) -> [Float] {
        let (a, b, columns) = (update.loraA.floats, update.loraB.floats, update.loraA.columnCount)
        return (0..<update.loraB.rowCount).flatMap { row in
            (0..<columns).map { column in
                (0..<update.rank).reduce(0) {
                    $0 + update.scaling * b[row * update.rank + $1] * a[$1 * columns + column]
                }
            }
        }
    }

    @Test("refuses weights with which the result can't be computed", arguments: [1e20, 1e34, -1e34, 3e38])
    func overflow(_ weight: Double) throws {
        for strategy in [AdapterMergeStrategy.linear, .ties, .cat, .svd] {
            let error = #expect(throws: AdapterError.self) {
                try AdapterCombination.combine(pair(), merge(strategy, [weight, 1]))
            }
            #expect(error?.code == .invalidRequest && error?.message.contains("too large") == true)
        }
        _ = try AdapterCombination.combine(pair(), merge(.linear, [1e6, 1]))
    }

    @Test("refuses requests that can't be, with the numbers")
    func faults() throws {
        let adapters = try pair()
        func fault(_ merge: AdapterMerge, _ mention: String, lorax: Bool = false) throws {
            let error = try #require(throws: AdapterError.self) {
                _ = try AdapterCombination.combine(adapters, merge, loraxCompatible: lorax)
            }
            #expect(error.code == .invalidRequest && error.message.contains(mention), "\(error)")
        }
        try fault(AdapterMerge(ids: [], weights: []), "at least one id")
        try fault(AdapterMerge(ids: ["a", ""], weights: [1, 1]), "empty")
        try fault(AdapterMerge(ids: ["a", "b"], weights: [1]), "2 ids")
        try fault(merge(.linear, [1, .nan]), "finite")
        try fault(merge(.linear, [1, 1e300]), "finite")
        for density in [0, -1, 1.5, .nan, .infinity] { try fault(merge(.ties, density: density), "density") }
        try fault(merge(.cat), "LoRAX", lorax: true)
        let ranks = try #require(throws: AdapterError.self) {
            _ = try AdapterCombination.combine([adapters[0], AdapterFixtures.weights("r13-odd")], merge(.ties))
        }
        #expect(ranks.code == .invalidRequest && ranks.message.contains("\"a0\" has 8, \"a1\" has 13"))
        for name in ["dora", "modules-to-save", "bias-all-lora"] {
            let error = try #require(throws: AdapterError.self) {
                _ = try AdapterCombination.combine([adapters[0], AdapterFixtures.weights(name)], merge(.cat))
            }
            #expect(error.code == .unsupported && error.message.contains("\"a1\""))
        }
    }
}
