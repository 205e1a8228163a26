import CServingKernels
import ServingTensors

/// What the rows of a step are computed with.
struct StepAdapters {
    /// Rows that follow one another with one adapter.
    struct Span {
        var rows: Range<Int>
        let adapter: CPUAdapter
    }

    /// By ascending rows; rows between spans have no adapter.
    private(set) var spans: [Span] = []
    /// The spans cut to what a kernel takes at once.
    private(set) var tiles: [sk_update_tile] = []
    /// Whether some adapter puts weights or norms in place of the model's own.
    private(set) var hasReplacements = false

    mutating func removeAll() {
        spans.removeAll(keepingCapacity: true)
        tiles.removeAll(keepingCapacity: true)
        hasReplacements = false
    }

    mutating func append(_ rows: Range<Int>, _ adapter: CPUAdapter) {
        if let last = spans.last, last.adapter === adapter, last.rows.upperBound == rows.lowerBound {
            spans[spans.count - 1].rows = last.rows.lowerBound..<rows.upperBound
        } else {
            spans.append(Span(rows: rows, adapter: adapter))
        }
        hasReplacements = hasReplacements || !adapter.matrices.isEmpty || !adapter.norms.isEmpty
    }

    /// Cuts the spans into tiles. The adapters' tables live as long as the spans.
    mutating func cut() {
        for span in spans {
            for begin in stride(from: span.rows.lowerBound, to: span.rows.upperBound, by: Int(SK_UPDATE_TOKENS)) {
                let count = min(Int(SK_UPDATE_TOKENS), span.rows.upperBound - begin)
                tiles.append(
                    sk_update_tile(
                        row_begin: Int32(begin), row_count: Int32(count),
                        updates: UnsafePointer(span.adapter.updates)))
            }
        }
    }
}

extension CPUBackend {
    /// What adapters are packed with.
    public func makeUploader() -> CPUUploader {
        CPUUploader(kernels: context.kernels, usesFloat32Weights: usesFloat32Weights)
    }

    /// Takes down which rows of the step have which adapter.
    func beginAdapters(_ batch: ForwardBatch) throws(CPUBackendError) {
        tokenAdapters.removeAll()
        gatheredAdapters.removeAll()
        for sequence in batch.sequences where !sequence.tokenRange.isEmpty {
            guard let resident = sequence.adapter else { continue }
            guard let adapter = resident as? CPUAdapter else {
                throw .invalid("the batch has an adapter of another device")
            }
            tokenAdapters.append(sequence.tokenRange, adapter)
        }
        tokenAdapters.cut()
    }

    /// Takes down which gathered rows have which adapter; `rows` ascend.
    func gatherAdapters(_ rows: [Int]) {
        gatheredAdapters.removeAll()
        var place = 0
        for span in tokenAdapters.spans {
            while place < rows.count, rows[place] < span.rows.lowerBound { place += 1 }
            let first = place
            while place < rows.count, rows[place] < span.rows.upperBound { place += 1 }
            if place > first { gatheredAdapters.append(first..<place, span.adapter) }
        }
        gatheredAdapters.cut()
    }

    func adapters(of activation: CPUActivation) -> StepAdapters {
        activation.isGathered ? gatheredAdapters : tokenAdapters
    }

    /// Does to the results of some linear layers what the rows' adapters do.
    func adapt(
        _ input: CPUActivation, _ layers: [LinearLayer<CPUBackend>], slot: Int, _ outputs: [CPUActivation]
    ) throws(CPUBackendError) {
        let adapters = adapters(of: input)
        guard !adapters.spans.isEmpty else { return }
        for span in adapters.spans {
            try expect(slot + layers.count <= span.adapter.slotCount, "slot \(slot) of an adapter for another model")
        }
        if adapters.hasReplacements { try replace(adapters, input, layers, slot: slot, outputs) }
        withUnsafeTemporaryAllocation(of: UnsafeMutablePointer<Float>?.self, capacity: outputs.count) { pointers in
            for (index, output) in outputs.enumerated() {
                pointers.initializeElement(at: index, to: output.elements)
            }
            sk_adapt(
                &context, input.elements, Int32(input.width), adapters.tiles, Int32(adapters.tiles.count), Int32(slot),
                pointers.baseAddress, Int32(layers.count))
        }
    }

    /// Computes anew the rows whose adapters have a weight of their own.
    private func replace(
        _ adapters: StepAdapters, _ input: CPUActivation, _ layers: [LinearLayer<CPUBackend>], slot: Int,
        _ outputs: [CPUActivation]
    ) throws(CPUBackendError) {
        for span in adapters.spans {
            for (index, layer) in layers.enumerated() {
                guard let matrix = span.adapter.matrices[slot + index] else { continue }
                try expect(
                    matrix.rowCount == layer.weight.rowCount && matrix.columnCount == input.width,
                    "an adapter's weight (\(matrix.rowCount), \(matrix.columnCount)) in place of "
                        + "(\(layer.weight.rowCount), \(input.width))")
                let first = span.rows.lowerBound
                var description = sk_linear_layer(
                    panels: matrix.panels.assumingMemoryBound(to: UInt8.self), kind: matrix.kind,
                    rows: Int32(matrix.rowCount), bias: layer.bias?.elements,
                    output: outputs[index].elements + first * matrix.rowCount)
                sk_linear(
                    &context, input.elements + first * input.width, Int32(span.rows.count), Int32(input.width), nil,
                    &description, 1)
            }
        }
    }

    /// The norm weights of rows that have their own, by rows.
    func normSpans(_ activation: CPUActivation, slot: Int?) -> [(rows: Range<Int>, weight: CPUVector)] {
        let adapters = adapters(of: activation)
        guard let slot, adapters.hasReplacements else { return [] }
        return adapters.spans.compactMap { span in span.adapter.norms[slot].map { (span.rows, $0) } }
    }

    /// Does to looked-up embeddings what the tokens' adapters do.
    func adaptEmbeddings(scale: Float, _ output: CPUActivation) throws(CPUBackendError) {
        for span in tokenAdapters.spans {
            guard let change = span.adapter.embedding else { continue }
            if let table = change.table { try lookUp(table, span.rows, scale: scale, into: output) }
            guard let lowRank = change.lowRank, var update = change.update else { continue }
            let limit = Int(SK_UPDATE_RANK_LIMIT)
            var shrunk = [Float](repeating: 0, count: span.rows.count * limit)
            for (place, row) in span.rows.enumerated() {
                let token = Int(tokenIDs[row])
                for rank in 0..<lowRank.rank {
                    shrunk[place * limit + rank] =
                        lowRank.scaling * scale * lowRank.loraA.element(rank * lowRank.loraA.columnCount + token)
                }
            }
            sk_expand(
                &context, &update, shrunk, Int32(span.rows.count),
                output.elements + span.rows.lowerBound * output.width)
        }
    }
}

extension StoredTensor {
    /// One element of a tensor without blocks.
    fileprivate func element(_ index: Int) -> Float {
        var value: Float = 0
        let source = bytes.baseAddress.map { $0 + index * type.blockByteCount }
        _ = sk_dequantize(type.rawValue, source?.assumingMemoryBound(to: UInt8.self), &value, 1)
        return value
    }
}
