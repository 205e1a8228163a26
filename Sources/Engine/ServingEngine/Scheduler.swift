import ServingTensors

/// Sizes that the scheduler plans with.
struct SchedulerLimits {
    /// Tokens a step may compute.
    var maxBatchedTokens: Int
    /// Sequences a step may compute; at most `maxBatchedTokens`, so that each running sequence can advance in each
    /// step.
    var maxRunningSequences: Int
    /// Prompt tokens of one sequence in a step.
    var maxPrefillChunk: Int
    /// N.
    var blockCount: Int
    /// P.
    var positionsPerBlock: Int
    var usesPrefixCache: Bool

    init(model: ModelLimits, configuration: EngineConfiguration) {
        let budget = min(configuration.maxBatchedTokens ?? Int.max, model.maxBatchedTokens)
        maxBatchedTokens = max(1, budget)
        maxRunningSequences = max(1, min(configuration.maxRunningSequences, maxBatchedTokens))
        maxPrefillChunk = max(1, configuration.maxPrefillChunk ?? Int.max)
        blockCount = model.blockCount
        positionsPerBlock = model.positionsPerBlock
        usesPrefixCache = configuration.usesPrefixCache
    }
}

/// Decides what each step computes; a plain value that knows neither model nor clock.
///
/// Each step has one token budget. Running sequences that need one token (decode) come first, then running ones that
/// need more, in chunks (prefill), then sequences are let in from the ``WaitingQueue`` while budget, places and blocks
/// last. A sequence gets the blocks of all its tokens when it is let in, and one more whenever it outgrows them. When
/// none is left, the latest arrival gives up its blocks and waits again (preemption by recompute); the earliest never
/// does, and a sequence alone always fits, so every step makes progress.
///
/// Called by the engine loop: `schedule`, then `complete`, or `abort` of the whole plan when the step failed.
struct Scheduler {
    /// Rows of prompt logits of one sequence in a step; bounds the runner's output, (64, V).
    static let promptLogitRowLimit = 64

    let limits: SchedulerLimits
    /// In order of arrival.
    private(set) var running: [SequenceState] = []
    private(set) var waiting = WaitingQueue()
    private(set) var pool: KVBlockPool
    /// Further samples of a request, which wait for the first one to compute the prompt that they share.
    private var heldBack: [SequenceID: [SequenceState]] = [:]
    private var heldBackCount = 0
    /// Where each adapter's prefixes begin, by adapter index.
    private var prefixRoots: [Int: KVBlockPool.PrefixID] = [:]
    private var nextID: SequenceID = 0

    /// A scheduler with nothing to do; `hashMask` is the pool's, for tests.
    init(limits: SchedulerLimits, hashMask: UInt64 = .max) {
        self.limits = limits
        pool = KVBlockPool(
            blockCount: limits.blockCount, positionsPerBlock: limits.positionsPerBlock, hashMask: hashMask)
    }

    /// Sequences that are not running.
    var waitingCount: Int { waiting.count + heldBackCount }

    var isIdle: Bool { running.isEmpty && waitingCount == 0 }

    // MARK: In and out

    /// Adds the samples of a request and returns their ids. The prompt with one more token must fit the pool.
    mutating func add(
        promptTokenIDs: [TokenID], adapter: AdapterKey? = nil, weights: (any ResidentAdapter)? = nil,
        sampleCount: Int = 1, wantsPromptLogits: Bool = false, wantsHiddenStates: Bool = false
    ) -> Range<SequenceID> {
        precondition(promptTokenIDs.count / limits.positionsPerBlock < limits.blockCount, "the prompt can never fit")
        forgetIdleAdapters()
        let adapterIndex = waiting.index(of: adapter)
        let prefixRoot = makePrefixRoot(adapterIndex: adapterIndex, sampleCount: sampleCount)
        let ids = nextID..<nextID + sampleCount
        nextID = ids.upperBound
        let samples = ids.map { id in
            let isFirst = id == ids.lowerBound
            return SequenceState(
                id: id, adapterIndex: adapterIndex, adapter: weights, promptTokenCount: promptTokenIDs.count,
                tokenIDs: promptTokenIDs, prefixRoot: prefixRoot,
                wantedPromptLogits: isFirst && wantsPromptLogits ? 0..<promptTokenIDs.count - 1 : 0..<0,
                wantsHiddenStates: wantsHiddenStates)
        }
        waiting.insert(samples[0])
        if sampleCount > 1 {
            heldBack[ids.lowerBound] = Array(samples.dropFirst())
            heldBackCount += sampleCount - 1
        }
        return ids
    }

