import ServingTensors

/// The engine's thread: takes requests from the mailbox, has the scheduler plan a step, the model compute it and the
/// sampler choose tokens, and sends events. Nothing of it leaves the thread.
final class EngineLoop {
    private let runner: any ModelRunner
    private let mailbox: EngineMailbox
    private let makeDecoder: TokenTextDecoderFactory
    private let now: @Sendable () -> Duration
    private let limits: ModelLimits
    private var scheduler: Scheduler
    private var sampler = Sampler()
    private var requests: [Int: ActiveRequest] = [:]
    private var samples: [SequenceID: ActiveSample] = [:]
    private var statistics = EngineStatistics()
    /// A step that the device computes while the one before is carried out.
    private var ahead: StepPlan?
    /// What the device chose in the step under way, by row.
    private var drawn: [Int: TokenDraw.Outcome] = [:]
    /// Rows of hidden states of the step under way.
    private var hiddenRowCount = 0

    init(
        runner: any ModelRunner, mailbox: EngineMailbox, configuration: EngineConfiguration,
        makeDecoder: @escaping TokenTextDecoderFactory, now: @escaping @Sendable () -> Duration
    ) {
        self.runner = runner
        self.mailbox = mailbox
        self.makeDecoder = makeDecoder
        self.now = now
        limits = runner.limits
        scheduler = Scheduler(limits: SchedulerLimits(model: runner.limits, configuration: configuration))
        publishStatistics()
    }

    /// Runs until it is told to shut down.
    func run() {
        var shutdown: ShutdownMode?
        while true {
            for command in mailbox.takeCommands(isIdle: scheduler.isIdle && shutdown == nil) {
                switch command {
                case .start(let submission): start(submission)
                case .cancel(let serial): end(serial, .cancelled)
                case .shutDown(let mode): shutdown = mode
                }
            }
            if case .cancel = shutdown { endAll(.cancelled) }
            if shutdown != nil, scheduler.isIdle { break }
            if !scheduler.isIdle { step() }
            publishStatistics()
        }
        if ahead != nil { runner.discard() }
        publishStatistics()
        for case .start(let submission) in mailbox.end() {
            start(submission)
            end(submission.serial, .cancelled)
        }
    }

    // MARK: Requests

    private func start(_ submission: Submission) {
        let active = ActiveRequest(submission, limits: limits)
        let request = submission.request
        requests[submission.serial] = active
        let samples = (0..<request.sampleCount).map { index in
            ActiveSample(active, index: request.firstSampleIndex + index, decoder: makeDecoder(request))
        }
        let isOver = active.tokenAllowance == 0 || samples.allSatisfy { $0.continuedEnd != nil }
        if isOver, !request.includesPromptLogProbabilities, !request.wantsEmbedding {
            announce(active, cachedTokenCount: 0)
            for sample in samples { sample.finish(sample.continuedEnd ?? .length) }
            retire(active)
            return
        }
        active.sequenceIDs = scheduler.add(
            promptTokenIDs: request.promptTokenIDs, adapter: request.adapterKey, weights: request.adapter,
            sampleCount: request.sampleCount, wantsPromptLogits: request.includesPromptLogProbabilities,
            wantsHiddenStates: request.wantsEmbedding)
        for (id, sample) in zip(active.sequenceIDs, samples) { self.samples[id] = sample }
    }

    private func announce(_ active: ActiveRequest, cachedTokenCount: Int) {
        let startedAt = now()
        active.startedAt = startedAt
        active.cachedTokenCount = cachedTokenCount
        active.send(
            .started(
                GenerationEvent.Start(
                    seed: active.submission.seed, promptTokenCount: active.request.promptTokenIDs.count,
                    cachedTokenCount: cachedTokenCount, queueDuration: startedAt - active.submission.submittedAt,
                    firstSampleIndex: active.request.firstSampleIndex, continuedText: active.continuedText)))
    }

