import CCUDAHeaders
import ServingTensors

extension CUDABackend {
    /// What adapters are brought to the device with.
    public func makeUploader() -> CUDAUploader { CUDAUploader(device: device, element: element) }

    /// Copies small values to the device, behind earlier work and before later.
    func upload<Element>(_ values: [Element]) throws(CUDAError) -> cuda_address {
        let bytes = values.count * MemoryLayout<Element>.stride
        let address = try reserve(max(bytes, 1 << 16), in: &pointerScratch, purpose: "pointers")
        guard !values.isEmpty else { return address }
        // Memory that is not pinned is read before the call returns.
        let driver = device.libraries.driver
        try withBytes(of: values) { source throws(CUDAError) in
            guard let start = source.baseAddress else { return }
            try driver.check(driver.copy_to_device(address, start, source.count, device.stream), "copying pointers")
        }
        return address
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
        guard let first = outputs.first, !spans.isEmpty else { return }
        var changes = false
        for span in spans {
            guard slot + layers.count <= span.adapter.slotCount else {
                throw CUDAError(.invalid, "slot \(slot) of an adapter for another model")
            }
            for (index, layer) in layers.enumerated() {
                changes = changes || span.adapter.changes.contains(slot + index)
                guard let matrix = span.adapter.matrices[slot + index] else { continue }
                try product(input, matrix, bias: layer.bias, rows: span.rows, into: outputs[index])
            }
        }
        guard changes else { return }
        guard layers.count <= 3 else { throw CUDAError(.invalid, "\(layers.count) layers with adapters at once") }
        let updates =
            input.isGathered
            ? try pointers(spans, rowCount: input.rowCount) { $0.updates } : step.updates
        let shrunk = try reserve(
            input.rowCount * layers.count * CUDAAdapter.rankLimit * 4, in: &shrunkScratch, purpose: "adapters")
        try kernels.shrink.launch(
            .init(x: input.rowCount, y: layers.count), threads: 256, .address(input.rows.address), .int(input.width),
            .address(updates), .int(slot), .address(shrunk))
        func output(_ index: Int) -> CUDAActivation { index < outputs.count ? outputs[index] : first }
        let widest = outputs.map(\.width).max() ?? 0
        try kernels.expand.launch(
            .init(x: (widest + 127) / 128, y: layers.count, z: input.rowCount), threads: 128, .address(shrunk),
            .address(updates), .int(slot), .address(output(0).rows.address), .address(output(1).rows.address),
            .address(output(2).rows.address), .int(output(0).width), .int(output(1).width), .int(output(2).width))
    }

    /// Does to looked-up embeddings what the tokens' adapters do.
    func adaptEmbeddings(vocabulary: Int, scale: Float, _ output: CUDAActivation) throws(CUDAError) {
        guard
            let updates = try pointers(step.spans, rowCount: output.rowCount, { $0.embeddingUpdate?.address })
        else { return }
        try kernels.embedUpdate.launch(
            .init(x: output.rowCount), threads: 256, .address(updates), .address(step.tokens), .int(vocabulary),
            .float(scale), .address(output.rows.address), .int(output.width))
    }
}
