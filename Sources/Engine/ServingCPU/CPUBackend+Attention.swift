import CServingKernels
public import ServingTensors

/// The paged cache and attention over it.
extension CPUBackend {
    /// Writes the step's keys and values to their slots.
    public func store(
        keys: CPUActivation, values: CPUActivation, in cache: CPUKVCache, layer: Int
    ) throws {
        let width = cache.layout.headCount * cache.layout.headDimension
        try expect(
            keys.width == width && values.width == width && keys.rowCount == positions.count
                && values.rowCount == positions.count,
            "keys (\(keys.rowCount), \(keys.width)) and values (\(values.rowCount), \(values.width)) for "
                + "\(positions.count) tokens of \(width)")
        try check(cache, layer: layer)
        var shape = cache.layer(layer)
        sk_store(&context, &shape, keys.elements, values.elements, sequences, Int32(sequences.count))
    }

    /// Attends over each sequence's cached positions; long pasts of few queries are cut between the threads.
    public func attend(
        _ queries: CPUActivation, over cache: CPUKVCache, layer: Int, _ parameters: AttentionParameters,
        into output: CPUActivation
    ) throws {
        let layout = cache.layout
        try expect(
            parameters.headCount > 0 && parameters.headCount % layout.headCount == 0
                && parameters.headCount * layout.headDimension == queries.width
                && queries.rowCount == positions.count,
            "queries (\(queries.rowCount), \(queries.width)) for \(positions.count) tokens and "
                + "\(parameters.headCount) heads of \(layout.headDimension), \(layout.headCount) of them stored")
        try check(cache, layer: layer)
        try resize(output, rowCount: queries.rowCount, width: queries.width)
        output.isGathered = queries.isGathered
        var shape = cache.layer(layer)
        var attention = sk_attention(
            heads: Int32(parameters.headCount), scale: parameters.softmaxScale, cap: parameters.softCap ?? 0,
            window: Int32(clamping: parameters.slidingWindow ?? 0))
        let group = parameters.headCount / layout.headCount
        context.scratch_bytes = sk_attention_scratch_bytes(Int32(layout.headDimension), Int32(group))
        context.scratch = try attentionScratch.reserve(context.scratch_bytes * threadCount)
        let partials = try attentionPartials.reserve(
            sk_attention_partial_bytes(&shape, &attention, sequences, Int32(sequences.count)))
        sk_attend(
            &context, &shape, &attention, queries.elements, sequences, Int32(sequences.count), partials,
            output.elements)
    }

    /// Checks once a step that the block tables cover the step's tokens and name blocks of this cache.
    private func check(_ cache: CPUKVCache, layer: Int) throws(CPUBackendError) {
        let layout = cache.layout
        try expect(layer >= 0 && layer < layout.layerCount, "layer \(layer) of a cache of \(layout.layerCount)")
        guard cache.checkedStep != step else { return }
        for (sequence, count) in zip(sequences, blockCounts) {
            let end = Int(sequence.first_position + sequence.token_count)
            let needed = (end + layout.positionsPerBlock - 1) / layout.positionsPerBlock
            try expect(needed <= count, "\(count) KV blocks for \(end) positions; \(needed) are needed")
            for index in 0..<needed {
                let block = sequence.block_table[index]
                try expect(
                    block >= 0 && Int(block) < layout.blockCount, "KV block \(block) of \(layout.blockCount)")
            }
        }
        cache.checkedStep = step
    }
}
