import CCUDAHeaders
import ServingTensors

extension CUDABackend {
    /// What adapters are brought to the device with.
    public func makeUploader() -> CUDAUploader { CUDAUploader(device: device, element: element) }

    /// Copies small values to the device, behind earlier work and before later.
    func upload<Element>(_ values: [Element]) throws(CUDAError) -> cuda_address {
        let bytes = values.count * MemoryLayout<Element>.stride
        let address = try reserve(max(bytes, 1 << 16), in: &pointerScratch, purpose: "pointers")
        try upload(values, to: address)
        return address
    }

    /// Copies small values to a place on the device, behind earlier work and before later.
    func upload<Element>(_ values: [Element], to address: cuda_address) throws(CUDAError) {
        guard !recordings.isRecording else {
            throw CUDAError(.invalid, "values of the host can't be part of a recorded step")
        }
        // Memory that is not pinned is read before the call returns.
        let driver = device.libraries.driver
        try withBytes(of: values) { source throws(CUDAError) in
            guard let start = source.baseAddress else { return }
            try driver.check(driver.copy_to_device(address, start, source.count, device.stream), "copying pointers")
        }
    }

    /// For each row what its adapter has in place of the model's own, on the device; nil where no adapter has any.
    func pointers(
        _ spans: [StepInputs.Span], rowCount: Int, _ part: (CUDAAdapter) -> cuda_address?
    ) throws(CUDAError) -> cuda_address? {
        var pointers: [UInt64] = []
        for span in spans {
            guard let address = part(span.adapter) else { continue }
            if pointers.isEmpty { pointers = [UInt64](repeating: 0, count: rowCount) }
            for row in span.rows { pointers[row] = address }
        }
        return pointers.isEmpty ? nil : try upload(pointers)
    }

    /// Shrinks rows with short runs of adapters, beside the products that come next; what `adapt` needs of it, nil where
    /// there are none.
    func shrink(
        _ input: CUDAActivation, _ layers: [LinearLayer<CUDABackend>], slot: Int
    ) throws(CUDAError) -> ShrunkRows? {
        let spans = spans(of: input)
        for span in spans where slot + layers.count > span.adapter.slotCount {
            throw CUDAError(.invalid, "slot \(slot) of an adapter for another model")
        }
        let isChanged = spans.contains { span in
            (options.isDeterministic || !step.isLong(span))
                && layers.indices.contains { span.adapter.changes.contains(slot + $0) }
        }
        guard isChanged else { return nil }
        guard layers.count <= 3, input.rowCount <= 65535 else {
            throw CUDAError(.invalid, "\(layers.count) layers and \(input.rowCount) rows with adapters at once")
        }
        guard let (updates, groups) = try rowTables(of: input, spans) else { return nil }
        let sliceCount = (input.width + StepKernels.shrinkSlice - 1) / StepKernels.shrinkSlice
        let shrunk = try reserve(
            input.rowCount * layers.count * sliceCount * CUDAAdapter.rankLimit * 4, in: &shrunkScratch,
            purpose: "adapters")
        try forkMark.record()
        try forkMark.hold(device.sideStream)
        try kernels.shrink.launch(
            .init(x: sliceCount, y: layers.count, z: input.rowCount), threads: 128, on: device.sideStream,
            [
                .address(input.packed), .int(input.stride), .int(input.width), .address(updates), .address(groups),
                .int(slot), .address(shrunk),
            ])
        try joinMark.record(on: device.sideStream)
        return ShrunkRows(address: shrunk, sliceCount: sliceCount, updates: updates, groups: groups)
    }

    /// Does to the results of some linear layers what the rows' adapters do.
    func adapt(
        _ input: CUDAActivation, _ layers: [LinearLayer<CUDABackend>], slot: Int, _ outputs: [CUDAActivation],
        shrunk: ShrunkRows?
    ) throws(CUDAError) {
        for span in spans(of: input) {
            let adapter = span.adapter
            for (index, layer) in layers.enumerated() {
                if let matrix = adapter.matrices[slot + index] {
                    try product(input, matrix, outputCount: matrix.rowCount, rows: span.rows, into: outputs[index])
                    if let bias = layer.bias {
                        try adjust(outputs[index], rows: span.rows, offset: bias.memory.address)
                    }
                }
                let isLong = step.isLong(span) && !options.isDeterministic
                guard isLong, adapter.changes.contains(slot + index) else { continue }
                try adapt(input, span, adapter.linears[slot + index], outputs[index])
            }
        }
        if let shrunk {
            try joinMark.hold(device.stream)
            try expand(shrunk, slot: slot, outputs)
        }
    }

