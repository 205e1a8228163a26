import ServingEngine
import ServingTensors
import Testing

@Suite struct ServingEngineTests {
    @Test func answersDoNotDependOnWhatRunsBeside() async throws {
        let requests = (0..<40).map { index in
            var request = GenerationRequest(
                id: "\(index)", promptTokenIDs: (0...(index % 9)).map { TokenID(($0 * index) % 50) },
                sampling: SamplingParameters(temperature: 0.8, seed: UInt64(index)))
            request.maxTokenCount = 1 + index % 13
            return request
        }
        let engine = ServingEngine(runner: HistoryRunner(blockCount: 16)) { _ in ToyDecoder() }
        let together = await engine.generateAll(requests)
        for (request, result) in zip(requests, together) {
            let solo = ServingEngine(runner: HistoryRunner()) { _ in ToyDecoder() }
            let alone = try await solo.generateAll([request])[0].get()
            let output = try result.get()
            #expect(output.samples[0].tokenIDs == alone.samples[0].tokenIDs)
            #expect(output.samples[0].text == alone.samples[0].text)
            #expect(output.samples[0].finish?.reason == .length)
            #expect(output.samples[0].tokens.count == request.maxTokenCount)
        }
        await engine.shutDown()
        let statistics = engine.statistics()
        #expect(statistics.usedBlockCount == 0)
        #expect(statistics.preemptionCount > 0)
    }
}
