import Foundation
import ServingAdapters
import ServingModelFiles
import ServingModels
import ServingTensors
import Testing

@Suite("Merging adapters by singular values to a rank")
struct SingularValueRankTests {
    private static let fixtures = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fixtures").path

    private func adapters(_ names: [String]) throws -> [AdapterWeights] {
        let model = try ModelDescription(folder: ModelFolder(path: Self.fixtures + "/models/llama"))
        return try names.map {
            try AdapterFolder(path: Self.fixtures + "/adapters/" + $0).weights(for: model.config, base: model.weights)
        }
    }

    private func merge(rank: Int?, _ strategy: AdapterMergeStrategy = .svd) -> AdapterMerge {
        AdapterMerge(ids: ["a", "b"], weights: [0.7, 0.3], strategy: strategy, svdRank: rank)
    }

    private func floats(_ tensor: StoredTensor) -> [Double] {
        (0..<tensor.bytes.count / 4).map {
            Double(tensor.bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self))
        }
    }

    /// scaling * B A, row by row.
    private func product(_ update: LowRankUpdate) -> [Double] {
        let (loraA, loraB) = (floats(update.loraA), floats(update.loraB))
        let (rank, columns) = (update.rank, update.loraA.columnCount)
        return (0..<update.loraB.rowCount * columns).map { place in
            (0..<rank).reduce(0.0) {
                $0 + Double(update.scaling) * loraB[place / columns * rank + $1] * loraA[$1 * columns + place % columns]
            }
        }
    }

    /// Singular values of `0.7 s B A + 0.3 s' B' A'` by numpy.linalg.svd in float64, and the length of what is beyond
    /// the third.
    @Test("keeps the largest singular values and loses no more than the others")
    func truncates() throws {
        let adapters = try adapters(["r8-all", "r8-all-second"])
        let merged = try AdapterCombination.combine(adapters, merge(rank: 3))
        let places: [(Int, KeyPath<DecoderLayerUpdate, LinearUpdate?>, values: [Double], rest: Double)] = [
            (1, \.down, [3.343190346, 3.0819634, 2.89349092], 4.943079353),
            (0, \.key, [2.144896784, 1.852799968, 1.588237934], 2.652521805),
        ]
        for (layer, place, values, rest) in places {
            let found = try #require(merged.layers[layer][keyPath: place]?.lowRank)
            #expect(found.rank == 3 && found.scaling == 1)
            let loraB = floats(found.loraB)
            for (index, value) in values.enumerated() {
                let square = (0..<found.loraB.rowCount).reduce(0.0) {
                    $0 + loraB[$1 * 3 + index] * loraB[$1 * 3 + index]
                }
                #expect(abs(square.squareRoot() - value) < 1e-5)
            }
            let whole = try AdapterCombination.combine(adapters, merge(rank: nil, .cat))
            let sum = product(try #require(whole.layers[layer][keyPath: place]?.lowRank))
            let lost = zip(sum, product(found)).reduce(0.0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
            #expect(abs(lost.squareRoot() - rest) < 1e-4)
        }
    }

    @Test("takes the largest rank where none is asked for, and truncates one adapter alone where one is")
    func ranks() throws {
        let pair = try adapters(["r8-all", "r8-all-second"])
        #expect(try AdapterCombination.combine(pair, merge(rank: nil)).maxRank == 8)
        #expect(try AdapterCombination.combine(pair, merge(rank: 12)).maxRank == 12)
        let alone = AdapterMerge(ids: ["a"], weights: [1], strategy: .svd, svdRank: 2)
        #expect(try AdapterCombination.combine([pair[0]], alone).maxRank == 2)
        // No more singular values than the factors have.
        #expect(try AdapterCombination.combine(pair, merge(rank: 200)).maxRank == 16)
    }

    @Test("refuses ranks that can't be served, and a rank for other strategies")
    func faults() throws {
        for (rank, strategy, mention) in [
            (0, AdapterMergeStrategy.svd, "1 to 256"), (257, .svd, "found 257"), (-1, .svd, "found -1"),
            (8, .linear, "\"linear\" takes no svd_rank"),
        ] {
            let error = try #require(throws: AdapterError.self) { try merge(rank: rank, strategy).validate() }
            #expect(error.code == .invalidRequest && error.message.contains(mention), "\(error)")
        }
        #expect(throws: Never.self) { try merge(rank: 256).validate() }
    }
}
