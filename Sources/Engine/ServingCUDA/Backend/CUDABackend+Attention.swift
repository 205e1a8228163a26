import CCUDAHeaders
public import ServingTensors

extension CUDABackend {
    /// Attention over the cache.
    ///
    /// Positions are cut into spans. For prompts a block of threads goes through all spans of its rows where there are
    /// enough of these to fill the device; otherwise each span is a block's, and their results are merged. Both give the
    /// same bits.
    public func attend(
        _ queries: CUDAActivation, over cache: CUDAKVCache, layer: Int, _ parameters: AttentionParameters,
        into output: CUDAActivation
    ) throws {
        let layout = cache.layout
        guard parameters.headCount > 0, parameters.headCount % layout.headCount == 0,
            queries.width == parameters.headCount * layout.headDimension, queries.rowCount == step.tokenCount
        else {
            throw CUDAError(
                .invalid,
                "\(parameters.headCount) heads in rows of \(queries.width) for \(layout.headCount) KV heads of "
                    + "\(layout.headDimension)")
        }
        try step.check(layout)
        try unpack(queries)
        try resize(output, rowCount: queries.rowCount, width: queries.width)
        output.isGathered = false
        output.form = .packed
        guard queries.rowCount > 0 else { return }
        let attention = try attention(
            AttentionShape(
                headDimension: layout.headDimension, headsPerKVHead: parameters.headCount / layout.headCount,
                positionsPerBlock: layout.positionsPerBlock, isExact: layout.element == .f32))
        let call = AttentionCall(
            queries: queries, keys: cache.keys(layer: layer), values: cache.values(layer: layer),
            parameters: parameters, output: output)
        if let tile = attention.tile {
            try attend(call, attention, tile)
        } else {
            try attendBySpans(call, attention, tile: nil)
        }
    }

    /// What one layer's attention is over.
    private struct AttentionCall {
        let queries: CUDAActivation
        let keys, values: cuda_address
        let parameters: AttentionParameters
        let output: CUDAActivation
    }

    /// Spans that the step's longest sequence has, rounded up so that steps of many lengths are the same work.
    var attentionSpanCount: Int {
        let longest = step.extents.map(\.positions).max() ?? 0
        let count = max(1, (longest + AttentionKernels.spanLength - 1) / AttentionKernels.spanLength)
        var rounded = 1
        while rounded < count { rounded *= 2 }
        return rounded
    }

    private func attend(_ call: AttentionCall, _ attention: AttentionKernels, _ tile: Kernel) throws {
        let group = attention.shape.group
        let (tiles, tileCount) = try tiles(of: 16 / group)
        let blockCount = tileCount * call.parameters.headCount / group
        // Single tokens' spans make even waves of blocks; prompts have rows enough, and would leave many parts to merge.
        let fillsDevice = blockCount >= 2 * device.multiprocessorCount
        let hasPrompts = step.runs.contains { $0.count > 1 }
        let isWhole = attentionSpanCount == 1 || hasPrompts && (fillsDevice || attentionSpanCount <= 8)
        guard isWhole else { return try attendBySpans(call, attention, tile: tile) }
        try launch(
            call, tile, tiles: tiles, .init(x: 1, y: call.parameters.headCount / group, z: tileCount), firstRow: 0,
            partial: nil)
    }

    /// Spans side by side, some rows at a time where the partial results of all would take much memory.
    private func attendBySpans(_ call: AttentionCall, _ attention: AttentionKernels, tile: Kernel?) throws {
        let (parameters, output) = (call.parameters, call.output)
        let (group, headDimension) = (attention.shape.group, attention.shape.headDimension)
        let spanCount = attentionSpanCount
        let rowBytes = parameters.headCount * spanCount * (headDimension + 2) * 4
        let rowsAtOnce = min(65535, max(1, (64 << 20) / rowBytes), call.queries.rowCount)
        let partial = try reserve(rowsAtOnce * rowBytes, in: &attentionScratch, purpose: "attention")
        for first in stride(from: 0, to: call.queries.rowCount, by: rowsAtOnce) {
            let count = min(rowsAtOnce, call.queries.rowCount - first)
            // Tiles name rows of the whole step.
            let isAll = count == call.queries.rowCount && tile != nil
            let (tiles, tileCount) = isAll ? try tiles(of: 16 / group) : (nil, count)
            try launch(
                call, tile ?? attention.span, tiles: tiles,
                .init(x: spanCount, y: parameters.headCount / group, z: tileCount), firstRow: first,
                partial: partial)
            let (offset, intOffset) = (first * output.stride, cuda_address(first * 4))
            try attention.merge.launch(
                .init(x: parameters.headCount, y: count), threads: (headDimension + 31) / 32 * 32,
                .address(partial), .address(step.positions + intOffset), .int(spanCount),
                .int(parameters.slidingWindow ?? 0), .address(output.rows + cuda_address(offset * 4)),
                .address(packed(output).map { $0 + cuda_address(offset * element.byteCount) }), .int(output.stride))
        }
    }

    private func launch(
        _ call: AttentionCall, _ kernel: Kernel, tiles: cuda_address?, _ grid: Kernel.Grid, firstRow: Int,
        partial: cuda_address?
    ) throws(CUDAError) {
        let (queries, output) = (call.queries, call.output)
        let intOffset = cuda_address(firstRow * 4)
        let rows = queries.rows + cuda_address(firstRow * queries.stride * 4)
        let (scale, cap) = (call.parameters.softmaxScale, call.parameters.softCap ?? 0)
        let window = call.parameters.slidingWindow ?? 0
        let common: [KernelArgument] = [
            .address(rows), .int(queries.stride), .address(call.keys), .address(call.values),
            .address(step.positions + intOffset), .address(step.sequences + intOffset), .address(step.tableStarts),
            .address(step.tables),
        ]
        if kernel.name == AttentionKernels.tileName {
            let offset = firstRow * output.stride
            try kernel.launch(
                grid, threads: 128,
                common + [
                    .address(tiles), .float(scale), .float(cap), .int(window), .address(partial),
                    .address(output.rows + cuda_address(offset * 4)),
                    .address(packed(output).map { $0 + cuda_address(offset * element.byteCount) }),
                    .int(output.stride),
                ])
        } else {
            try kernel.launch(
                grid, threads: 128,
                common + [.float(scale), .float(cap), .int(window), .address(partial)])
        }
    }

    /// The step's rows in tiles of one sequence each: nil where each row is one, and how many there are.
    private func tiles(of size: Int) throws -> (cuda_address?, Int) {
        if step.runs.allSatisfy({ $0.count <= 1 }) || size == 1 { return (nil, step.tokenCount) }
        if let tiles, tiles.step == stepNumber, tiles.size == size {
            return (tileScratch?.address, tiles.count)
        }
        let numbers = step.tiles(of: size)
        let address = try reserve(numbers.count * 4, in: &tileScratch, purpose: "a step's tokens")
        try upload(numbers, to: address)
        tiles = (stepNumber, size, numbers.count)
        return (address, numbers.count)
    }

    /// Where a kernel writes rows in the weights' form; nil where that is float32.
    private func packed(_ output: CUDAActivation) -> cuda_address? { element == .f32 ? nil : output.packed }
}