    /// Drops what is known of adapters that nothing runs with, when there are many. Their prefixes age out of the pool.
    private mutating func forgetIdleAdapters() {
        guard waiting.lineCount >= waiting.lineLimit else { return }
        var live = Set(running.map(\.adapterIndex))
        for samples in heldBack.values { live.formUnion(samples.map(\.adapterIndex)) }
        for index in waiting.forgetIdleLines(except: live) { prefixRoots[index] = nil }
    }

    /// With the prefix cache off, the samples of one request still find each other's blocks under a root of their own.
    private mutating func makePrefixRoot(adapterIndex: Int, sampleCount: Int) -> KVBlockPool.PrefixID? {
        guard limits.usesPrefixCache else { return sampleCount > 1 ? pool.makeRoot() : nil }
        if let root = prefixRoots[adapterIndex] { return root }
        let root = pool.makeRoot()
        prefixRoots[adapterIndex] = root
        return root
    }

    /// Removes sequences and frees their blocks. Unknown ids are skipped.
    mutating func abort(_ ids: Set<SequenceID>) {
        removeRunning(ids)
        waiting.remove(ids)
        for (first, samples) in heldBack {
            let kept = samples.filter { !ids.contains($0.id) }
            heldBackCount -= samples.count - kept.count
            heldBack[first] = kept.isEmpty ? nil : kept
        }
        for id in ids { letSamplesIn(after: id) }
    }

    private mutating func removeRunning(_ ids: Set<SequenceID>) {
        for index in running.indices where ids.contains(running[index].id) { pool.release(running[index].blockTable) }
        running.removeAll { ids.contains($0.id) }
    }

    /// Lets the samples wait in line that were held back for this one.
    private mutating func letSamplesIn(after id: SequenceID) {
        guard let samples = heldBack.removeValue(forKey: id) else { return }
        heldBackCount -= samples.count
        for sample in samples { waiting.insert(sample) }
    }

    // MARK: Planning

    /// Plans the next step. The plan is empty only when nothing runs or waits.
    mutating func schedule() -> StepPlan {
        var plan = StepPlan()
        var budget = limits.maxBatchedTokens
        for index in running.indices { running[index].scheduledTokenCount = 0 }
        scheduleDecodes(&plan, &budget)
        for index in running.indices where running[index].scheduledTokenCount == 0 {
            budget -= scheduleChunk(index, budget: budget)
        }
        if plan.preempted.isEmpty { admit(&plan, &budget) }
        assemble(&plan)
        return plan
    }

    private mutating func scheduleDecodes(_ plan: inout StepPlan, _ budget: inout Int) {
        var index = 0
        while index < running.count {
            defer { index += 1 }
            guard running[index].missingTokenCount == 1 else { continue }
            while running[index].blockTable.count * limits.positionsPerBlock < running[index].tokenIDs.count {
                if let block = pool.allocate() {
                    running[index].blockTable.append(block)
                    continue
                }
                // The last one has no part in this step yet: parts are given out in the order of `running`.
                let isSelf = index == running.count - 1
                plan.preempted.append(preemptLast())
                if isSelf { return }
            }
            running[index].scheduledTokenCount = 1
            budget -= 1
        }
    }

    private mutating func preemptLast() -> SequenceID {
        var sequence = running.removeLast()
        pool.release(sequence.blockTable)
        sequence.blockTable = []
        sequence.computedTokenCount = 0
        sequence.scheduledTokenCount = 0
        waiting.insert(sequence)
        return sequence.id
    }

    /// Gives a sequence as much of the budget as it can use and returns that.
    private mutating func scheduleChunk(_ index: Int, budget: Int) -> Int {
        var count = min(running[index].missingTokenCount, budget, limits.maxPrefillChunk)
        if !running[index].wantedPromptLogits.isEmpty { count = min(count, Self.promptLogitRowLimit) }
        running[index].scheduledTokenCount = count
        return count
    }

    private mutating func admit(_ plan: inout StepPlan, _ budget: inout Int) {
        while budget > 0, running.count < limits.maxRunningSequences, let first = waiting.first {
            guard let prefix = reservePrefix(of: first), var sequence = waiting.removeFirst() else { return }
            let blockCount = neededBlockCount(sequence)
            sequence.blockTable = prefix.blocks
            while sequence.blockTable.count < blockCount, let block = pool.allocate() {
                sequence.blockTable.append(block)
            }
            sequence.rememberedBlockCount = prefix.blocks.count
            sequence.prefixID = prefix.id
            sequence.computedTokenCount = prefix.blocks.count * limits.positionsPerBlock
            sequence.chargedTokenCount = max(sequence.chargedTokenCount, sequence.computedTokenCount)
            plan.admissions.append(
                StepPlan.Admission(sequenceID: sequence.id, cachedTokenCount: sequence.computedTokenCount))
            let place = running.lastIndex { $0.id < sequence.id }.map { $0 + 1 } ?? 0
            running.insert(sequence, at: place)
            budget -= scheduleChunk(place, budget: budget)
        }
    }

