import ServingEngine
import ServingTensors
import Synchronization
import Testing

@Suite struct ServingEngineTests {
    private func request(
        _ id: String, _ prompt: [TokenID] = [1, 2, 3], maxTokenCount: Int? = 8,
        _ sampling: SamplingParameters = SamplingParameters(seed: 1)
    ) -> GenerationRequest {
        var request = GenerationRequest(id: id, promptTokenIDs: prompt, sampling: sampling)
        request.maxTokenCount = maxTokenCount
        return request
    }

    private func engine(
        _ runner: sending HistoryRunner = HistoryRunner(), _ configuration: EngineConfiguration = EngineConfiguration()
    ) -> ServingEngine {
        ServingEngine(runner: runner, configuration: configuration) { _ in ToyDecoder() }
    }

    private func output(_ engine: ServingEngine, _ request: GenerationRequest) async throws -> GenerationOutput {
        await GenerationOutput(try engine.submit(request))
    }

    // MARK: Independence

    @Test func answersDoNotDependOnWhatRunsBeside() async throws {
        let requests = (0..<40).map { index in
            request(
                "\(index)", (0...(index % 9)).map { TokenID(($0 * index) % 50) }, maxTokenCount: 1 + index % 13,
                SamplingParameters(temperature: 0.8, seed: UInt64(index)))
        }
        let shared = engine(HistoryRunner(blockCount: 16))
        let together = await shared.generateAll(requests)
        for (request, result) in zip(requests, together) {
            let alone = try await output(engine(), request)
            let output = try result.get()
            #expect(output.samples[0].tokenIDs == alone.samples[0].tokenIDs)
            #expect(output.samples[0].text == alone.samples[0].text)
            #expect(output.samples[0].finish?.reason == .length)
            #expect(output.samples[0].tokens.count == request.maxTokenCount)
        }
        await shared.shutDown()
        #expect(shared.statistics().usedBlockCount == 0)
        #expect(shared.statistics().preemptionCount > 0)
    }

