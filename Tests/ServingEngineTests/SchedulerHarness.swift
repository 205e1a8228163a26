import ServingTensors
import Testing

@testable import ServingEngine

/// Drives a scheduler and a ``HistoryRunner`` step by step, without threads, checking every invariant after each step.
final class SchedulerHarness {
    var scheduler: Scheduler
    let runner: HistoryRunner
    var sampler = Sampler()
    /// Tokens that each live sequence is still to get.
    var wanted: [SequenceID: Int] = [:]
    var answers: [SequenceID: [TokenID]] = [:]
    var positions: [SequenceID: Int] = [:]
    var states: [SequenceID: SamplerState] = [:]
    var admissions: [StepPlan.Admission] = []
    var preemptedCount = 0
    var stepCount = 0

    init(runner: HistoryRunner, configuration: EngineConfiguration = EngineConfiguration(), hashMask: UInt64 = .max) {
        self.runner = runner
        scheduler = Scheduler(
            limits: SchedulerLimits(model: runner.limits, configuration: configuration), hashMask: hashMask)
    }

    @discardableResult
    func add(
        _ prompt: [TokenID], tokenCount: Int, adapter: String? = nil, sampleCount: Int = 1, seed: UInt64 = 0
    ) -> Range<SequenceID> {
        let ids = scheduler.add(
            promptTokenIDs: prompt, adapter: adapter.map { AdapterKey($0) }, sampleCount: sampleCount)
        let request = GenerationRequest(id: "", promptTokenIDs: prompt)
        for (index, id) in ids.enumerated() {
            wanted[id] = tokenCount
            answers[id] = []
            positions[id] = prompt.count
            states[id] = SamplerState(request, seed: seed, sampleIndex: index)
        }
        return ids
    }

    func abort(_ id: SequenceID) throws {
        scheduler.abort([id])
        wanted[id] = nil
        try scheduler.checkIntegrity()
    }

    /// One step; returns its plan.
    @discardableResult
    func step() throws -> StepPlan {
        let decoding = scheduler.running.filter { $0.missingTokenCount == 1 }.map(\.id)
        let plan = scheduler.schedule()
        #expect(plan.batch.tokenIDs.count <= scheduler.limits.maxBatchedTokens)
        #expect(!plan.runs.isEmpty || !plan.preempted.isEmpty)
        let computed = Set(plan.runs.map(\.sequenceID)).union(plan.preempted)
        #expect(computed.isSuperset(of: decoding), "a decoding sequence was passed over")
        admissions += plan.admissions
        preemptedCount += plan.preempted.count
        stepCount += 1
        let rows = try runner.forward(plan.batch)
        var outcomes: [RunOutcome] = []
        for run in plan.runs {
            guard let row = run.sampledRow, let state = states[run.sequenceID] else {
                outcomes.append(.computed)
                continue
            }
            let token = try sampler.choose(
                from: rows[row], state: state, position: positions[run.sequenceID, default: 0])
            positions[run.sequenceID, default: 0] += 1
            answers[run.sequenceID, default: []].append(token.id)
            let left = wanted[run.sequenceID, default: 0] - 1
            wanted[run.sequenceID] = left == 0 ? nil : left
            outcomes.append(left == 0 ? .finished : .next(token.id))
        }
        scheduler.complete(plan, outcomes)
        try scheduler.checkIntegrity()
        return plan
    }

    func runToEnd() throws {
        while !scheduler.isIdle { try step() }
        #expect(scheduler.pool.usedCount == 0)
        #expect(wanted.isEmpty)
    }
}