    private func neededBlockCount(_ sequence: SequenceState) -> Int {
        (sequence.tokenIDs.count + limits.positionsPerBlock - 1) / limits.positionsPerBlock
    }

    /// Holds the remembered blocks of a sequence's prefix when there is room for all its other tokens too.
    private mutating func reservePrefix(
        of sequence: SequenceState
    ) -> (blocks: [BlockID], id: KVBlockPool.PrefixID)? {
        var prefix: (blocks: [BlockID], id: KVBlockPool.PrefixID) = ([], sequence.prefixRoot ?? 0)
        if let root = sequence.prefixRoot {
            prefix = pool.longestPrefix(root: root, of: sequence.tokenIDs, limit: sequence.reusableTokenCount)
        }
        let fresh = neededBlockCount(sequence) - prefix.blocks.count
        guard fresh + pool.unheldCount(of: prefix.blocks) <= pool.freeCount else { return nil }
        for block in prefix.blocks { pool.retain(block) }
        return prefix
    }

    /// Puts the step together, the sequences of one adapter side by side.
    private mutating func assemble(_ plan: inout StepPlan) {
        plan.runs.reserveCapacity(running.count)
        plan.batch.sequences.reserveCapacity(running.count)
        var places = running.indices.filter { running[$0].scheduledTokenCount > 0 }
        if places.contains(where: { running[$0].adapterIndex != running[places[0]].adapterIndex }) {
            places.sort { (running[$0].adapterIndex, $0) < (running[$1].adapterIndex, $1) }
        }
        for place in places { assemble(running[place], place, &plan) }
    }

    private func assemble(_ sequence: SequenceState, _ place: Int, _ plan: inout StepPlan) {
        let start = sequence.computedTokenCount
        let positions = start..<start + sequence.scheduledTokenCount
        let firstToken = plan.batch.tokenIDs.count
        let firstRow = plan.batch.logitTokenIndices.count
        plan.batch.tokenIDs.append(contentsOf: sequence.tokenIDs[positions])
        let tokens = firstToken..<plan.batch.tokenIDs.count
        plan.batch.sequences.append(
            ForwardBatch.Sequence(
                tokenRange: tokens, firstPosition: start, blockTable: sequence.blockTable, adapter: sequence.adapter))
        let promptLogits = positions.clamped(to: sequence.wantedPromptLogits)
        for position in promptLogits { plan.batch.logitTokenIndices.append(firstToken + position - start) }
        let firstHiddenRow = plan.batch.hiddenTokenIndices.count
        var sampledRow: Int?
        if sequence.wantsHiddenStates {
            plan.batch.hiddenTokenIndices.append(contentsOf: tokens)
        } else if positions.upperBound == sequence.tokenIDs.count {
            sampledRow = plan.batch.logitTokenIndices.count
            plan.batch.logitTokenIndices.append(plan.batch.tokenIDs.count - 1)
        }
        plan.runs.append(
            StepPlan.Run(
                sequenceID: sequence.id, place: place, positions: positions, promptLogits: promptLogits,
                firstRow: firstRow, sampledRow: sampledRow,
                hiddenRows: firstHiddenRow..<plan.batch.hiddenTokenIndices.count))
    }

    // MARK: Ahead

    /// Plans the step after one that is under way, of one token for each of its sequences that go on; nil where then
    /// something else is to be done as well. Tokens are not known yet: they are 0.
    mutating func lookAhead(_ plan: StepPlan, goesOn: (SequenceID) -> Bool) -> StepPlan? {
        guard waitingCount == 0, plan.preempted.isEmpty, plan.runs.count == running.count,
            plan.runs.allSatisfy({ $0.sampledRow != nil })
        else { return nil }
        var ahead = StepPlan()
        for run in plan.runs where goesOn(run.sequenceID) {
            let position = run.positions.upperBound
            while running[run.place].blockTable.count * limits.positionsPerBlock <= position {
                guard let block = pool.allocate() else { return nil }
                running[run.place].blockTable.append(block)
            }
            let row = ahead.runs.count
            ahead.batch.tokenIDs.append(0)
            ahead.batch.logitTokenIndices.append(row)
            ahead.batch.sequences.append(
                ForwardBatch.Sequence(
                    tokenRange: row..<row + 1, firstPosition: position,
                    blockTable: running[run.place].blockTable, adapter: running[run.place].adapter))
            ahead.runs.append(
                StepPlan.Run(
                    sequenceID: run.sequenceID, place: run.place, positions: position..<position + 1,
                    promptLogits: 0..<0, firstRow: row, sampledRow: row, hiddenRows: 0..<0))
        }
        return ahead.runs.isEmpty ? nil : ahead
    }

