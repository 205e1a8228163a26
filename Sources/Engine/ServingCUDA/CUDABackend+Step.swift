import CCUDAHeaders
public import ServingTensors

/// The operations of a step.
extension CUDABackend: Backend {
    /// See ``Backend``.
    public typealias Matrix = CUDAMatrix
    /// See ``Backend``.
    public typealias Vector = CUDAVector
    /// See ``Backend``.
    public typealias EmbeddingTable = CUDAMatrix
    /// See ``Backend``.
    public typealias Rotary = CUDARotary
    /// See ``Backend``.
    public typealias Activation = CUDAActivation
    /// See ``Backend``.
    public typealias KVCache = CUDAKVCache
    /// See ``Backend``.
    public typealias Uploader = CUDAUploader

    /// Threads of a block, for kernels that take any number.
    private static let threadCount = 256

    /// Starts a step; see ``Backend``. Waits for an earlier one whose end nobody waited for.
    public func begin(_ batch: ForwardBatch) throws {
        try device.activate()
        try device.synchronize()
        try step.begin(batch)
    }

    /// Looks up the rows of the step's tokens.
    public func embed(_ table: CUDAMatrix, scale: Float, into output: CUDAActivation) throws {
        guard let bad = step.tokenIDs.first(where: { $0 < 0 || Int($0) >= table.rowCount }) else {
            try resize(output, rowCount: step.tokenCount, width: table.columnCount)
            output.isGathered = false
            let tables = try pointers(step.spans, rowCount: step.tokenCount) { $0.embeddingTable?.address }
            try kernels.embed.launch(
                .init(x: output.rowCount), threads: Self.threadCount, .address(table.memory.address),
                .address(tables), .address(step.tokens), .float(scale), .address(output.rows.address),
                .int(output.width))
            output.isPacked = false
            try adaptEmbeddings(vocabulary: table.rowCount, scale: scale, output)
            return
        }
        throw CUDAError(.invalid, "token \(bad) is outside the vocabulary of \(table.rowCount)")
    }

    /// Divides rows by their root mean square and multiplies by the weight.
    public func rmsNorm(
        _ input: CUDAActivation, weight: CUDAVector, slot: Int?, epsilon: Float, into output: CUDAActivation
    ) throws {
        try resize(output, rowCount: input.rowCount, width: input.width)
        output.isGathered = input.isGathered
        try norm(input, headCount: 1, weight, slot: slot, epsilon, into: output)
    }

    /// The same for each head of each row.
    public func headRMSNorm(
        _ rows: CUDAActivation, headCount: Int, weight: CUDAVector, slot: Int?, epsilon: Float
    ) throws {
        try norm(rows, headCount: headCount, weight, slot: slot, epsilon, into: rows)
    }

    private func norm(
        _ input: CUDAActivation, headCount: Int, _ weight: CUDAVector, slot: Int?, _ epsilon: Float,
        into output: CUDAActivation
    ) throws(CUDAError) {
        guard headCount > 0, headCount * weight.count == input.width else {
            throw CUDAError(
                .invalid, "a norm of \(weight.count) elements for \(headCount) heads in rows of \(input.width)")
        }
        let weights = try slot.flatMap { slot throws(CUDAError) in
            try pointers(spans(of: input), rowCount: input.rowCount) { $0.norms[slot]?.memory.address }
        }
        try kernels.rmsNorm.launch(
            .init(x: input.rowCount * headCount), threads: Self.threadCount, .address(input.rows.address),
            .address(weight.memory.address), .address(weights), .float(epsilon), .int(weight.count), .int(headCount),
            .address(output.rows.address), .address(packed(output)))
        output.isPacked = true
    }

