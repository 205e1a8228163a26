import CCUDAHeaders
public import ServingTensors

/// Linear layers.
extension CUDABackend {
    /// Multiplies the rows with each layer's weight: at once where weights and outputs lie side by side.
    public func linear(
        _ input: CUDAActivation, _ layers: [LinearLayer<CUDABackend>], slot: Int?, into outputs: [CUDAActivation]
    ) throws {
        guard layers.count == outputs.count, !layers.isEmpty else {
            throw CUDAError(.invalid, "\(layers.count) layers, \(outputs.count) outputs")
        }
        try pack(input)
        for (layer, output) in zip(layers, outputs) {
            let (weight, bias) = (layer.weight, layer.bias)
            guard weight.columnCount == input.width, weight.rowCount == output.width,
                bias.map({ $0.count == weight.rowCount }) ?? true
            else {
                throw CUDAError(
                    .invalid,
                    "a weight (\(weight.rowCount), \(weight.columnCount)), a bias of \(bias?.count ?? 0), for rows of "
                        + "\(input.width) into \(output.width)")
            }
            try resize(output, rowCount: input.rowCount, width: weight.rowCount)
            output.isGathered = input.isGathered
            output.form = .float32
        }
        let shrunk = try slot.flatMap { slot throws(CUDAError) in try shrink(input, layers, slot: slot) }
        do {
            try multiply(input, layers, into: outputs)
        } catch {
            // What runs beside must not outlast what it reads.
            if shrunk != nil, !recordings.isRecording { try? joinMark.hold(device.stream) }
            throw error
        }
        if let slot { try adapt(input, layers, slot: slot, outputs, shrunk: shrunk) }
    }

    /// The layers' own products and biases.
    private func multiply(
        _ input: CUDAActivation, _ layers: [LinearLayer<CUDABackend>], into outputs: [CUDAActivation]
    ) throws {
        guard let first = layers.first, let firstOutput = outputs.first else { return }
        if isSideBySide(layers, outputs) {
            try product(
                input, first.weight, outputCount: outputs.reduce(0) { $0 + $1.width }, rows: 0..<input.rowCount,
                into: firstOutput)
        } else {
            for (layer, output) in zip(layers, outputs) {
                try product(
                    input, layer.weight, outputCount: output.width, rows: 0..<input.rowCount, into: output)
            }
        }
        for (layer, output) in zip(layers, outputs) {
            if let bias = layer.bias { try adjust(output, rows: 0..<output.rowCount, offset: bias.memory.address) }
        }
    }

    private func isSideBySide(_ layers: [LinearLayer<CUDABackend>], _ outputs: [CUDAActivation]) -> Bool {
        zip(layers, layers.dropFirst()).allSatisfy { first, second in
            first.weight.address + cuda_address(first.weight.rowCount * first.weight.columnCount * element.byteCount)
                == second.weight.address
        } && zip(outputs, outputs.dropFirst()).allSatisfy { $0.isBeside($1) }
    }

    /// Rows of a product where it must be the same whatever the batch.
    static let deterministicRowCount = 64

    /// `output[t] = weight * input[t]` for some rows.
    ///
    /// - Parameter outputCount: Rows of the weight and of those behind it; into the output and those beside it.
    func product(
        _ input: CUDAActivation, _ weight: CUDAMatrix, outputCount: Int, rows: Range<Int>,
        into output: CUDAActivation
    ) throws(CUDAError) {
        // The same call for each row, whichever rows are there: all of them and some for nothing, or one at a time.
        let isWhole = rows == 0..<input.rowCount
        let step = !options.isDeterministic ? max(rows.count, 1) : isWhole ? Self.deterministicRowCount : 1
        for first in stride(from: rows.lowerBound, to: rows.upperBound, by: step) {
            try products.multiply(
                weight.address, input.packed + cuda_address(first * input.stride * element.byteCount),
                into: output.rows + cuda_address(first * output.stride * 4),
                MatrixProducts.Shape(
                    outputs: outputCount, inputs: weight.columnCount, rows: step, weightStride: weight.columnCount,
                    inputStride: input.stride, outputStride: output.stride), mayTry: mayTry(step))
        }
    }

    /// Whether algorithms may be tried: for the steps that come often.
    func mayTry(_ rowCount: Int) -> Bool {
        !recordings.isRecording && StepRecordings.rowCount(for: rowCount) == rowCount
    }

    /// `rows = rows * gain + offset` for some rows.
    func adjust(
        _ output: CUDAActivation, rows: Range<Int>, gain: cuda_address? = nil, offset: cuda_address?
    ) throws(CUDAError) {
        try kernels.adjust.launch(
            elementwise(output.width, rowCount: rows.count), threads: Self.threadCount,
            .address(output.rows + cuda_address(rows.lowerBound * output.stride * 4)), .int(output.stride),
            .address(gain), .address(offset), .int(output.width))
    }
}
