import ServingModels
import ServingTensors
import Testing

@Suite("Decoders of every family")
struct DecoderModelTests {
    /// Largest difference of log-probabilities in float32; measured 1.4e-5 at most.
    static let tolerance = 1e-4

    @Test(arguments: Fixtures.committed) func answerAsTheReference(_ fixture: ModelFixture) throws {
        try checkAgainstReference(fixture)
    }

    @Test(
        .enabled(if: !Fixtures.shared.isEmpty, "the shared fixtures are not beside the repository"),
        arguments: Fixtures.shared)
    func answerAsTheReferenceInEveryFamily(_ fixture: ModelFixture) throws { try checkAgainstReference(fixture) }

    private func checkAgainstReference(_ fixture: ModelFixture) throws {
        let expected = try fixture.expectation()
        let harness = try ModelHarness(fixture.description())
        let found = try harness.logits(of: expected.inputIDs)
        let difference = largestDifference(expected.positions.map { found[$0] }, expected.logits)
        #expect(difference <= Self.tolerance)
        let greedy = try harness.greedy(after: expected.greedyPromptIDs, count: expected.greedyIDs.count)
        #expect(greedy == expected.greedyIDs)
    }

    @Test(arguments: Fixtures.all, [true, false])
    func givesTheSameBitsInChunks(_ fixture: ModelFixture, float32: Bool) throws {
        let ids = try fixture.expectation().inputIDs
        let harness = try ModelHarness(fixture.description(), float32: float32)
        let whole = try harness.logits(of: ids)
        #expect(try harness.logits(of: ids, chunks: ids.map { _ in 1 }) == whole)
        var random = SplitMix64(state: 17)
        for _ in 0..<3 {
            let chunks = Self.chunks(of: ids.count, largest: 23, using: &random)
            #expect(try harness.logits(of: ids, chunks: chunks) == whole, "chunks \(chunks)")
        }
    }

    @Test(arguments: Fixtures.all, [true, false])
    func givesTheSameBitsBesideOtherSequences(_ fixture: ModelFixture, float32: Bool) throws {
        let description = try fixture.description()
        let harness = try ModelHarness(description, float32: float32)
        var random = SplitMix64(state: 23)
        let sequences = [60, 1, 33, 16, 47, 2].map { count in
            (0..<count).map { _ in TokenID.random(in: 0..<TokenID(description.config.vocabularyCount), using: &random) }
        }
        let alone = try sequences.map { try harness.logits(of: $0) }
        var done = sequences.map { _ in 0 }
        var steps: [[ModelHarness.Run]] = []
        while sequences.indices.contains(where: { done[$0] < sequences[$0].count }) {
            var step: [ModelHarness.Run] = []
            for sequence in sequences.indices.shuffled(using: &random) {
                let left = sequences[sequence].count - done[sequence]
                guard left > 0, Bool.random(using: &random) else { continue }
                let count = Int.random(in: 1...min(left, 19), using: &random)
                step.append((sequence, count))
                done[sequence] += count
            }
            if !step.isEmpty { steps.append(step) }
        }
        #expect(try harness.logits(of: sequences, steps: steps) == alone)
    }

    @Test func givesTheSameBitsOnScalarUnits() throws {
        let fixture = Fixtures.committed("gemma2")
        let ids = try fixture.expectation().inputIDs
        let best = try ModelHarness(fixture.description()).logits(of: ids)
        let scalar = try ModelHarness(fixture.description(), instructionSet: "scalar").logits(of: ids)
        #expect(best == scalar)
    }

    private static func chunks(of count: Int, largest: Int, using random: inout SplitMix64) -> [Int] {
        var chunks: [Int] = []
        var left = count
        while left > 0 {
            chunks.append(Int.random(in: 1...min(left, largest), using: &random))
            left -= chunks[chunks.count - 1]
        }
        return chunks
    }
}