    @Test func thousandConcurrentRequestsAllEnd() async throws {
        let engine = engine(
            HistoryRunner(blockCount: 200, maxBatchedTokens: 64), EngineConfiguration(maxRunningSequences: 32))
        let solo = try await output(self.engine(), request("solo", maxTokenCount: 4)).samples[0].tokenIDs
        let counts = await withTaskGroup(of: Bool.self) { group in
            for index in 0..<1000 {
                group.addTask {
                    let output = try? await output(engine, request("\(index)", maxTokenCount: 4))
                    return output?.samples[0].tokenIDs == solo
                }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(counts == 1000)
        await engine.shutDown()
        #expect(engine.statistics().usedBlockCount == 0)
        #expect(engine.statistics().waitingCount == 0)
    }

    @Test func slowReaderDoesNotHoldUpOthers() async throws {
        let engine = engine()
        let unread = try engine.submit(request("unread"))
        let read = try await output(engine, request("read"))
        await engine.shutDown()
        let late = await GenerationOutput(unread)
        #expect(late.samples[0].tokenIDs == read.samples[0].tokenIDs)
    }

    // MARK: Samples and seeds

    @Test func samplesAreReproducibleAndDiffer() async throws {
        var several = request("several", [4, 5, 6, 7, 8, 9], maxTokenCount: 12, SamplingParameters(seed: 42))
        several.sampleCount = 4
        let first = try await output(engine(), several)
        let second = try await output(engine(HistoryRunner(blockCount: 6), .init(usesPrefixCache: false)), several)
        #expect(first.samples.map(\.tokenIDs) == second.samples.map(\.tokenIDs))
        #expect(first.samples.map(\.index) == [0, 1, 2, 3])
        #expect(Set(first.samples.map(\.tokenIDs)).count == 4)
        several.sampleCount = 1
        several.firstSampleIndex = 2
        let third = try await output(engine(), several)
        #expect(third.samples[0].index == 2)
        #expect(third.samples[0].tokenIDs == first.samples[2].tokenIDs)
    }

    @Test func chosenSeedIsReportedAndReproducesTheAnswer() async throws {
        let first = try await output(engine(), request("a", [1, 2, 3], SamplingParameters()))
        let seed = try #require(first.start?.seed)
        let second = try await output(engine(), request("b", [1, 2, 3], SamplingParameters(seed: seed)))
        #expect(first.samples[0].tokenIDs == second.samples[0].tokenIDs)
    }

    @Test(arguments: 1..<12)
    func continuedRequestGoesOnAsTheFirstWouldHave(cut: Int) async throws {
        let sampling = SamplingParameters(
            repetitionPenalty: 1.2, presencePenalty: 0.5, frequencyPenalty: 0.5, seed: 9)
        var whole = request("whole", [1, 2, 3], maxTokenCount: 14, sampling)
        let first = try await output(engine(), whole).samples[0]
        // A stop string that begins before most cuts and never comes, so that text is held back at the cut.
        whole.stopStrings = [String(first.text.prefix(13)) + "?"]
        var rest = whole
        rest.promptTokenIDs += first.tokenIDs.prefix(cut)
        rest.maxTokenCount = 14 - cut
        rest.continuedTokenCount = cut
        let sent = try await output(engine(), whole).samples[0].tokens.prefix(cut).map(\.text).joined()
        let second = try await output(engine(), rest).samples[0]
        #expect(second.tokenIDs == Array(first.tokenIDs.dropFirst(cut)))
        #expect(sent + second.text == first.text)
    }

    // MARK: Ends

    @Test func stopStringAcrossTokensEndsTheText() async throws {
        let table: [TokenID: [UInt8]] = [
            1: Array("Hello ".utf8), 2: Array("wörld é".utf8).dropLast(1), 3: [0xA9], 4: Array("!\n".utf8),
            5: Array("\nEnd".utf8), 6: Array("x".utf8),
        ]
        let cases: [(stops: [String], text: String, reason: FinishReason)] = [
            (["é!"], "Hello wörld ", .stopSequence("é!")),
            (["\n\n"], "Hello wörld é!", .stopSequence("\n\n")),
            (["zzz", "ld"], "Hello wör", .stopSequence("ld")),
            (["xxxxxx"], "Hello wörld é!\n\nEndxx", .length),
            (["Endxxx"], "Hello wörld é!\n\nEndxx", .length),
        ]
        for (stops, text, reason) in cases {
            let engine = ServingEngine(runner: ScriptRunner([0, 1, 2, 3, 4, 5, 6])) { _ in ToyDecoder(table) }
            var stopped = request("a", [0], maxTokenCount: 7)
            stopped.sampling = .greedy
            stopped.stopStrings = stops
            let sample = try await output(engine, stopped).samples[0]
            #expect(sample.text == text)
            #expect(sample.finish?.reason == reason)
            stopped.includesStopString = true
            if case .stopSequence(let stop) = reason {
                let sample = try await output(engine, stopped).samples[0]
                #expect(sample.text == text + stop)
            }
        }
    }

    @Test func endOfGenerationTokenEndsTheAnswerUnlessIgnored() async throws {
        let engine = ServingEngine(runner: ScriptRunner([0, 1, 2, 3, 4])) { _ in ToyDecoder() }
        var ended = request("a", [0], maxTokenCount: 6, .greedy)
        ended.endOfGenerationTokenIDs = [3]
        let sample = try await output(engine, ended).samples[0]
        #expect(sample.text == "bc")
        #expect(sample.finish?.reason == .stop(3))
        #expect(sample.finish?.usage.completionTokenCount == 3)
        ended.ignoresEndOfGeneration = true
        #expect(try await output(engine, ended).samples[0].text == "bcdeee")
        ended.stopTokenIDs = [4]
        #expect(try await output(engine, ended).samples[0].finish?.reason == .stop(4))
    }

    @Test func noTokensAreMadeWhenNoneAreAskedFor() async throws {
        var none = request("none", maxTokenCount: 0)
        none.sampleCount = 2
        let output = try await output(engine(), none)
        #expect(output.samples.map(\.text) == ["", ""])
        #expect(output.samples.map(\.finish?.reason) == [.length, .length])
        #expect(output.samples[0].finish?.usage.promptTokenCount == 3)
        #expect(output.samples[0].finish?.usage.completionTokenCount == 0)
    }

    @Test func answerEndsWhereTheContextOrTheCacheEnds() async throws {
        let context = try await output(engine(), request("a", maxTokenCount: nil)).samples[0]
        #expect(context.tokens.count == 61)
        #expect(context.finish?.reason == .length)
        let cache = try await output(engine(HistoryRunner(blockCount: 3)), request("a", maxTokenCount: 1000)).samples[0]
        #expect(cache.tokens.count == 9)
        #expect(cache.finish?.reason == .length)
    }

    // MARK: Refusals

    @Test func requestsThatCanNeverRunAreRefusedWithTheNumbers() {
        let engine = engine(HistoryRunner(contextLength: 16, blockCount: 3))
        func refusal(_ request: GenerationRequest) -> SubmissionError? {
            do throws(SubmissionError) { _ = try engine.submit(request) } catch { return error }
            return nil
        }
        #expect(refusal(request("a", [])) == .emptyPrompt)
        #expect(
            refusal(request("a", Array(repeating: 1, count: 16)))
                == .promptTooLong(promptTokenCount: 16, contextLength: 16))
        #expect(refusal(request("a", Array(repeating: 1, count: 12))) == .exceedsCache(blocksNeeded: 4, blockCount: 3))
        #expect(refusal(request("a", Array(repeating: 1, count: 11))) == nil)
        var fields = [request("promptTokenIDs", [50]), request("promptTokenIDs", [-1])]
        fields.append(request("maxTokenCount", maxTokenCount: -1))
        fields.append(request("topP", [1], SamplingParameters(topP: 2)))
        var changed = request("stopStrings")
        changed.stopStrings = ["a", ""]
        fields.append(changed)
        changed.stopStrings = Array(repeating: "a", count: 65)
        fields.append(changed)
        changed = request("sampleCount")
        changed.sampleCount = 0
        fields.append(changed)
        changed = request("logProbabilityCount")
        changed.logProbabilityCount = -1
        fields.append(changed)
        changed = request("continuedTokenCount")
        changed.continuedTokenCount = 4
        fields.append(changed)
        for bad in fields {
            guard case .invalidParameter(let error) = refusal(bad) else {
                Issue.record("\(bad.id) was taken")
                continue
            }
            #expect(error.field == bad.id)
        }
    }

    @Test func fullQueueAndTakenIDsAreRefused() async throws {
        // Steps wait for this lock, so nothing ends while the test holds it.
        let gate = Mutex(())
        let engine = engine(
            HistoryRunner { _ in gate.withLock { _ in } },
            EngineConfiguration(maxRunningSequences: 1, maxWaitingSequences: 2))
        let streams = try gate.withLock { _ in
            let streams = try (0..<3).map { try engine.submit(request("\($0)", maxTokenCount: nil)) }
            #expect(throws: SubmissionError.queueFull(limit: 3)) { try engine.submit(request("3")) }
            #expect(throws: SubmissionError.duplicateID("1")) { try engine.submit(request("1")) }
            for id in ["0", "1", "2", "unknown"] { engine.cancel(id) }
            return streams
        }
        for stream in streams {
            #expect(await GenerationOutput(stream).samples[0].finish?.reason == .cancelled)
        }
        #expect(try await output(engine, request("1")).samples[0].finish?.reason == .length)
        await engine.shutDown()
        #expect(throws: SubmissionError.shuttingDown) { try engine.submit(request("4")) }
    }
}
