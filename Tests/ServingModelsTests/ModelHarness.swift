import Foundation
import ServingCPU
import ServingModels
import ServingTensors
import Testing

/// A model on the CPU, stepped by hand.
final class ModelHarness {
    private let runner: DecoderRunner<CPUBackend>

    /// Loads a model with a cache for several sequences.
    init(
        _ description: ModelDescription, float32: Bool = true, maxBatchedTokens: Int = 256,
        instructionSet: String? = nil
    ) throws {
        let backend = try CPUBackend(threadCount: 2, float32: float32, instructionSet: instructionSet)
        let model = try DecoderModel(config: description.config, weights: description.weights, backend: backend)
        var options = DecoderRunner<CPUBackend>.Options(
            keyValueBytes: 0, keyValueElement: float32 ? .f32 : .f16, maxBatchedTokens: maxBatchedTokens)
        options.keyValueBytes = 80 * DecoderRunner<CPUBackend>.bytesPerBlock(description.config, options)
        runner = try DecoderRunner(model: model, backend: backend, options: options)
    }

    /// A part of one step: so many next tokens of a sequence.
    typealias Run = (sequence: Int, count: Int)

    /// Logits of every token of several sequences, computed in the given steps. Their KV blocks lie scattered.
    func logits(of sequences: [[TokenID]], steps: [[Run]]) throws -> [[[Float]]] {
        let positionsPerBlock = runner.limits.positionsPerBlock
        var random = SplitMix64(state: 5)
        var free = (0..<BlockID(runner.limits.blockCount)).shuffled(using: &random)
        let tables = sequences.map { ids in
            let count = (ids.count + positionsPerBlock - 1) / positionsPerBlock
            defer { free.removeFirst(count) }
            return Array(free.prefix(count))
        }
        var results = sequences.map { _ in [[Float]]() }
        for step in steps {
            var batch = ForwardBatch(tokenIDs: [], sequences: [], logitTokenIndices: [])
            for run in step {
                let done = results[run.sequence].count
                let start = batch.tokenIDs.count
                batch.tokenIDs += sequences[run.sequence][done..<done + run.count]
                batch.sequences.append(
                    .init(
                        tokenRange: start..<batch.tokenIDs.count, firstPosition: done, blockTable: tables[run.sequence])
                )
            }
            batch.logitTokenIndices = Array(batch.tokenIDs.indices)
            let rows = try runner.forward(batch)
            var row = 0
            for run in step {
                for _ in 0..<run.count {
                    results[run.sequence].append(Array(rows[row]))
                    row += 1
                }
            }
        }
        return results
    }

    /// Logits of every token of one sequence, in one step or in the given chunks.
    func logits(of ids: [TokenID], chunks: [Int]? = nil) throws -> [[Float]] {
        try logits(of: [ids], steps: (chunks ?? [ids.count]).map { [(0, $0)] })[0]
    }

    /// The likeliest continuation, decoded token by token.
    func greedy(after prompt: [TokenID], count: Int) throws -> [TokenID] {
        var ids = prompt
        for _ in 0..<count {
            let row = try #require(try logits(of: ids).last)
            var best = 0
            for index in row.indices where row[index] > row[best] { best = index }
            ids.append(TokenID(best))
        }
        return Array(ids.dropFirst(prompt.count))
    }
}

/// Natural logarithms of the probabilities that scores stand for.
func logProbabilities(_ scores: [Float]) -> [Double] {
    let highest = scores.reduce(-Double.infinity) { max($0, Double($1)) }
    let total = scores.reduce(0) { $0 + exp(Double($1) - highest) }
    return scores.map { Double($0) - highest - log(total) }
}

/// The largest difference of log-probabilities over all rows; infinite where the shapes differ or a number is not
/// finite.
func largestDifference(_ found: [[Float]], _ expected: [[Float]]) -> Double {
    guard found.count == expected.count else { return .infinity }
    var largest = 0.0
    for (found, expected) in zip(found, expected) {
        guard found.count == expected.count, found.allSatisfy(\.isFinite) else { return .infinity }
        for (a, b) in zip(logProbabilities(found), logProbabilities(expected)) { largest = max(largest, abs(a - b)) }
    }
    return largest
}