    /// Multiplies the rows with each layer's weight.
    public func linear(
        _ input: CUDAActivation, _ layers: [LinearLayer<CUDABackend>], slot: Int?, into outputs: [CUDAActivation]
    ) throws {
        guard layers.count == outputs.count else {
            throw CUDAError(.invalid, "\(layers.count) layers, \(outputs.count) outputs")
        }
        if !input.isPacked {
            if element != .f32 {
                try kernels.pack.launch(
                    elementwise(input.count), threads: Self.threadCount, .address(input.rows.address),
                    .address(input.packed.address), .long(input.count))
            }
            input.isPacked = true
        }
        for (layer, output) in zip(layers, outputs) {
            try resize(output, rowCount: input.rowCount, width: layer.weight.rowCount)
            output.isGathered = input.isGathered
            output.isPacked = false
            try product(input, layer.weight, bias: layer.bias, rows: 0..<input.rowCount, into: output)
        }
        if let slot { try adapt(input, layers, slot: slot, outputs) }
    }

    /// `output[t] = weight * input[t] + bias` for some rows.
    func product(
        _ input: CUDAActivation, _ weight: CUDAMatrix, bias: CUDAVector?, rows: Range<Int>,
        into output: CUDAActivation
    ) throws(CUDAError) {
        guard weight.columnCount == input.width, weight.rowCount == output.width else {
            throw CUDAError(
                .invalid,
                "a weight (\(weight.rowCount), \(weight.columnCount)) for rows of \(input.width) into \(output.width)")
        }
        guard bias.map({ $0.count == weight.rowCount }) ?? true else {
            throw CUDAError(.invalid, "a bias of \(bias?.count ?? 0) elements for \(weight.rowCount) rows")
        }
        guard !rows.isEmpty else { return }
        let source = input.packed.address + cuda_address(rows.lowerBound * input.width * element.byteCount)
        let target = output.rows.address + cuda_address(rows.lowerBound * output.width * 4)
        // Row-major Y = X W^T is, column by column, Y^T = W X^T.
        var (one, zero) = (Float(1), Float(0))
        let status = device.libraries.cublas.gemm(
            device.cublas, Int32(CUBLAS_TRANSPOSE), Int32(CUBLAS_NO_TRANSPOSE), Int32(weight.rowCount),
            Int32(rows.count), Int32(weight.columnCount), &one, pointer(weight.memory.address), element.code,
            Int32(weight.columnCount), pointer(source), element.code, Int32(input.width), &zero, pointer(target),
            Int32(CUDA_TYPE_F32), Int32(output.width), Int32(CUBLAS_COMPUTE_F32), Int32(CUBLAS_ALGORITHM_DEFAULT))
        guard status == 0 else {
            throw CUDAError(
                .deviceFailed,
                "cuBLAS failed with status \(status) for (\(weight.rowCount), \(weight.columnCount)) and \(rows.count) rows"
            )
        }
        if let bias {
            try kernels.addBias.launch(
                elementwise(rows.count * output.width), threads: Self.threadCount, .address(target),
                .address(bias.memory.address), .int(output.width), .long(rows.count * output.width))
        }
    }

    private func pointer(_ address: cuda_address) -> UnsafeMutableRawPointer? {
        UnsafeMutableRawPointer(bitPattern: UInt(address))
    }

    /// Rotates each head by its token's position.
    public func rotate(_ rows: CUDAActivation, headCount: Int, by rotary: CUDARotary) throws {
        let kind = rotary.rotary
        guard headCount * kind.headDimension == rows.width, rows.rowCount == step.tokenCount else {
            throw CUDAError(
                .invalid, "\(headCount) heads of \(kind.headDimension) for rows (\(rows.rowCount), \(rows.width))")
        }
        rows.isPacked = false
        guard !kind.inverseFrequencies.isEmpty else { return }
        try kernels.rotate.launch(
            .init(x: rows.rowCount), threads: Self.threadCount, .address(rows.rows.address), .address(step.positions),
            .address(rotary.frequencies.memory.address), .float(kind.magnitude), .int(headCount),
            .int(kind.headDimension), .int(kind.inverseFrequencies.count),
            .int(kind.pairing == .neighbours ? 1 : 0))
    }

