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

    /// Does to the results of some linear layers what the rows' adapters do.
    func adapt(
        _ input: CUDAActivation, _ layers: [LinearLayer<CUDABackend>], slot: Int, _ outputs: [CUDAActivation]
    ) throws(CUDAError) {
        let spans = spans(of: input)
        guard !spans.isEmpty else { return }
        var isChanged = false
        for span in spans {
            let adapter = span.adapter
            guard slot + layers.count <= adapter.slotCount else {
                throw CUDAError(.invalid, "slot \(slot) of an adapter for another model")
            }
            // A long span is done by products, others row by row below.
            let isLong = span.rows.count >= StepInputs.longSpan && !options.isDeterministic
            for (index, layer) in layers.enumerated() {
                if let matrix = adapter.matrices[slot + index] {
                    try product(input, matrix, outputCount: matrix.rowCount, rows: span.rows, into: outputs[index])
                    if let bias = layer.bias {
                        try adjust(outputs[index], rows: span.rows, offset: bias.memory.address)
                    }
                }
                guard adapter.changes.contains(slot + index) else { continue }
                if isLong {
                    try adapt(input, span, adapter.linears[slot + index], outputs[index])
                } else {
                    isChanged = true
                }
            }
        }
        if isChanged { try adaptRowByRow(input, spans, slot: slot, outputs) }
    }

    /// Adds `scaling B A x` to rows of one adapter, by two products, and does what else it does.
    private func adapt(
        _ input: CUDAActivation, _ span: StepInputs.Span, _ update: CUDAAdapter.Linear, _ output: CUDAActivation
    ) throws(CUDAError) {
        if update.rank > 0 {
            let (rows, rank, rankStride) = (span.rows.count, update.rank, (update.rank + 7) / 8 * 8)
            let shrunk = try reserve(rows * rank * 4, in: &shrunkScratch, purpose: "adapters")
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

    private func adaptRowByRow(
        _ input: CUDAActivation, _ spans: [StepInputs.Span], slot: Int, _ outputs: [CUDAActivation]
    ) throws(CUDAError) {
        guard let first = outputs.first, outputs.count <= 3 else {
            throw CUDAError(.invalid, "\(outputs.count) layers with adapters at once")
        }
        let updates: cuda_address?
        if !input.isGathered {
            updates = options.isDeterministic ? step.updates : step.shortUpdates
        } else if step.gatheredAsTheyAre {
            updates = step.updates
        } else {
            let short = spans.filter { $0.rows.count < StepInputs.longSpan || options.isDeterministic }
            updates = try pointers(short, rowCount: input.rowCount) { $0.updates }
        }
        guard let updates else { return }
        let sliceCount = (input.width + StepKernels.shrinkSlice - 1) / StepKernels.shrinkSlice
        let shrunk = try reserve(
            input.rowCount * outputs.count * sliceCount * CUDAAdapter.rankLimit * 4, in: &shrunkScratch,
            purpose: "adapters")
        // Of grids the last two directions have 65,535 blocks at most.
        for start in stride(from: 0, to: input.rowCount, by: 65535) {
            let count = min(65535, input.rowCount - start)
            let updates = updates + cuda_address(start * 8)
            try kernels.shrink.launch(
                .init(x: sliceCount, y: outputs.count, z: count), threads: 128,
                .address(input.packed + cuda_address(start * input.stride * element.byteCount)), .int(input.stride),
                .int(input.width), .address(updates), .int(slot), .address(shrunk))
            func output(_ index: Int) -> CUDAActivation { index < outputs.count ? outputs[index] : first }
            let widest = outputs.map(\.width).max() ?? 0
            var arguments: [KernelArgument] = [
                .address(shrunk), .int(sliceCount), .address(updates), .int(slot),
            ]
            arguments += (0..<3).map { .address(output($0).rows + cuda_address(start * output($0).stride * 4)) }
            arguments += (0..<3).map { .int(output($0).width) }
            arguments += (0..<3).map { .int(output($0).stride) }
            try kernels.expand.launch(
                .init(x: (widest + 127) / 128, y: outputs.count, z: count), threads: 128, arguments)
        }
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