    /// Takes up a plan that was made ahead, now that the step before is completed: without the sequences that ended.
    mutating func adopt(_ plan: StepPlan) -> StepPlan {
        var places: [SequenceID: Int] = [:]
        for index in running.indices {
            running[index].scheduledTokenCount = 0
            places[running[index].id] = index
        }
        var adopted = plan
        adopted.runs = plan.runs.compactMap { run in
            guard let place = places[run.sequenceID], running[place].computedTokenCount == run.positions.lowerBound,
                running[place].tokenIDs.count == run.positions.upperBound
            else { return nil }
            running[place].scheduledTokenCount = 1
            return StepPlan.Run(
                sequenceID: run.sequenceID, place: place, positions: run.positions, promptLogits: run.promptLogits,
                firstRow: run.firstRow, sampledRow: run.sampledRow, hiddenRows: run.hiddenRows)
        }
        return adopted
    }

    // MARK: After the step

    /// Takes in what the planned step computed: one outcome for each of the plan's runs, in order.
    mutating func complete(_ plan: StepPlan, _ outcomes: [RunOutcome]) {
        precondition(outcomes.count == plan.runs.count, "an outcome for each run")
        var finished: [SequenceID] = []
        var prefilled: [SequenceID] = []
        for (run, outcome) in zip(plan.runs, outcomes) {
            precondition(running[run.place].id == run.sequenceID, "the plan is not the one under way")
            take(outcome, run.place, promptLogits: run.promptLogits)
            if case .finished = outcome { finished.append(run.sequenceID) }
            if run.sampledRow != nil, !heldBack.isEmpty { prefilled.append(run.sequenceID) }
        }
        if !finished.isEmpty { removeRunning(Set(finished)) }
        for id in prefilled { letSamplesIn(after: id) }
    }

    private mutating func take(_ outcome: RunOutcome, _ index: Int, promptLogits: Range<Int>) {
        running[index].computedTokenCount += running[index].scheduledTokenCount
        running[index].scheduledTokenCount = 0
        let charge = running[index].computedTokenCount - running[index].chargedTokenCount
        if charge > 0 {
            waiting.charge(charge, adapterIndex: running[index].adapterIndex)
            running[index].chargedTokenCount = running[index].computedTokenCount
        }
        if !promptLogits.isEmpty {
            let end = running[index].wantedPromptLogits.upperBound
            running[index].wantedPromptLogits = promptLogits.upperBound..<end
        }
        remember(index)
        if case .next(let token) = outcome { running[index].tokenIDs.append(token) }
    }

    /// Puts the blocks that have become full into the prefix cache.
    private mutating func remember(_ index: Int) {
        guard running[index].prefixRoot != nil else { return }
        let size = limits.positionsPerBlock
        while (running[index].rememberedBlockCount + 1) * size <= running[index].computedTokenCount {
            let number = running[index].rememberedBlockCount
            let (block, id) = pool.remember(
                running[index].blockTable[number], parent: running[index].prefixID,
                tokenIDs: running[index].tokenIDs, from: number * size)
            running[index].blockTable[number] = block
            running[index].prefixID = id
            running[index].rememberedBlockCount += 1
        }
    }

    // MARK: Integrity

    /// Throws when the book-keeping contradicts itself. Holds between steps.
    func checkIntegrity() throws(IntegrityError) {
        try pool.checkIntegrity(tables: running.map(\.blockTable))
        try waiting.checkIntegrity()
        let ids = running.map(\.id)
        try IntegrityError.require(zip(ids, ids.dropFirst()).allSatisfy(<), "running is out of order: \(ids)")
        try IntegrityError.require(running.count <= limits.maxRunningSequences, "\(running.count) sequences run")
        for sequence in running {
            let room = sequence.blockTable.count * limits.positionsPerBlock
            try IntegrityError.require(
                sequence.computedTokenCount < sequence.tokenIDs.count && sequence.computedTokenCount <= room,
                "sequence \(sequence.id) has \(sequence.computedTokenCount) tokens computed of "
                    + "\(sequence.tokenIDs.count), with room for \(room)")
        }
        let held = heldBack.values.reduce(0) { $0 + $1.count }
        try IntegrityError.require(held == heldBackCount, "\(held) samples are held back, \(heldBackCount) counted")
    }
}
