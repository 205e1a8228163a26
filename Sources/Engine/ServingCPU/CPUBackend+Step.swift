import CServingKernels
import Glibc
public import ServingTensors

/// The operations of a step.
extension CPUBackend: Backend {
    /// See ``Backend``.
    public typealias Matrix = CPUMatrix
    /// See ``Backend``.
    public typealias Vector = CPUVector
    /// See ``Backend``.
    public typealias EmbeddingTable = CPUEmbeddingTable
    /// See ``Backend``.
    public typealias Rotary = CPURotary
    /// See ``Backend``.
    public typealias Activation = CPUActivation
    /// See ``Backend``.
    public typealias KVCache = CPUKVCache
    /// See ``Backend``.
    public typealias Uploader = CPUUploader

    /// Starts a step; see ``Backend``. Runs must follow one another from token 0 on.
    public func begin(_ batch: ForwardBatch) throws {
        step += 1
        tokenIDs = batch.tokenIDs
        positions = batch.positions
        guard positions.count == tokenIDs.count else {
            throw CPUBackendError.invalid("\(tokenIDs.count) tokens, but sequences of \(positions.count)")
        }
        let entryCount = batch.sequences.reduce(0) { $0 + $1.blockTable.count }
        var next = UnsafeMutableRawPointer(try blockTables.reserve(entryCount * 4))
            .assumingMemoryBound(to: BlockID.self)
        sequences.removeAll(keepingCapacity: true)
        blockCounts.removeAll(keepingCapacity: true)
        var expected = 0
        for sequence in batch.sequences {
            guard
                sequence.tokenRange.lowerBound == expected, sequence.firstPosition >= 0,
                sequence.firstPosition <= Int(Int32.max) - sequence.tokenRange.count
            else { throw CPUBackendError.invalid("the runs of a batch must follow one another from position 0 on") }
            expected = sequence.tokenRange.upperBound
            guard !sequence.tokenRange.isEmpty else { continue }
            next.update(from: sequence.blockTable, count: sequence.blockTable.count)
            sequences.append(
                sk_sequence(
                    token_begin: Int32(sequence.tokenRange.lowerBound), token_count: Int32(sequence.tokenRange.count),
                    first_position: Int32(sequence.firstPosition), block_table: next))
            blockCounts.append(sequence.blockTable.count)
            next += sequence.blockTable.count
        }
        try beginAdapters(batch)
    }

    /// Looks up the rows of the step's tokens.
    public func embed(_ table: CPUEmbeddingTable, scale: Float, into output: CPUActivation) throws {
        try resize(output, rowCount: tokenIDs.count, width: table.stored.columnCount)
        output.isGathered = false
        try lookUp(table, tokenIDs.indices, scale: scale, into: output)
        try adaptEmbeddings(scale: scale, output)
    }

    /// Looks up the rows of some of the step's tokens.
    func lookUp(
        _ table: CPUEmbeddingTable, _ rows: Range<Int>, scale: Float, into output: CPUActivation
    ) throws(CPUBackendError) {
        let stored = table.stored
        for row in rows {
            let token = tokenIDs[row]
            guard token >= 0, Int(token) < stored.rowCount else {
                throw .invalid("token \(token) is outside the vocabulary of \(stored.rowCount)")
            }
            let target = output.elements + row * output.width
            let source = stored.bytes.baseAddress.map { $0 + Int(token) * stored.bytesPerRow }
            _ = sk_dequantize(
                stored.type.rawValue, source?.assumingMemoryBound(to: UInt8.self), target, stored.columnCount)
            if scale != 1 {
                for index in 0..<output.width { target[index] *= scale }
            }
        }
    }

    /// Divides rows by their root mean square and multiplies by the weight.
    public func rmsNorm(
        _ input: CPUActivation, weight: CPUVector, slot: Int? = nil, epsilon: Float, into output: CPUActivation
    ) throws {
        try resize(output, rowCount: input.rowCount, width: input.width)
        output.isGathered = input.isGathered
        try norm(input, headCount: 1, weight, slot: slot, epsilon, into: output)
    }

    /// The same for each head of each row.
    public func headRMSNorm(
        _ rows: CPUActivation, headCount: Int, weight: CPUVector, slot: Int? = nil, epsilon: Float
    ) throws {
        try norm(rows, headCount: headCount, weight, slot: slot, epsilon, into: rows)
    }

    private func norm(
        _ input: CPUActivation, headCount: Int, _ weight: CPUVector, slot: Int?, _ epsilon: Float,
        into output: CPUActivation
    ) throws(CPUBackendError) {
        try expect(
            headCount > 0 && headCount * weight.count == input.width,
            "a norm of \(weight.count) elements for \(headCount) heads in rows of \(input.width)")
        var next = 0
        func norm(upTo end: Int, _ weight: CPUVector) {
            let at = next * input.width
            sk_rms_norm(
                &context, input.elements + at, weight.elements, output.elements + at, Int32((end - next) * headCount),
                Int32(weight.count), epsilon)
            next = end
        }
        for span in normSpans(input, slot: slot) {
            try expect(span.weight.count == weight.count, "an adapter's norm of \(span.weight.count) elements")
            norm(upTo: span.rows.lowerBound, weight)
            norm(upTo: span.rows.upperBound, span.weight)
        }
        norm(upTo: input.rowCount, weight)
    }