    /// Writes the step's keys and values to the cache.
    public func store(
        keys: CUDAActivation, values: CUDAActivation, in cache: CUDAKVCache, layer: Int
    ) throws {
        let layout = cache.layout
        let width = layout.headCount * layout.headDimension
        guard keys.width == width, values.width == width, keys.rowCount == step.tokenCount,
            values.rowCount == step.tokenCount, (0..<layout.layerCount).contains(layer)
        else { throw CUDAError(.invalid, "keys and values of \(keys.width) for a cache of \(width)") }
        try step.check(layout)
        let kernel = layout.element == .f32 ? kernels.storeF32 : kernels.storeF16
        try kernel.launch(
            .init(x: keys.rowCount), threads: Self.threadCount, .address(keys.rows.address),
            .address(values.rows.address), .address(step.positions), .address(step.sequences),
            .address(step.tableStarts), .address(step.tables), .address(cache.keys(layer: layer)),
            .address(cache.values(layer: layer)), .int(width), .int(layout.positionsPerBlock))
    }

    /// Attention over the cache, some tokens at a time where the partial results of all would take much memory.
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
        try resize(output, rowCount: queries.rowCount, width: queries.width)
        output.isGathered = false
        let attention = try attention(
            AttentionShape(
                headDimension: layout.headDimension, headsPerKVHead: parameters.headCount / layout.headCount,
                positionsPerBlock: layout.positionsPerBlock, isExact: layout.element == .f32))
        let longest = step.extents.map(\.positions).max() ?? 0
        let spanCount = (longest + AttentionKernels.spanLength - 1) / AttentionKernels.spanLength
        guard spanCount > 0 else { return }
        let tokenBytes = parameters.headCount * spanCount * (layout.headDimension + 2) * 4
        let tokensAtOnce = min(65535, max(1, (64 << 20) / tokenBytes), max(1, queries.rowCount))
        let partial = try reserve(tokensAtOnce * tokenBytes, in: &attentionScratch, purpose: "attention")
        let (cap, window) = (parameters.softCap ?? 0, parameters.slidingWindow ?? 0)
        for first in stride(from: 0, to: queries.rowCount, by: tokensAtOnce) {
            let count = min(tokensAtOnce, queries.rowCount - first)
            let (rowBytes, intBytes) = (cuda_address(first * queries.width * 4), cuda_address(first * 4))
            try attention.span.launch(
                .init(x: spanCount, y: parameters.headCount / attention.shape.group, z: count), threads: 128,
                .address(queries.rows.address + rowBytes), .address(cache.keys(layer: layer)),
                .address(cache.values(layer: layer)), .address(step.positions + intBytes),
                .address(step.sequences + intBytes), .address(step.tableStarts), .address(step.tables),
                .float(parameters.softmaxScale), .float(cap), .int(window), .address(partial))
            let packedBytes = cuda_address(first * queries.width * element.byteCount)
            try attention.merge.launch(
                .init(x: parameters.headCount, y: count), threads: (layout.headDimension + 31) / 32 * 32,
                .address(partial), .address(step.positions + intBytes), .int(spanCount), .int(window),
                .address(output.rows.address + rowBytes), .address(packed(output).map { $0 + packedBytes }))
        }
        output.isPacked = true
    }

    /// Multiplies the activated gate with `up`.
    public func gatedActivation(
        _ kind: GatedActivation, gate: CUDAActivation, up: CUDAActivation, into output: CUDAActivation
    ) throws {
        guard gate.rowCount == up.rowCount, gate.width == up.width else {
            throw CUDAError(.invalid, "gate and up differ in shape")
        }
        try resize(output, rowCount: gate.rowCount, width: gate.width)
        output.isGathered = gate.isGathered
        let code =
            switch kind {
            case .silu: 0
            case .geluTanh: 1
            case .geluErf: 2
            }
        try kernels.gated.launch(
            elementwise(gate.count), threads: Self.threadCount, .int(code), .address(gate.rows.address),
            .address(up.rows.address), .address(output.rows.address), .address(packed(output)), .long(gate.count))
        output.isPacked = true
    }

    /// Adds `scale * term`, fused.
    public func add(_ term: CUDAActivation, scale: Float, to sum: CUDAActivation) throws {
        guard term.rowCount == sum.rowCount, term.width == sum.width else {
            throw CUDAError(.invalid, "the terms of a sum differ in shape")
        }
        sum.isPacked = false
        try kernels.addScaled.launch(
            elementwise(sum.count), threads: Self.threadCount, .address(term.rows.address), .float(scale),
            .address(sum.rows.address), .long(sum.count))
    }

    /// Picks rows; not in place.
    public func gather(_ rows: [Int], of input: CUDAActivation, into output: CUDAActivation) throws {
        guard output !== input, rows.allSatisfy({ (0..<input.rowCount).contains($0) }) else {
            throw CUDAError(.invalid, "rows \(rows.prefix(8)) of \(input.rowCount) can't be gathered")
        }
        try resize(output, rowCount: rows.count, width: input.width)
        output.isGathered = true
        output.isPacked = false
        step.gather(rows)
        let numbers = try upload(rows.map { Int32($0) })
        try kernels.gather.launch(
            .init(x: rows.count), threads: Self.threadCount, .address(input.rows.address), .address(numbers),
            .address(output.rows.address), .int(input.width))
    }

    /// Scales rows and bounds them softly.
    public func scaleAndCap(_ rows: CUDAActivation, scale: Float, softCap: Float?) throws {
        rows.isPacked = false
        try kernels.scaleAndCap.launch(
            elementwise(rows.count), threads: Self.threadCount, .address(rows.rows.address), .float(scale),
            .float(softCap ?? 0), .long(rows.count))
    }

    /// Waits for the step.
    public func finish() throws {
        try device.activate()
        try device.synchronize()
    }

    /// Brings the rows to the host, waits, and shows them.
    public func withRows<Result>(
        of activation: CUDAActivation, _ body: (UnsafeMutableBufferPointer<Float>) throws -> Result
    ) throws -> Result {
        try device.activate()
        let byteCount = activation.count * 4
        if activation.host.map({ $0.byteCount < byteCount }) ?? true {
            activation.host = try PinnedMemory(
                device, byteCount: activation.rowCapacity * activation.width * 4, purpose: "results")
        }
        guard let host = activation.host else { throw CUDAError(.outOfMemory, "no memory for results") }
        if byteCount > 0 {
            let driver = device.libraries.driver
            try driver.check(
                driver.copy_to_host(host.base, activation.rows.address, byteCount, device.stream), "copying results")
        }
        try device.synchronize()
        return try body(
            UnsafeMutableBufferPointer(
                start: host.base.assumingMemoryBound(to: Float.self), count: activation.count))
    }

    // MARK: Helpers of the operations

    /// Gives an output its rows.
    func resize(_ output: CUDAActivation, rowCount: Int, width: Int) throws(CUDAError) {
        guard output.width == width, rowCount <= output.rowCapacity else {
            throw CUDAError(
                .invalid,
                "a result (\(rowCount), \(width)) does not fit activations (\(output.rowCapacity), \(output.width))")
        }
        output.rowCount = rowCount
    }

    /// Where a kernel also writes rows in the weights' form; nil where that is float32.
    private func packed(_ output: CUDAActivation) -> cuda_address? {
        element == .f32 ? nil : output.packed.address
    }

    func elementwise(_ count: Int) -> Kernel.Grid { Kernel.Grid(x: (count + Self.threadCount - 1) / Self.threadCount) }

    /// What the rows of an activation are computed with.
    func spans(of activation: CUDAActivation) -> [StepInputs.Span] {
        activation.isGathered ? step.gatheredSpans : step.spans
    }
}
