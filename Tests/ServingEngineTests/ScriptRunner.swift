import ServingTensors

/// A model that says the same at each position, whatever came before.
final class ScriptRunner: ModelRunner {
    let limits: ModelLimits
    private let script: [TokenID]
    private let scores: UnsafeMutableBufferPointer<Float>

    /// `script[p]` is the token at position p of every sequence; the last one goes on for ever.
    init(_ script: [TokenID], vocabularyCount: Int = 50) {
        self.script = script
        limits = ModelLimits(
            vocabularyCount: vocabularyCount, contextLength: 100, blockCount: 100, positionsPerBlock: 4,
            maxBatchedTokens: 32)
        scores = .allocate(capacity: 32 * vocabularyCount)
    }

    deinit { scores.deallocate() }

    func forward(_ batch: ForwardBatch) throws -> LogitRows {
        let positions = batch.positions
        scores.initialize(repeating: -1)
        for (row, index) in batch.logitTokenIndices.enumerated() {
            let token = script[min(Int(positions[index]) + 1, script.count - 1)]
            scores[row * limits.vocabularyCount + Int(token)] = 1
        }
        let count = batch.logitTokenIndices.count * limits.vocabularyCount
        return LogitRows(
            scores: UnsafeMutableBufferPointer(rebasing: scores[..<count]), vocabularyCount: limits.vocabularyCount)
    }
}
