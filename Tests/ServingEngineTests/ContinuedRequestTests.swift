import ServingEngine
import ServingTensors
import Testing

/// Requests that take up an answer at its very end: nothing is computed, and the end is the one that the answer had.
@Suite struct ContinuedRequestTests {
    private func output(_ request: GenerationRequest) async throws -> GenerationOutput {
        let engine = ServingEngine(runner: ScriptRunner([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])) { _ in ToyDecoder() }
        let output = await GenerationOutput(try engine.submit(request))
        await engine.shutDown()
        #expect(engine.statistics().usedBlockCount == 0)
        return output
    }

    /// The answer to [0] is 1, 2, 3, ... with the letters b, c, d, ...
    private func request(_ change: (inout GenerationRequest) -> Void) -> GenerationRequest {
        var request = GenerationRequest(id: "a", promptTokenIDs: [0], sampling: .greedy)
        request.maxTokenCount = 6
        change(&request)
        return request
    }

    static let ends: [@Sendable (inout GenerationRequest) -> Void] = [
        { _ in }, { $0.stopTokenIDs = [4] }, { $0.endOfGenerationTokenIDs = [3] }, { $0.stopStrings = ["cde", "xx"] },
        { $0.stopStrings = ["fgz"] }, { ($0.maxTokenCount, $0.ignoresEndOfGeneration) = (nil, true) },
    ]

    @Test(arguments: ends.indices)
    func anAnswerAtItsEndIsFinishedWithoutAToken(end: Int) async throws {
        let whole = request(Self.ends[end])
        let first = try await output(whole).samples[0]
        var rest = whole
        rest.promptTokenIDs += first.tokenIDs
        rest.continuedTokenCount = first.tokenIDs.count
        rest.maxTokenCount = whole.maxTokenCount.map { $0 - first.tokenIDs.count }
        rest.firstSampleIndex = 3
        let second = try await output(rest)
        #expect(second.samples[0].tokens.isEmpty && second.samples[0].index == 3)
        #expect(second.samples[0].finish?.reason == first.finish?.reason)
        #expect(second.samples[0].text == first.finish?.text)
        #expect(second.start?.continuedText == first.tokens.map(\.text).joined())
        #expect(second.start?.firstSampleIndex == 3)
    }

    @Test func whatIsLongerThanTheContextIsRefusedAllTheSame() async throws {
        var rest = request { $0.promptTokenIDs = Array(repeating: 1, count: 101) }
        rest.continuedTokenCount = 50
        rest.maxTokenCount = nil
        await #expect(throws: SubmissionError.self) { try await output(rest) }
    }

    @Test func stepsAreCountedByWhatTheyCompute() async throws {
        let engine = ServingEngine(runner: ScriptRunner([0, 1, 2, 3, 4, 5, 6])) { _ in ToyDecoder() }
        _ = await GenerationOutput(try engine.submit(request { $0.maxTokenCount = 4 }))
        await engine.shutDown()
        let steps = engine.statistics().steps
        #expect(steps.prefill == 1 && steps.decode == 3 && steps.embedding == 0)
        #expect(engine.statistics().failedSteps == StepCounts())
    }
}