    /// Ends what is left of a request. Unknown serials are of requests that have ended.
    private func end(_ serial: Int, _ reason: FinishReason) {
        guard let active = requests[serial] else { return }
        let ids = active.sequenceIDs.filter { samples[$0] != nil }
        scheduler.abort(Set(ids))
        for id in ids { samples.removeValue(forKey: id)?.finish(reason) }
        retire(active)
    }

    private func endAll(_ reason: FinishReason) {
        for serial in requests.keys.sorted() { end(serial, reason) }
    }

    private func retire(_ active: ActiveRequest) {
        requests[active.submission.serial] = nil
        // Before the stream ends, so that whoever saw the end may use the id again.
        mailbox.retire(active.submission)
        active.submission.events.finish()
    }

    // MARK: Steps

    private func step() {
        if let plan = ahead {
            ahead = nil
            let adopted = scheduler.adopt(plan)
            if !adopted.runs.isEmpty { return compute(adopted, isLaunched: true) }
            // All its sequences have ended.
            runner.discard()
        }
        var plan = scheduler.schedule()
        precondition(!plan.runs.isEmpty || !plan.preempted.isEmpty, "a step for nothing: the scheduler is stuck")
        statistics.preemptionCount += plan.preempted.count
        for admission in plan.admissions { note(admission) }
        guard !plan.runs.isEmpty else { return }
        if runner.drawsTokens { plan.batch.draws = draws(of: plan) }
        compute(plan, isLaunched: false)
    }

    private func compute(_ plan: StepPlan, isLaunched: Bool) {
        statistics.stepCount += 1
        let kinds = kinds(of: plan)
        statistics.steps += kinds
        do {
            let rows = try rows(of: plan, isLaunched: isLaunched)
            guard rows.vocabularyCount == limits.vocabularyCount,
                rows.rowCount == plan.batch.logitTokenIndices.count
            else { throw StepError.unexpectedRows(rows.rowCount, rows.vocabularyCount) }
            statistics.computedTokenCount += plan.batch.tokenIDs.count
            statistics.hasFailedLately = false
            hiddenRowCount = plan.batch.hiddenTokenIndices.count
            carryOut(plan, rows)
        } catch {
            statistics.failedStepCount += 1
            statistics.failedSteps += kinds
            statistics.hasFailedLately = true
            if ahead != nil {
                ahead = nil
                runner.discard()
            }
            let serials = Set(plan.runs.compactMap { samples[$0.sequenceID]?.active.submission.serial })
            for serial in serials.sorted() { end(serial, .failed(String(describing: error))) }
        }
        // Nobody waits for what is under way.
        if ahead != nil, scheduler.isIdle {
            ahead = nil
            runner.discard()
        }
    }

    /// Has a step computed, and the one after it launched where that can be planned already: the device need not wait
    /// while this one is carried out.
    private func rows(of plan: StepPlan, isLaunched: Bool) throws -> LogitRows {
        let next = planAhead(plan)
        guard isLaunched || next != nil else {
            let rows = try runner.forward(plan.batch)
            take(plan.batch.draws, runner.drawnTokens)
            return rows
        }
        if !isLaunched { try runner.launch(plan.batch) }
        if let next {
            do {
                try runner.launch(next.batch)
                ahead = next
                statistics.aheadStepCount += 1
            } catch {
                // The step itself is none the worse; the next one will fail by itself where it must.
                ahead = nil
            }
        }
        take(plan.batch.draws, try runner.collect())
        return LogitRows(
            scores: UnsafeMutableBufferPointer(start: nil, count: 0), vocabularyCount: limits.vocabularyCount,
            rowCount: plan.batch.logitTokenIndices.count)
    }

    private func take(_ draws: [TokenDraw], _ outcomes: [TokenDraw.Outcome]) {
        drawn = Dictionary(uniqueKeysWithValues: zip(draws, outcomes).map { ($0.row, $1) })
    }

