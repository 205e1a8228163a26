import Glibc
import ServingEngine
import ServingTensors
import Synchronization
import Testing

/// Cancelling, failing, shutting down, and what is reported about it.
@Suite struct ServingEngineLifeTests {
    private func request(_ id: String, _ prompt: [TokenID], maxTokenCount: Int? = 8) -> GenerationRequest {
        var request = GenerationRequest(id: id, promptTokenIDs: prompt, sampling: SamplingParameters(seed: 1))
        request.maxTokenCount = maxTokenCount
        return request
    }

    private func engine(
        _ hook: StepHook, _ configuration: EngineConfiguration = EngineConfiguration()
    ) -> ServingEngine {
        let runner = HistoryRunner(blockCount: 64, maxBatchedTokens: 4) { hook($0) }
        let engine = ServingEngine(runner: runner, configuration: configuration) { _ in ToyDecoder() }
        hook.attach(engine)
        return engine
    }

    @Test func cancelledPromptIsNotComputedFurther() async throws {
        let hook = StepHook { engine, step, _ in if step == 2 { engine.cancel("a") } }
        let engine = engine(hook)
        let output = await GenerationOutput(try engine.submit(request("a", Array(repeating: 1, count: 30))))
        #expect(output.samples[0].finish?.reason == .cancelled)
        #expect(output.samples[0].tokens.isEmpty)
        await engine.shutDown()
        #expect(hook.stepCount == 2)
        #expect(engine.statistics().usedBlockCount == 0)
    }

    @Test func cancelledAnswerKeepsWhatItHas() async throws {
        let hook = StepHook { engine, step, _ in if step == 5 { engine.cancel("a") } }
        let engine = engine(hook)
        var several = request("a", [1, 2], maxTokenCount: 50)
        several.sampleCount = 2
        let output = await GenerationOutput(try engine.submit(several))
        #expect(output.samples.map(\.finish?.reason) == [.cancelled, .cancelled])
        #expect(output.samples.map(\.tokens.count) == [5, 4])
        #expect(output.samples[0].text.count == 5)
        await engine.shutDown()
        #expect(hook.stepCount == 5)
        #expect(engine.statistics().usedBlockCount == 0)
    }

    @Test func cancelledWhileWaitingNeverStarts() async throws {
        let isWaiting = Atomic(false)
        let hook = StepHook { engine, step, _ in
            guard step == 2 else { return }
            while !isWaiting.load(ordering: .acquiring) { usleep(100) }
            engine.cancel("b")
        }
        let engine = engine(hook, EngineConfiguration(maxRunningSequences: 1))
        let first = try engine.submit(request("a", [1, 2], maxTokenCount: 6))
        let second = try engine.submit(request("b", [1, 2], maxTokenCount: 6))
        isWaiting.store(true, ordering: .releasing)
        let output = await GenerationOutput(second)
        #expect(output.start == nil)
        #expect(output.samples[0].finish?.reason == .cancelled)
        #expect(await GenerationOutput(first).samples[0].tokens.count == 6)
    }

    @Test func lettingGoOfTheStreamCancels() async throws {
        let stream = Mutex<AsyncStream<GenerationEvent>?>(nil)
        let hook = StepHook { _, step, _ in if step == 3 { stream.withLock { $0 = nil } } }
        let engine = engine(hook)
        try stream.withLock { $0 = try engine.submit(request("a", [1], maxTokenCount: 50)) }
        await engine.shutDown(.drain)
        #expect(hook.stepCount == 3)
        #expect(engine.statistics().usedBlockCount == 0)
    }

