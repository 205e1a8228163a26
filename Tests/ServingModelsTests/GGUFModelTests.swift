import Foundation
import ServingModelFiles
import ServingModels
import ServingTensors
import Testing

@Suite("Models converted to GGUF")
struct GGUFModelTests {
    @Test(arguments: Fixtures.all)
    func answerAsTheirOriginals(_ fixture: ModelFixture) throws {
        let expected = try fixture.expectation()
        let file = try GGUFConversion(fixture).file()
        let found = try ModelHarness(ModelDescription(gguf: file)).logits(of: expected.inputIDs)
        let difference = largestDifference(expected.positions.map { found[$0] }, expected.logits)
        #expect(difference <= DecoderModelTests.tolerance)
    }

    @Test(arguments: Fixtures.all)
    func answerNearlyTheSameInEightBits(_ fixture: ModelFixture) throws {
        let expected = try fixture.expectation()
        let file = try GGUFConversion(fixture, matrixType: .q8_0).file()
        let found = try ModelHarness(ModelDescription(gguf: file), float32: false).logits(of: expected.inputIDs)
        let rows = expected.positions.map { found[$0] }
        #expect(meanDivergence(rows, from: expected.logits) <= 0.01)
    }
}

/// Mean Kullback-Leibler divergence of the found distributions from the expected ones, in nats.
private func meanDivergence(_ found: [[Float]], from expected: [[Float]]) -> Double {
    let divergences = zip(found, expected).map { found, expected in
        zip(logProbabilities(found), logProbabilities(expected)).reduce(0) { $0 + exp($1.1) * ($1.1 - $1.0) }
    }
    return divergences.reduce(0, +) / Double(divergences.count)
}
