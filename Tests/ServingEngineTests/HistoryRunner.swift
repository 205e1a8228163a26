import ServingTensors

/// A model whose logits are a hash of the whole history, read back from paged memory through the block table.
///
/// A wrong block table, position or token, or a block that holds another sequence's tokens, changes the answer. What is
/// not computed holds what earlier holders of the block left there.
final class HistoryRunner: ModelRunner {
    struct Failure: Error, CustomStringConvertible {
        let description = "the toy model broke"
    }

    let limits: ModelLimits
    /// Token and position written in each slot, (N, P).
    private var slots: [SIMD2<Int32>]
    private let scores: UnsafeMutableBufferPointer<Float>
    private let beforeStep: (ForwardBatch) throws -> Void

    init(
        vocabularyCount: Int = 50, contextLength: Int = 64, blockCount: Int = 32, positionsPerBlock: Int = 4,
        maxBatchedTokens: Int = 16, beforeStep: @escaping (ForwardBatch) throws -> Void = { _ in }
    ) {
        limits = ModelLimits(
            vocabularyCount: vocabularyCount, contextLength: contextLength, blockCount: blockCount,
            positionsPerBlock: positionsPerBlock, maxBatchedTokens: maxBatchedTokens)
        slots = Array(repeating: SIMD2(-1, -1), count: blockCount * positionsPerBlock)
        scores = .allocate(capacity: maxBatchedTokens * vocabularyCount)
        scores.initialize(repeating: 0)
        self.beforeStep = beforeStep
    }

    deinit { scores.deallocate() }

    func forward(_ batch: ForwardBatch) throws -> LogitRows {
        precondition(batch.tokenIDs.count <= limits.maxBatchedTokens, "the token budget is exceeded")
        do {
            try beforeStep(batch)
        } catch {
            for sequence in batch.sequences { write(sequence, batch, garbage: true) }
            throw error
        }
        for sequence in batch.sequences { write(sequence, batch, garbage: false) }
        for (row, index) in batch.logitTokenIndices.enumerated() {
            guard let sequence = batch.sequences.first(where: { $0.tokenRange.contains(index) }) else {
                preconditionFailure("token \(index) is in no sequence")
            }
            let position = sequence.firstPosition + index - sequence.tokenRange.lowerBound
            fill(row, history(sequence, through: position))
        }
        let count = batch.logitTokenIndices.count * limits.vocabularyCount
        return LogitRows(
            scores: UnsafeMutableBufferPointer(rebasing: scores[..<count]), vocabularyCount: limits.vocabularyCount)
    }

    private func slot(_ sequence: ForwardBatch.Sequence, _ position: Int) -> Int {
        let size = limits.positionsPerBlock
        return Int(sequence.blockTable[position / size]) * size + position % size
    }

    private func write(_ sequence: ForwardBatch.Sequence, _ batch: ForwardBatch, garbage: Bool) {
        for (offset, index) in sequence.tokenRange.enumerated() {
            let position = sequence.firstPosition + offset
            slots[slot(sequence, position)] = garbage ? SIMD2(-7, -7) : SIMD2(batch.tokenIDs[index], Int32(position))
        }
    }

    private func history(_ sequence: ForwardBatch.Sequence, through position: Int) -> UInt64 {
        var hash: UInt64 = 14_695_981_039_346_656_037
        for place in 0...position {
            let slot = slots[slot(sequence, place)]
            for word in [slot.x, slot.y] {
                hash = (hash ^ UInt64(UInt32(bitPattern: word))) &* 1_099_511_628_211
                hash ^= hash >> 29
            }
        }
        return hash
    }

    private func fill(_ row: Int, _ seed: UInt64) {
        var generator = SplitMix(state: seed)
        for token in 0..<limits.vocabularyCount {
            scores[row * limits.vocabularyCount + token] = Float(generator.next() >> 40) * 0x1p-24 * 8 - 4
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), for seeded tests.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