    /// The step after a step, where it depends on nothing but the tokens that the device chooses in this one.
    private func planAhead(_ plan: StepPlan) -> StepPlan? {
        guard runner.runsAhead, !plan.runs.isEmpty,
            plan.batch.draws.count == plan.batch.logitTokenIndices.count, plan.batch.hiddenTokenIndices.isEmpty,
            plan.runs.allSatisfy({ samples[$0.sequenceID]?.sampler.isWithoutHistory ?? false })
        else { return nil }
        let sequences = samples
        let next = scheduler.lookAhead(plan) { id in
            guard let sample = sequences[id] else { return false }
            return sample.tokenCount + 1 < sample.active.tokenAllowance
        }
        guard var next else { return nil }
        var sources: [SequenceID: Int] = [:]
        let places = Dictionary(
            uniqueKeysWithValues: plan.batch.draws.enumerated().map { ($1.row, $0) })
        for run in plan.runs { sources[run.sequenceID] = run.sampledRow.flatMap { places[$0] } }
        next.batch.tokenSources = next.runs.compactMap { sources[$0.sequenceID] }
        next.batch.draws = next.runs.enumerated().compactMap { row, run in
            samples[run.sequenceID].flatMap { $0.sampler.draw(row: row, position: $0.nextPosition + 1) }
        }
        let count = next.runs.count
        return next.batch.tokenSources.count == count && next.batch.draws.count == count ? next : nil
    }

    /// The tokens that the device is to choose.
    private func draws(of plan: StepPlan) -> [TokenDraw] {
        plan.runs.compactMap { run in
            guard let row = run.sampledRow, let sample = samples[run.sequenceID],
                sample.active.tokenAllowance > 0, !sample.active.request.wantsEmbedding
            else { return nil }
            return sample.sampler.draw(row: row, position: sample.nextPosition)
        }
    }

    private func kinds(of plan: StepPlan) -> StepCounts {
        var counts = StepCounts()
        for run in plan.runs {
            if !run.hiddenRows.isEmpty {
                counts.embedding = 1
            } else if let sample = samples[run.sequenceID], sample.tokenCount > 0, run.positions.count == 1,
                run.positions.upperBound == sample.nextPosition
            {
                counts.decode = 1
            } else {
                counts.prefill = 1
            }
        }
        return counts
    }

    private func note(_ admission: StepPlan.Admission) {
        if admission.cachedTokenCount > 0 {
            statistics.prefixHitCount += 1
            statistics.prefixHitTokenCount += admission.cachedTokenCount
        }
        guard let active = samples[admission.sequenceID]?.active, active.startedAt == nil else { return }
        announce(active, cachedTokenCount: admission.cachedTokenCount)
    }

    private func carryOut(_ plan: StepPlan, _ rows: LogitRows) {
        let time = now()
        var outcomes: [RunOutcome] = []
        outcomes.reserveCapacity(plan.runs.count)
        var finished: [(SequenceID, FinishReason)] = []
        for run in plan.runs {
            guard let sample = samples[run.sequenceID] else { preconditionFailure("a run of an unknown sequence") }
            do throws(SamplingError) {
                let reason = try advance(sample, run, rows, time, &outcomes)
                if let reason { finished.append((run.sequenceID, reason)) }
            } catch {
                outcomes.append(.finished)
                finished.append((run.sequenceID, .failed(error.description)))
            }
        }
        scheduler.complete(plan, outcomes)
        for (id, reason) in finished { finish(id, reason) }
    }