    /// Computes several layers of one input in one pass of the threads.
    public func linear(
        _ input: CPUActivation, _ layers: [LinearLayer<CPUBackend>], slot: Int? = nil, into outputs: [CPUActivation]
    ) throws {
        try expect(layers.count == outputs.count, "\(layers.count) layers, \(outputs.count) outputs")
        var quantized = false
        for (layer, output) in zip(layers, outputs) {
            let weight = layer.weight
            try expect(
                weight.columnCount == input.width,
                "a weight (\(weight.rowCount), \(weight.columnCount)) for rows of \(input.width)")
            try expect(
                layer.bias.map { $0.count == weight.rowCount } ?? true,
                "a bias of \(layer.bias?.count ?? 0) elements for \(weight.rowCount) rows")
            try resize(output, rowCount: input.rowCount, width: weight.rowCount)
            output.isGathered = input.isGathered
            quantized = quantized || sk_panel_is_quantized(weight.kind)
        }
        let packed = try packedActivations.reserve(
            quantized ? sk_packed_activation_bytes(input.rowCount, input.width) : 0)
        withUnsafeTemporaryAllocation(of: sk_linear_layer.self, capacity: layers.count) { descriptions in
            for index in layers.indices {
                let layer = layers[index]
                descriptions.initializeElement(
                    at: index,
                    to: sk_linear_layer(
                        panels: layer.weight.panels.assumingMemoryBound(to: UInt8.self), kind: layer.weight.kind,
                        rows: Int32(layer.weight.rowCount), bias: layer.bias?.elements,
                        output: outputs[index].elements))
            }
            sk_linear(
                &context, input.elements, Int32(input.rowCount), Int32(input.width), packed, descriptions.baseAddress,
                Int32(layers.count))
        }
        if let slot { try adapt(input, layers, slot: slot, outputs) }
    }

    /// Rotates each head by its token's position.
    public func rotate(_ rows: CPUActivation, headCount: Int, by rotary: CPURotary) throws {
        let dimension = rotary.rotary.headDimension
        try expect(
            headCount * dimension == rows.width && rows.rowCount == positions.count,
            "\(headCount) heads of \(dimension) and \(positions.count) positions for rows (\(rows.rowCount), "
                + "\(rows.width))")
        prepare(rotary)
        sk_rotate(
            &context, rows.elements, Int32(rows.rowCount), Int32(headCount), Int32(dimension),
            Int32(rotary.rotary.inverseFrequencies.count), rotary.rotary.pairing == .neighbours, rotary.cosines,
            rotary.sines)
    }

    /// Multiplies the activated gate with `up`.
    public func gatedActivation(
        _ kind: GatedActivation, gate: CPUActivation, up: CPUActivation, into output: CPUActivation
    ) throws {
        try expect(gate.rowCount == up.rowCount && gate.width == up.width, "gate and up differ in shape")
        try resize(output, rowCount: gate.rowCount, width: gate.width)
        output.isGathered = gate.isGathered
        let code: Int32 =
            switch kind {
            case .silu: 0
            case .geluTanh: 1
            case .geluErf: 2
            }
        sk_gated_activation(&context, code, gate.elements, up.elements, output.elements, gate.count)
    }

    /// Adds `scale * term`, fused.
    public func add(_ term: CPUActivation, scale: Float, to sum: CPUActivation) throws {
        try expect(term.rowCount == sum.rowCount && term.width == sum.width, "the terms of a sum differ in shape")
        sk_add(&context, term.elements, scale, sum.elements, sum.count)
    }

    /// Picks rows; not in place.
    public func gather(_ rows: [Int], of input: CPUActivation, into output: CPUActivation) throws {
        try expect(output !== input, "rows cannot be gathered in place")
        try resize(output, rowCount: rows.count, width: input.width)
        output.isGathered = true
        gatherAdapters(rows)
        for (index, row) in rows.enumerated() {
            try expect(row >= 0 && row < input.rowCount, "row \(row) of \(input.rowCount)")
            (output.elements + index * input.width).update(from: input.elements + row * input.width, count: input.width)
        }
    }

    /// Scales rows and bounds them softly.
    public func scaleAndCap(_ rows: CPUActivation, scale: Float, softCap: Float?) throws {
        sk_scale_and_cap(&context, rows.elements, scale, softCap ?? 0, rows.count)
    }

    /// Nothing to wait for: operations are done when they return.
    public func finish() {}

    /// Shows the rows; everything is done by then.
    public func withRows<Result>(
        of activation: CPUActivation, wanted: [Int]?, _ body: (UnsafeMutableBufferPointer<Float>) throws -> Result
    ) throws -> Result {
        try body(UnsafeMutableBufferPointer(start: activation.elements, count: activation.count))
    }

    // MARK: Helpers of the operations

    /// Gives an output its rows.
    func resize(_ output: CPUActivation, rowCount: Int, width: Int) throws(CPUBackendError) {
        guard output.width == width, rowCount <= output.rowCapacity else {
            throw .invalid(
                "a result (\(rowCount), \(width)) does not fit activations (\(output.rowCapacity), \(output.width))")
        }
        output.rowCount = rowCount
    }

    func expect(_ condition: Bool, _ message: @autoclosure () -> String) throws(CPUBackendError) {
        guard condition else { throw .invalid(message()) }
    }

    /// Computes the step's cosines and sines: of the float32 product of position and frequency, as PyTorch models do.
    private func prepare(_ rotary: CPURotary) {
        guard rotary.step != step else { return }
        rotary.step = step
        let frequencies = rotary.rotary.inverseFrequencies, magnitude = rotary.rotary.magnitude
        rotary.cosines.removeAll(keepingCapacity: true)
        rotary.sines.removeAll(keepingCapacity: true)
        for position in positions {
            for frequency in frequencies {
                let angle = Float(position) * frequency
                rotary.cosines.append(cosf(angle) * magnitude)
                rotary.sines.append(sinf(angle) * magnitude)
            }
        }
    }
}