    @Test func drainFinishesWhatWasTakenAndCancelDoesNot() async throws {
        for (mode, reason) in [(ShutdownMode.drain, FinishReason.length), (.cancel, .cancelled)] {
            let ending = Mutex<Task<Void, Never>?>(nil)
            let hook = StepHook { engine, step, _ in
                if step == 3 { ending.withLock { $0 = Task { await engine.shutDown(mode) } } }
            }
            let engine = engine(hook)
            // Long enough for the shutdown to come in between.
            let output = await GenerationOutput(try engine.submit(request("a", [1], maxTokenCount: 60)))
            await ending.withLock { $0 }?.value
            await engine.shutDown(mode)
            if mode == .drain { #expect(output.samples[0].finish?.reason == reason) }
            #expect([reason, .length].contains(output.samples[0].finish?.reason))
            #expect(throws: SubmissionError.shuttingDown) { try engine.submit(request("b", [1])) }
        }
    }

    @Test func engineThatIsLetGoCancelsItsRequests() async throws {
        var engine: ServingEngine? = ServingEngine(
            runner: HistoryRunner(contextLength: 4000, blockCount: 1000) { _ in usleep(10_000) }
        ) { _ in ToyDecoder() }
        let stream = try #require(try engine?.submit(request("a", [1], maxTokenCount: nil)))
        engine = nil
        #expect(await GenerationOutput(stream).samples[0].finish?.reason == .cancelled)
    }

    @Test func failedStepFailsItsRequestsAndNoOthers() async throws {
        let steps = Mutex(0)
        let runner = HistoryRunner(blockCount: 64, maxBatchedTokens: 8) { batch in
            steps.withLock { $0 += 1 }
            if batch.tokenIDs.contains(49) { throw HistoryRunner.Failure() }
        }
        let engine = ServingEngine(
            runner: runner, configuration: EngineConfiguration(maxRunningSequences: 1)
        ) { _ in ToyDecoder() }
        let prompt = (0..<20).map { TokenID($0) }
        let solo = ServingEngine(runner: HistoryRunner()) { _ in ToyDecoder() }
        var plain = request("plain", prompt)
        plain.sampling.logitBias = [49: -.infinity]
        let expected = await GenerationOutput(try solo.submit(plain)).samples[0].tokenIDs
        var broken = plain
        broken.id = "broken"
        broken.promptTokenIDs[18] = 49
        broken.sampleCount = 2
        for round in 0..<3 {
            broken.id = "broken \(round)"
            plain.id = "plain \(round)"
            let results = await engine.generateAll([broken, plain])
            let reasons = try results[0].get().samples.map(\.finish?.reason)
            #expect(reasons == [.failed("the toy model broke"), .failed("the toy model broke")])
            #expect(try results[1].get().samples[0].tokenIDs == expected)
        }
        await engine.shutDown()
        #expect(engine.statistics().failedStepCount == 3)
        #expect(engine.statistics().usedBlockCount == 0)
    }

    @Test func durationsAreMeasuredWithTheGivenClock() async throws {
        let clock = ManualClock()
        let runner = HistoryRunner(maxBatchedTokens: 2) { _ in clock.advance(by: .seconds(1)) }
        let engine = ServingEngine(
            runner: runner, configuration: EngineConfiguration(maxRunningSequences: 1), clock: clock
        ) { _ in ToyDecoder() }
        // Five prompt tokens in three steps, then three more tokens.
        let output = await GenerationOutput(try engine.submit(request("a", [1, 2, 3, 4, 5], maxTokenCount: 4)))
        let timings = output.samples[0].finish?.timings
        #expect(timings?.queue == .zero)
        #expect(timings?.prefill == .seconds(3))
        #expect(timings?.decode == .seconds(3))
        #expect(timings?.timeToFirstToken == .seconds(3))
        #expect(engine.statistics().stepCount <= 6)
    }

    @Test func promptLogProbabilitiesDoNotDependOnChunksOrCache() async throws {
        var wanted = request("a", (0..<40).map { TokenID(($0 * 7) % 50) }, maxTokenCount: 0)
        wanted.includesPromptLogProbabilities = true
        wanted.logProbabilityCount = 50
        let solo = ServingEngine(runner: HistoryRunner(maxBatchedTokens: 64)) { _ in ToyDecoder() }
        let chunked = ServingEngine(runner: HistoryRunner(maxBatchedTokens: 3)) { _ in ToyDecoder() }
        let expected = await GenerationOutput(try solo.submit(wanted))
        _ = await GenerationOutput(try chunked.submit(request("warm", wanted.promptTokenIDs)))
        let output = await GenerationOutput(try chunked.submit(wanted))
        #expect(output.prompt == expected.prompt)
        #expect(output.prompt.map(\.id) == wanted.promptTokenIDs)
        #expect(output.prompt[0].logProbability == nil)
        #expect(output.samples[0].finish?.reason == .length)
        #expect(output.samples[0].tokens.isEmpty)
        for token in output.prompt.dropFirst() {
            let listed = token.alternatives.first { $0.id == token.id }
            #expect(listed?.logProbability == token.logProbability)
            #expect(
                zip(token.alternatives, token.alternatives.dropFirst()).allSatisfy {
                    $0.logProbability >= $1.logProbability
                })
        }
    }

    @Test func statisticsAddUp() async throws {
        let engine = ServingEngine(runner: HistoryRunner()) { _ in ToyDecoder() }
        let prompt = (0..<12).map { TokenID($0) }
        for round in 0..<2 {
            let output = await GenerationOutput(try engine.submit(request("\(round)", prompt, maxTokenCount: 5)))
            #expect(output.start?.cachedTokenCount == (round == 0 ? 0 : 8))
            #expect(output.samples[0].finish?.usage.cachedTokenCount == (round == 0 ? 0 : 8))
        }
        await engine.shutDown()
        let statistics = engine.statistics()
        #expect(statistics.generatedTokenCount == 10)
        #expect(statistics.computedTokenCount == 12 + 4 + 4 + 4)
        #expect(statistics.prefixHitTokenCount == 8)
        #expect(statistics.stepCount == 10)
        #expect(statistics.freeBlockCount + statistics.cachedBlockCount == 32)
        #expect(statistics.cachedBlockCount == 4)
    }
}