    /// Takes what a run computed, appends its outcome, and returns why the sample ends, if it does.
    private func advance(
        _ sample: ActiveSample, _ run: StepPlan.Run, _ rows: LogitRows, _ time: Duration,
        _ outcomes: inout [RunOutcome]
    ) throws(SamplingError) -> FinishReason? {
        if sample.active.request.wantsEmbedding { return takeHiddenStates(sample.active, run, &outcomes) }
        try takePromptLogits(sample.active, run, rows)
        guard let row = run.sampledRow else {
            outcomes.append(.computed)
            return nil
        }
        let active = sample.active
        if sample.tokenCount == 0, run.sequenceID == active.sequenceIDs.lowerBound,
            active.request.includesPromptLogProbabilities
        {
            active.send(.prompt(active.promptTokens))
            active.promptTokens = []
        }
        guard active.tokenAllowance > 0 else {
            outcomes.append(.finished)
            return .length
        }
        let token: SampledToken
        switch drawn[row] {
        case nil: token = try sampler.choose(from: rows[row], state: sample.sampler, position: sample.nextPosition)
        case .token(let id): token = SampledToken(id: id)
        case .noCandidate: throw .noCandidate
        case .invalidScore: throw .invalidScore
        }
        statistics.generatedTokenCount += 1
        let reason = sample.take(token, now: time)
        outcomes.append(reason == nil ? .next(token.id) : .finished)
        return reason
    }

    /// Adds up the hidden states of a run; the last one sends their mean.
    private func takeHiddenStates(
        _ active: ActiveRequest, _ run: StepPlan.Run, _ outcomes: inout [RunOutcome]
    ) -> FinishReason? {
        let rows = runner.hiddenRows
        let width = rows.count / max(1, hiddenRowCount)
        guard width > 0 else {
            outcomes.append(.finished)
            return .failed("this model gives no embeddings")
        }
        // A sequence that was preempted begins anew.
        if run.positions.lowerBound == 0 { active.hiddenSum = Array(repeating: 0, count: width) }
        for row in run.hiddenRows {
            for column in 0..<width { active.hiddenSum[column] += Double(rows[row * width + column]) }
        }
        let count = active.request.promptTokenIDs.count
        guard run.positions.upperBound == count else {
            outcomes.append(.computed)
            return nil
        }
        outcomes.append(.finished)
        let mean = active.hiddenSum.map { Float($0 / Double(count)) }
        guard mean.allSatisfy(\.isFinite) else {
            return .failed("the model's hidden states are not finite: its weights or the adapter's are too large")
        }
        active.send(.embedding(mean))
        return .length
    }

    private func takePromptLogits(
        _ active: ActiveRequest, _ run: StepPlan.Run, _ rows: LogitRows
    ) throws(SamplingError) {
        let prompt = active.request.promptTokenIDs
        if active.request.includesPromptLogProbabilities, active.promptTokens.isEmpty, run.positions.contains(0) {
            active.promptTokens.append(PromptToken(id: prompt[0], logProbability: nil, alternatives: []))
        }
        for (offset, position) in run.promptLogits.enumerated() {
            let token = try Sampler.logProbabilities(
                of: prompt[position + 1], in: UnsafeBufferPointer(rows[run.firstRow + offset]),
                count: active.request.logProbabilityCount ?? 0)
            active.promptTokens.append(
                PromptToken(id: token.id, logProbability: token.logProbability, alternatives: token.alternatives))
        }
    }

    private func finish(_ id: SequenceID, _ reason: FinishReason) {
        guard let sample = samples.removeValue(forKey: id) else { return }
        sample.finish(reason)
        sample.active.unfinishedCount -= 1
        if sample.active.unfinishedCount == 0 { retire(sample.active) }
    }

    private func publishStatistics() {
        statistics.runningCount = scheduler.running.count
        statistics.waitingCount = scheduler.waitingCount
        statistics.usedBlockCount = scheduler.pool.usedCount
        statistics.cachedBlockCount = scheduler.pool.cachedCount
        statistics.freeBlockCount = scheduler.pool.freeCount - scheduler.pool.cachedCount
        mailbox.publish(statistics)
    }
}

/// A step that did not do what it promised.
private enum StepError: Error, CustomStringConvertible {
    case unexpectedRows(Int, Int)

    var description: String {
        switch self {
        case .unexpectedRows(let rowCount, let vocabularyCount):
            "the model returned \(rowCount) rows of \(vocabularyCount) logits, which is not what was asked for"
        }
    }
}
