import ServingTensors
import Testing

@testable import ServingEngine

@Suite struct SchedulerTests {
    /// Random requests, budgets, pool sizes and cancels: everybody gets the tokens of a run alone.
    @Test(arguments: 0..<36)
    func randomLoadGivesEveryoneTheTokensOfASoloRun(seed: Int) throws {
        var random = SplitMix(state: UInt64(seed))
        let size = Int.random(in: 1...5, using: &random)
        let longest = 40
        let blockCount = (longest + size - 1) / size + Int.random(in: 0...12, using: &random)
        let budget = Int.random(in: 1...20, using: &random)
        let configuration = EngineConfiguration(
            maxRunningSequences: Int.random(in: 1...12, using: &random),
            maxPrefillChunk: Bool.random(using: &random) ? Int.random(in: 1...7, using: &random) : nil,
            usesPrefixCache: seed % 3 != 0)
        let harness = SchedulerHarness(
            runner: HistoryRunner(blockCount: blockCount, positionsPerBlock: size, maxBatchedTokens: budget),
            configuration: configuration, hashMask: seed % 4 == 1 ? 3 : .max)
        let prefixes = (0..<3).map { _ in (0..<20).map { _ in TokenID.random(in: 0..<50, using: &random) } }
        var expected: [SequenceID: [TokenID]] = [:]
        for _ in 0..<150 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<3:
                let common = prefixes[Int.random(in: 0..<3, using: &random)].prefix(
                    Int.random(in: 0...20, using: &random))
                let tail = (0...Int.random(in: 0..<6, using: &random)).map { _ in
                    TokenID.random(in: 0..<50, using: &random)
                }
                let prompt = common + tail
                let count = Int.random(in: 1...(longest - prompt.count), using: &random)
                let samples = Int.random(in: 0..<4, using: &random) == 0 ? 3 : 1
                let key = UInt64.random(in: 0...9, using: &random)
                let ids = harness.add(Array(prompt), tokenCount: count, sampleCount: samples, seed: key)
                let solo = try solo(Array(prompt), tokenCount: count, sampleCount: samples, seed: key)
                for (id, answer) in zip(ids, solo) { expected[id] = answer }
            case 3:
                if let id = harness.wanted.keys.sorted().randomElement(using: &random) { try harness.abort(id) }
            default:
                if !harness.scheduler.isIdle { try harness.step() }
            }
        }
        try harness.runToEnd()
        for (id, answer) in harness.answers {
            let solo = try #require(expected[id])
            #expect(answer.elementsEqual(solo.prefix(answer.count)), "sequence \(id)")
        }
    }

    private func solo(_ prompt: [TokenID], tokenCount: Int, sampleCount: Int, seed: UInt64) throws -> [[TokenID]] {
        try (0..<sampleCount).map { index in
            let harness = SchedulerHarness(runner: HistoryRunner(maxBatchedTokens: 64))
            let id = harness.add(prompt, tokenCount: tokenCount, seed: seed).lowerBound
            harness.states[id] = SamplerState(
                GenerationRequest(id: "", promptTokenIDs: prompt), seed: seed, sampleIndex: index)
            try harness.runToEnd()
            return harness.answers[id] ?? []
        }
    }

    @Test func tooFewBlocksPreemptTheLatestArrival() throws {
        let harness = SchedulerHarness(runner: HistoryRunner(blockCount: 4, positionsPerBlock: 2, maxBatchedTokens: 8))
        harness.add([1, 2], tokenCount: 6)
        harness.add([3, 4], tokenCount: 6)
        var preempted: [SequenceID] = []
        while !harness.scheduler.isIdle { preempted += try harness.step().preempted }
        #expect(Set(preempted) == [1])
        #expect(harness.answers.mapValues(\.count) == [0: 6, 1: 6])
    }

    @Test func longPromptLeavesRoomForEveryDecodingSequence() throws {
        let harness = SchedulerHarness(runner: HistoryRunner(blockCount: 64, maxBatchedTokens: 6))
        for token in 0..<3 { harness.add([TokenID(token)], tokenCount: 20) }
        try harness.step()
        harness.add(Array(repeating: 5, count: 30), tokenCount: 2)
        // Each step: three decodes and three tokens of the prompt.
        for step in 1...10 {
            let plan = try harness.step()
            #expect(plan.runs.map { $0.positions.count } == [1, 1, 1, 3])
            #expect(plan.runs.last?.sampledRow != nil || step < 10)
        }
    }

    @Test func promptAdvancesInEveryStepHoweverManyDecode() throws {
        let configuration = EngineConfiguration(maxRunningSequences: 100)
        let harness = SchedulerHarness(
            runner: HistoryRunner(blockCount: 64, maxBatchedTokens: 4), configuration: configuration)
        for token in 0..<3 { harness.add([TokenID(token)], tokenCount: 30) }
        try harness.step()
        harness.add(Array(repeating: 5, count: 10), tokenCount: 1)
        for _ in 0..<10 {
            let plan = try harness.step()
            #expect(plan.runs.map { $0.positions.count } == [1, 1, 1, 1])
        }
        #expect(harness.answers[3]?.count == 1)
    }

    @Test func prefixOfAnEarlierRequestIsNotComputedAgain() throws {
        let harness = SchedulerHarness(runner: HistoryRunner(maxBatchedTokens: 64))
        let prompt = (0..<12).map { TokenID($0) }
        harness.add(prompt, tokenCount: 1)
        try harness.runToEnd()
        harness.add(prompt + [40], tokenCount: 1)
        harness.add(prompt, tokenCount: 1)
        harness.add(prompt, tokenCount: 1, adapter: "other")
        try harness.runToEnd()
        // P = 4: of twelve equal tokens the last block is computed again, for the last token's logits.
        #expect(harness.admissions.map(\.cachedTokenCount) == [0, 12, 8, 0])
    }

    @Test func samplesShareThePromptsBlocksWithoutThePrefixCache() throws {
        let harness = SchedulerHarness(
            runner: HistoryRunner(maxBatchedTokens: 64), configuration: EngineConfiguration(usesPrefixCache: false))
        harness.add((0..<16).map { TokenID($0) }, tokenCount: 8, sampleCount: 3, seed: 5)
        try harness.step()
        try harness.step()
        #expect(harness.admissions.map(\.cachedTokenCount) == [0, 12, 12])
        #expect(Set(harness.scheduler.running.map { $0.blockTable[..<3] }).count == 1)
        try harness.runToEnd()
        harness.add((0..<16).map { TokenID($0) }, tokenCount: 8)
        try harness.runToEnd()
        #expect(harness.admissions.last?.cachedTokenCount == 0)
        #expect(Set((0..<3).map { harness.answers[$0] ?? [] }).count == 3)
    }

    @Test func adapterWithOneRequestIsNotHeldUpByAnAdapterWithMany() throws {
        let harness = SchedulerHarness(
            runner: HistoryRunner(blockCount: 64, maxBatchedTokens: 8),
            configuration: EngineConfiguration(maxRunningSequences: 2))
        for index in 0..<50 { harness.add([TokenID(index), 1, 2], tokenCount: 4, adapter: "busy") }
        for _ in 0..<6 { try harness.step() }
        let letIn = harness.admissions.count
        let quiet = harness.add([9, 9], tokenCount: 2, adapter: "quiet").lowerBound
        try harness.runToEnd()
        let place = harness.admissions.firstIndex { $0.sequenceID == quiet } ?? .max
        #expect(place <= letIn + 1)
    }

    @Test func adaptersThatAlwaysWaitAreServedAlike() throws {
        let harness = SchedulerHarness(
            runner: HistoryRunner(blockCount: 64, maxBatchedTokens: 16),
            configuration: EngineConfiguration(maxRunningSequences: 4, usesPrefixCache: false))
        // "long" asks for four times the tokens a request, so it gets about a quarter of the requests.
        for index in 0..<60 {
            harness.add(Array(repeating: TokenID(index % 50), count: 16), tokenCount: 16, adapter: "long")
        }
        for index in 0..<60 {
            harness.add(Array(repeating: TokenID(index % 50), count: 4), tokenCount: 4, adapter: "short")
        }
        while harness.admissions.count < 50 { try harness.step() }
        let long = harness.admissions.count { $0.sequenceID < 60 }
        #expect((8...14).contains(long), "\(long) of 50")
    }

    @Test func largeRequestGetsInAlthoughSmallOnesKeepComing() throws {
        let harness = SchedulerHarness(runner: HistoryRunner(blockCount: 8, maxBatchedTokens: 32))
        for index in 0..<4 { harness.add([TokenID(index)], tokenCount: 8, adapter: "first") }
        try harness.step()
        let large = harness.add(Array(repeating: 7, count: 30), tokenCount: 1, adapter: "large").lowerBound
        for step in 0..<60 where harness.wanted[large] != nil {
            harness.add([TokenID(step % 50)], tokenCount: 8, adapter: "small \(step)")
            try harness.step()
        }
        #expect(harness.answers[large]?.count == 1)
        try harness.runToEnd()
    }

    @Test func abortFreesBlocksInEveryState() throws {
        let harness = SchedulerHarness(
            runner: HistoryRunner(maxBatchedTokens: 4), configuration: EngineConfiguration(maxRunningSequences: 2))
        let decoding = harness.add([1], tokenCount: 9).lowerBound
        try harness.step()
        let prefilling = harness.add(Array(repeating: 2, count: 20), tokenCount: 9, sampleCount: 3).lowerBound
        let waiting = harness.add([3], tokenCount: 9).lowerBound
        try harness.step()
        #expect(harness.scheduler.running.map(\.id) == [decoding, prefilling])
        for id in [waiting, decoding, prefilling, prefilling + 1, prefilling + 2] { try harness.abort(id) }
        #expect(harness.scheduler.isIdle)
        #expect(harness.scheduler.pool.usedCount == 0)
    }

    @Test func sequencesOfOneAdapterStandSideBySideInAStep() throws {
        let harness = SchedulerHarness(runner: HistoryRunner(blockCount: 64, maxBatchedTokens: 32))
        let adapters: [String?] = ["a", nil, "b", "a", "b", nil, "a"]
        var expected: [SequenceID: String?] = [:]
        for (index, adapter) in adapters.enumerated() {
            expected[harness.add([TokenID(index)], tokenCount: 6, adapter: adapter).lowerBound] = adapter
        }
        var scheduler = harness.scheduler
        let plan = scheduler.schedule()
        let order = plan.runs.map { expected[$0.sequenceID] ?? nil }
        var seen: [String?] = []
        for adapter in order where seen.last != adapter { seen.append(adapter) }
        #expect(order.count == adapters.count)
        #expect(seen.count == 3, "\(order)")
        try harness.runToEnd()
    }

    @Test func adaptersThatCameAndWentAreForgotten() throws {
        let harness = SchedulerHarness(runner: HistoryRunner(blockCount: 64, maxBatchedTokens: 32))
        let staying = harness.add([1, 2, 3], tokenCount: 20, adapter: "staying").lowerBound
        for number in 0..<10_000 {
            let id = harness.add([TokenID(number % 50)], tokenCount: 4, adapter: "adapter-\(number)")
            try harness.abort(id.lowerBound)
        }
        #expect(harness.scheduler.waiting.lineCount <= 1024)
        try harness.runToEnd()
        #expect(harness.answers[staying]?.count == 20)
    }
}