    /// Adds `scaling B A x` to rows of one adapter, by two products, and does what else it does.
    private func adapt(
        _ input: CUDAActivation, _ span: StepInputs.Span, _ update: CUDAAdapter.Linear, _ output: CUDAActivation
    ) throws(CUDAError) {
        if update.rank > 0 {
            let (rows, rank, rankStride) = (span.rows.count, update.rank, (update.rank + 7) / 8 * 8)
            let shrunk = try reserve(rows * rank * 4, in: &longShrunkScratch, purpose: "adapters")
            try products.multiply(
                update.a, input.packed + cuda_address(span.rows.lowerBound * input.stride * element.byteCount),
                into: shrunk,
                MatrixProducts.Shape(
                    outputs: rank, inputs: input.width, rows: rows, weightStride: (input.width + 7) / 8 * 8,
                    inputStride: input.stride, outputStride: rank), mayTry: false)
            let packed = try reserve(
                rows * rankStride * element.byteCount, in: &packedScratch, purpose: "adapters")
            try kernels.pack.launch(
                elementwise(rank, rowCount: rows), threads: Self.threadCount, .address(shrunk), .int(rank),
                .float(update.scaling), .address(packed), .int(rankStride), .int(rank))
            try products.multiply(
                update.b, packed, into: output.rows + cuda_address(span.rows.lowerBound * output.stride * 4),
                MatrixProducts.Shape(
                    outputs: output.width, inputs: rank, rows: rows, weightStride: rankStride,
                    inputStride: rankStride, outputStride: output.stride, adds: true), mayTry: false)
        }
        if update.gain != nil || update.offset != nil {
            try adjust(output, rows: span.rows, gain: update.gain, offset: update.offset)
        }
    }

    /// Each row's updates and groups on the device, without those of long runs; nil where no row has any.
    private func rowTables(
        of input: CUDAActivation, _ spans: [StepInputs.Span]
    ) throws(CUDAError) -> (updates: cuda_address, groups: cuda_address)? {
        if !input.isGathered {
            return (options.isDeterministic ? step.updates : step.shortUpdates).map { ($0, step.groups) }
        }
        if step.gatheredAsTheyAre, !spans.contains(where: step.isLong) { return step.updates.map { ($0, step.groups) } }
        let short = spans.filter { options.isDeterministic || !step.isLong($0) }
        guard !short.isEmpty else { return nil }
        let rowCount = input.rowCount
        var words = [UInt64](repeating: 0, count: rowCount + (rowCount + 1) / 2)
        for span in short { for row in span.rows { words[row] = span.adapter.updates } }
        for (row, count) in StepInputs.groups(short) {
            words[rowCount + row / 2] |= UInt64(count) << UInt64(32 * (row % 2))
        }
        let address = try upload(words)
        return (address, address + cuda_address(rowCount * 8))
    }

    private func expand(_ shrunk: ShrunkRows, slot: Int, _ outputs: [CUDAActivation]) throws(CUDAError) {
        guard let first = outputs.first else { return }
        func output(_ index: Int) -> CUDAActivation { index < outputs.count ? outputs[index] : first }
        var arguments: [KernelArgument] = [
            .address(shrunk.address), .int(shrunk.sliceCount), .address(shrunk.updates), .address(shrunk.groups),
            .int(slot),
        ]
        arguments += (0..<3).map { .address(output($0).rows) }
        arguments += (0..<3).map { .int(output($0).width) }
        arguments += (0..<3).map { .int(output($0).stride) }
        let widest = outputs.map(\.width).max() ?? 0
        try kernels.expand.launch(
            .init(x: (widest + 127) / 128, y: outputs.count, z: first.rowCount), threads: 128, arguments)
    }

    /// Does to looked-up embeddings what the tokens' adapters do.
    func adaptEmbeddings(vocabulary: Int, scale: Float, _ output: CUDAActivation) throws(CUDAError) {
        guard
            let updates = try pointers(step.spans, rowCount: output.rowCount, { $0.embeddingUpdate?.address })
        else { return }
        try kernels.embedUpdate.launch(
            .init(x: output.rowCount), threads: 256, .address(updates), .address(step.tokens), .int(vocabulary),
            .float(scale), .address(output.rows), .int(output.stride), .int(output.width))
    }
}

/// Rows that adapters have shrunk, or are about to.
struct ShrunkRows {
    /// (T, layers, slices, 256).
    let address: cuda_address
    let sliceCount: Int
    /// Each row's adapter's updates, or null.
    let updates: cuda_address
    /// How many rows from each on are done together.
    let groups: cuda_address
}
