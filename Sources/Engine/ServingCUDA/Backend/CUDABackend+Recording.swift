public import ServingTensors

/// Steps of one token a sequence, as they are in decoding, recorded once and replayed: launching a step's few hundred
/// kernels one by one would take longer than they do.
extension CUDABackend {
    /// Begins a step, and computes it or replays a recording; see ``Backend``.
    public func perform(
        _ batch: ForwardBatch, into results: [CUDAActivation], _ operations: () throws -> Void
    ) throws {
        let rowCount = recordedRowCount(batch, results)
        try begin(batch, rowCount: rowCount ?? batch.tokenIDs.count)
        try computeOrReplay(rowCount, results, operations)
        guard rowCount != nil, let logits = results.first else { return }
        logits.rowCount = batch.logitTokenIndices.count
        logits.form = .float32
        logits.isGathered = true
    }

    private func computeOrReplay(
        _ rowCount: Int?, _ results: [CUDAActivation], _ operations: () throws -> Void
    ) throws {
        guard let rowCount, spansCanBeRecorded else { return try operations() }
        let key = StepRecordings.Key(
            rowCount: rowCount, spanCount: attentionSpanCount, slots: changedSlots,
            results: results.map(ObjectIdentifier.init))
        if let graph = recordings.graph(key) { return try graph.launch() }
        guard recordings.isDue(key) else { return try operations() }
        recordings.isRecording = true
        let graph = try? RecordedGraph(device, operations)
        recordings.isRecording = false
        // What can't be recorded is launched one by one, then and ever after.
        guard let graph else {
            recordings.refuse(key)
            // Nothing of the recording ran: what a step computes once is to be computed anew.
            stepNumber += 1
            tiles = nil
            return try operations()
        }
        recordings.keep(graph, for: key, results: results)
        try graph.launch()
    }

    /// How many rows a batch has when it is recorded; nil where it can't be: more than one token a sequence, logits of
    /// some tokens alone, hidden states.
    private func recordedRowCount(_ batch: ForwardBatch, _ results: [CUDAActivation]) -> Int? {
        let count = batch.tokenIDs.count
        guard options.recordsSteps, let rowCount = StepRecordings.rowCount(for: count),
            batch.sequences.count == count, batch.logitTokenIndices.count == count,
            batch.hiddenTokenIndices.isEmpty, let logits = results.first, rowCount <= logits.rowCapacity
        else { return nil }
        return rowCount
    }

    /// Whether the step's adapters do nothing but low-rank updates.
    private var spansCanBeRecorded: Bool { step.spans.allSatisfy { $0.adapter.isLowRankOnly } }

    /// Linear slots that the step's adapters change.
    private var changedSlots: SlotSet {
        var slots = SlotSet()
        for span in step.spans where span.adapter.changes != slots { slots.formUnion(span.adapter.changes) }
        return slots
    }
}
