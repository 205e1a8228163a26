import Glibc
public import ServingAdapters
import ServingModelFiles
import ServingModels
public import ServingTensors

/// Log-probabilities of given tokens: what the model expects after each of them. For evaluation and for tests.
public final class TeacherForcedScorer {
    /// What the model expects after one position.
    public struct Position: Sendable {
        /// The likeliest tokens, likeliest first; equals by id.
        public var ids: [TokenID]
        /// Natural logarithms of their probabilities.
        public var logProbabilities: [Double]
        /// Logarithm of the probability of all other tokens; -infinity where there are none; not a number where the
        /// scores are not finite and nothing can be said.
        public var logRest: Double
    }

    /// V.
    public let vocabularyCount: Int
    private let loaded: LoadedRunner
    private var runner: any ModelRunner { loaded.runner }
    private let description: ModelDescription
    private var adapter: (any ResidentAdapter)?

    /// Loads a model for sequences of up to `tokenCount` tokens. It needs no tokenizer.
    public init(path: String, tokenCount: Int, options: LocalModel.Options) throws {
        let source = try ModelSource.detect(path: path)
        var options = options
        options.contextLength = max(tokenCount, options.contextLength ?? 1)
        let files = try ModelFileSet(source: source, path: path, contextLength: options.contextLength)
        description = try files.description.merging(adapterAt: options.mergedAdapterPath)
        loaded = try LoadedRunner.load(description, options)
        vocabularyCount = loaded.runner.limits.vocabularyCount
    }

    /// Scores what follows with an adapter, or with several made one; without folders, with the model alone.
    public func use(
        adapterFolders: [String], merge: AdapterMerge? = nil, isLoRAXCompatible: Bool = false
    ) throws(AdapterError) {
        var weights: [AdapterWeights] = []
        for path in adapterFolders {
            weights.append(try AdapterFolder(path: path).weights(for: description.config, base: description.weights))
        }
        if let merge {
            weights = [
                try AdapterCombination.combine(weights, merge, loraxCompatible: isLoRAXCompatible, seed: merge.seed)
            ]
        }
        guard let first = weights.first else {
            adapter = nil
            return
        }
        try first.checkServable()
        do {
            adapter = try loaded.uploader.upload(AdapterParts(first, of: description.weights))
        } catch {
            throw AdapterError(.invalidAdapter, "\(error)")
        }
    }

    /// Scores one sequence: T positions with their `top` likeliest tokens each.
    public func score(_ ids: [TokenID], top: Int, _ body: (Position) throws -> Void) throws {
        let blockCount = (ids.count + runner.limits.positionsPerBlock - 1) / runner.limits.positionsPerBlock
        let table = (0..<blockCount).map { BlockID($0) }
        // Rows of logits are large; a step shows few enough of them to stay in a modest buffer.
        let stepCount = max(1, min(runner.limits.maxBatchedTokens, 32 << 20 / (4 * vocabularyCount)))
        var first = 0
        while first < ids.count {
            let chunk = Array(ids[first..<min(first + stepCount, ids.count)])
            let batch = ForwardBatch(
                tokenIDs: chunk,
                sequences: [
                    .init(tokenRange: chunk.indices, firstPosition: first, blockTable: table, adapter: adapter)
                ],
                logitTokenIndices: Array(chunk.indices))
            let rows = try runner.forward(batch)
            for row in 0..<rows.rowCount { try body(Self.position(UnsafeBufferPointer(rows[row]), top: top)) }
            first += chunk.count
        }
    }

    private static func position(_ scores: UnsafeBufferPointer<Float>, top: Int) -> Position {
        var highest = -Float.infinity
        for score in scores { highest = max(highest, score) }
        var total = 0.0
        for score in scores { total += exp(Double(score) - Double(highest)) }
        let logTotal = Double(highest) + log(total)
        let best = TopSelection.indices(of: scores, count: min(top, scores.count))
        var rest = 0.0
        if best.count < scores.count {
            let chosen = Set(best)
            for (index, score) in scores.enumerated() where !chosen.contains(index) {
                rest += exp(Double(score) - logTotal)
            }
        }
        return Position(
            ids: best.map { TokenID($0) }, logProbabilities: best.map { Double(scores[$0]) - logTotal },
            logRest: !logTotal.isFinite ? .nan : rest > 0 ? log(rest) : -.infinity)
    }
}

/// The largest of many numbers without sorting them all.
enum TopSelection {
    /// Indices of the `count` largest, largest first; of equals the lower index first.
    static func indices(of scores: UnsafeBufferPointer<Float>, count: Int) -> [Int] {
        func precedes(_ a: Int, _ b: Int) -> Bool { scores[a] != scores[b] ? scores[a] > scores[b] : a < b }
        guard count < scores.count / 8 else { return Array(scores.indices.sorted(by: precedes).prefix(count)) }
        guard count > 0 else { return [] }
        // Candidates are gathered until there are twice as many as wanted, then cut back; the cut's last score is the
        // bar.
        var candidates: [Int] = []
        var bar = -Float.infinity
        for (index, score) in scores.enumerated() where score > bar || candidates.count < count {
            candidates.append(index)
            guard candidates.count == 2 * count else { continue }
            candidates.sort(by: precedes)
            candidates.removeLast(count)
            bar = scores[candidates[count - 1]]
        }
        return Array(candidates.sorted(by: precedes).prefix(count))
    }
}
