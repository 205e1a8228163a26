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
    static let threadCount = 256

    /// Starts a step; see ``Backend``. It may be put behind one that is under way.
    public func begin(_ batch: ForwardBatch) throws { try begin(batch, rowCount: batch.tokenIDs.count) }

    func begin(_ batch: ForwardBatch, rowCount: Int) throws {
        try device.activate()
        stepNumber += 1
        tiles = nil
        let place = step.place
        // Also where it fails: recordings must not outlive what they read.
        defer { if step.place != place { recordings.forgetAll() } }
        try step.begin(batch, rowCount: rowCount)
        if !batch.tokenSources.isEmpty { try takeDrawnTokens(batch.tokenSources) }
    }

    /// Looks up the rows of the step's tokens.
    public func embed(_ table: CUDAMatrix, scale: Float, into output: CUDAActivation) throws {
        guard let bad = step.tokenIDs.first(where: { $0 < 0 || Int($0) >= table.rowCount }) else {
            try resize(output, rowCount: step.tokenCount, width: table.columnCount)
            output.isGathered = false
            output.form = .float32
            let tables = try pointers(step.spans, rowCount: step.tokenCount) { $0.embeddingTable?.address }
            try kernels.embed.launch(
                .init(x: output.rowCount), threads: Self.threadCount, .address(table.address),
                .address(tables), .address(step.tokens), .float(scale), .address(output.rows), .int(output.stride),
                .int(output.width))
            try adaptEmbeddings(vocabulary: table.rowCount, scale: scale, output)
            return
        }
        throw CUDAError(.invalid, "token \(bad) is outside the vocabulary of \(table.rowCount)")
    }

    /// Divides rows by their root mean square and multiplies by the weight.
    public func rmsNorm(
        _ input: CUDAActivation, weight: CUDAVector, slot: Int?, epsilon: Float, into output: CUDAActivation
    ) throws {
        try norm(input, headCount: 1, weight, slot: slot, epsilon, into: output)
    }

    /// The same for each head of each row.
    public func headRMSNorm(
        _ rows: CUDAActivation, headCount: Int, weight: CUDAVector, slot: Int?, epsilon: Float
    ) throws {
        try norm(rows, headCount: headCount, weight, slot: slot, epsilon, into: rows)
    }

    /// Adds and norms in one pass.
    public func addThenNorm(
        _ term: CUDAActivation, scale: Float, to sum: CUDAActivation, weight: CUDAVector, slot: Int?, epsilon: Float,
        into output: CUDAActivation
    ) throws {
        guard term.rowCount == sum.rowCount, term.width == sum.width else {
            throw CUDAError(.invalid, "the terms of a sum differ in shape")
        }
        try unpack(term)
        try norm(sum, adding: term, scale: scale, headCount: 1, weight, slot: slot, epsilon, into: output)
    }

    private func norm(
        _ input: CUDAActivation, adding term: CUDAActivation? = nil, scale: Float = 1, headCount: Int,
        _ weight: CUDAVector, slot: Int?, _ epsilon: Float, into output: CUDAActivation
    ) throws {
        guard headCount > 0, headCount * weight.count == input.width else {
            throw CUDAError(
                .invalid, "a norm of \(weight.count) elements for \(headCount) heads in rows of \(input.width)")
        }
        try unpack(input)
        try resize(output, rowCount: input.rowCount, width: input.width)
        output.isGathered = input.isGathered
        if term != nil { input.form = .float32 }
        let weights = try normWeights(slot, of: input)
        // What is normed into another place is read by products alone.
        let keepsRows = element == .f32 || input === output
        // A few elements a thread: in decoding nothing else runs.
        let threads = min(1024, max(64, (weight.count / 4 + 31) / 32 * 32))
        try kernels.rmsNorm.launch(
            .init(x: input.rowCount * headCount), threads: threads, .address(input.rows),
            .int(input.stride), .address(term?.rows), .int(term?.stride ?? 0), .float(scale),
            .address(weight.memory.address), .address(weights), .float(epsilon), .int(weight.count), .int(headCount),
            .address(keepsRows ? output.rows : nil), .address(element == .f32 ? nil : output.packed),
            .int(output.stride))
        output.form = keepsRows ? .both : .packed
    }

    /// Each row's own weights of a norm; nil where no adapter has any.
    private func normWeights(_ slot: Int?, of rows: CUDAActivation) throws(CUDAError) -> cuda_address? {
        guard let slot else { return nil }
        return try pointers(spans(of: rows), rowCount: rows.rowCount) { $0.norms[slot]?.memory.address }
    }

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

    /// Rotates each head by its token's position.
    public func rotate(_ rows: CUDAActivation, headCount: Int, by rotary: CUDARotary) throws {
        try place(
            AttentionRows(
                queries: rows, keys: rows, values: rows, headCount: headCount, keyValueHeadCount: 0, queryNorm: nil,
                keyNorm: nil, epsilon: 0, rotary: rotary),
            headDimension: rotary.rotary.headDimension, in: nil)
    }

    /// Writes the step's keys and values to the cache.
    public func store(
        keys: CUDAActivation, values: CUDAActivation, in cache: CUDAKVCache, layer: Int
    ) throws {
        let still = try CUDARotary(
            RotaryEmbedding(
                headDimension: cache.layout.headDimension, inverseFrequencies: [], pairing: .halves),
            frequencies: CUDAVector(device, [], purpose: "no rotation"))
        try place(
            AttentionRows(
                queries: keys, keys: keys, values: values, headCount: 0,
                keyValueHeadCount: cache.layout.headCount, queryNorm: nil, keyNorm: nil, epsilon: 0, rotary: still),
            headDimension: cache.layout.headDimension, in: (cache, layer))
    }

    /// Norms and rotates in one pass, keys and values straight into the cache.
    public func prepare(_ rows: AttentionRows<CUDABackend>, in cache: CUDAKVCache, layer: Int) throws {
        try place(rows, headDimension: cache.layout.headDimension, in: (cache, layer))
    }

    private func place(
        _ rows: AttentionRows<CUDABackend>, headDimension: Int, in target: (cache: CUDAKVCache, layer: Int)?
    ) throws {
        let rotary = rows.rotary.rotary
        let (queries, keys, values) = (rows.queries, rows.keys, rows.values)
        guard
            rows.headCount == 0 || queries.width == rows.headCount * headDimension,
            rows.keyValueHeadCount == 0 || keys.width == rows.keyValueHeadCount * headDimension,
            rows.keyValueHeadCount == 0 || values.width == rows.keyValueHeadCount * headDimension,
            [queries, keys, values].allSatisfy({ $0.rowCount == step.tokenCount }),
            [rows.queryNorm, rows.keyNorm].allSatisfy({ $0.map { $0.weight.count == headDimension } ?? true }),
            rotary.headDimension == headDimension
        else {
            throw CUDAError(
                .invalid,
                "\(rows.headCount) and \(rows.keyValueHeadCount) heads of \(headDimension) for rows of "
                    + "\(queries.width), \(keys.width) and \(values.width)")
        }
        if let (cache, layer) = target {
            let layout = cache.layout
            guard layout.headCount == rows.keyValueHeadCount, layout.headDimension == headDimension,
                (0..<layout.layerCount).contains(layer)
            else { throw CUDAError(.invalid, "keys and values of \(keys.width) for a cache of \(layout)") }
            try step.check(layout)
        }
        for part in [queries, keys, values] {
            try unpack(part)
            part.form = .float32
        }
        let angles = try angles(rows.rotary, rowCapacity: queries.rowCapacity)
        var norms = (query: rows.queryNorm, key: rows.keyNorm)
        // Adapters with norms of their own are rare: theirs are done apart.
        if step.spans.contains(where: { !$0.adapter.norms.isEmpty }) {
            if let norm = norms.query {
                try self.norm(
                    queries, headCount: rows.headCount, norm.weight, slot: norm.slot, rows.epsilon, into: queries)
            }
            if let norm = norms.key {
                try self.norm(
                    keys, headCount: rows.keyValueHeadCount, norm.weight, slot: norm.slot, rows.epsilon, into: keys)
            }
            norms = (nil, nil)
        }
        let allHeads = rows.headCount + 2 * rows.keyValueHeadCount
        let kernel = target.map { $0.cache.layout.element } == .f32 ? kernels.placeF32 : kernels.placeF16
        try kernel.launch(
            .init(x: (allHeads + 3) / 4, y: step.tokenCount), threads: 128, .address(queries.rows),
            .address(keys.rows), .address(values.rows), .int(queries.stride), .int(keys.stride), .int(values.stride),
            .address(norms.query?.weight.memory.address), .address(norms.key?.weight.memory.address),
            .float(rows.epsilon), .address(angles),
            .int(rotary.inverseFrequencies.count), .int(rotary.pairing == .neighbours ? 1 : 0),
            .int(rows.headCount), .int(rows.keyValueHeadCount), .int(headDimension), .address(step.positions),
            .address(step.sequences), .address(step.tableStarts), .address(step.tables),
            .address(target?.cache.keys(layer: target?.layer ?? 0)),
            .address(target?.cache.values(layer: target?.layer ?? 0)),
            .int(target?.cache.layout.positionsPerBlock ?? 1))
    }

    /// Cosines and sines of the step's positions, computed once a step.
    private func angles(_ rotary: CUDARotary, rowCapacity: Int) throws(CUDAError) -> cuda_address? {
        let pairs = rotary.frequencies.count
        guard pairs > 0 else { return nil }
        if let known = rotary.angles, rotary.step == stepNumber { return known.address }
        let address = try reserve(rowCapacity * pairs * 8, in: &rotary.angles, purpose: "rotation angles")
        try kernels.angles.launch(
            .init(x: step.tokenCount), threads: 64, .address(step.positions),
            .address(rotary.frequencies.memory.address), .float(rotary.rotary.magnitude), .int(pairs),
            .address(address))
        rotary.step = stepNumber
        return address
    }

    /// Multiplies the activated gate with `up`.
    public func gatedActivation(
        _ kind: GatedActivation, gate: CUDAActivation, up: CUDAActivation, into output: CUDAActivation
    ) throws {
        guard gate.rowCount == up.rowCount, gate.width == up.width else {
            throw CUDAError(.invalid, "gate and up differ in shape")
        }
        try unpack(gate)
        try unpack(up)
        try resize(output, rowCount: gate.rowCount, width: gate.width)
        output.isGathered = gate.isGathered
        let code =
            switch kind {
            case .silu: 0
            case .geluTanh: 1
            case .geluErf: 2
            }
        try kernels.gated.launch(
            elementwise(gate.width, rowCount: gate.rowCount), threads: Self.threadCount, .int(code),
            .address(gate.rows), .address(up.rows), .int(gate.stride), .int(up.stride), .int(gate.width),
            .address(output.rows), .address(element == .f32 ? nil : output.packed), .int(output.stride))
        output.form = .packed
    }

    /// Adds `scale * term`, fused.
    public func add(_ term: CUDAActivation, scale: Float, to sum: CUDAActivation) throws {
        guard term.rowCount == sum.rowCount, term.width == sum.width else {
            throw CUDAError(.invalid, "the terms of a sum differ in shape")
        }
        try unpack(term)
        try unpack(sum)
        sum.form = .float32
        try kernels.addScaled.launch(
            elementwise(sum.width, rowCount: sum.rowCount), threads: Self.threadCount, .address(term.rows),
            .int(term.stride), .float(scale), .address(sum.rows), .int(sum.stride), .int(sum.width))
    }

    /// Picks rows; not in place.
    public func gather(_ rows: [Int], of input: CUDAActivation, into output: CUDAActivation) throws {
        // A recorded step's rows of no token are gathered with the others.
        let isLogits = input.rowCount == step.tokenCount && rows == step.wantedRows
        let rows = isLogits ? step.logitRows : rows
        guard output !== input, rows.allSatisfy({ (0..<input.rowCount).contains($0) }) else {
            throw CUDAError(.invalid, "rows \(rows.prefix(8)) of \(input.rowCount) can't be gathered")
        }
        try unpack(input)
        try resize(output, rowCount: rows.count, width: input.width)
        output.isGathered = true
        output.form = .float32
        step.gather(rows)
        let numbers = isLogits ? step.gatheredRows : try upload(rows.map { Int32($0) })
        try kernels.gather.launch(
            .init(x: rows.count), threads: Self.threadCount, .address(input.rows), .int(input.stride),
            .address(numbers), .address(output.rows), .int(output.stride), .int(input.width))
    }

    /// Scales rows and bounds them softly.
    public func scaleAndCap(_ rows: CUDAActivation, scale: Float, softCap: Float?) throws {
        try unpack(rows)
        rows.form = .float32
        try kernels.scaleAndCap.launch(
            elementwise(rows.width, rowCount: rows.rowCount), threads: Self.threadCount, .address(rows.rows),
            .int(rows.stride), .float(scale), .float(softCap ?? 0), .int(rows.width))
    }

    /// Waits for the step.
    public func finish() throws {
        try device.activate()
        try device.synchronize()
    }

    /// Brings the rows to the host, waits, and shows them.
    public func withRows<Result>(
        of activation: CUDAActivation, wanted: [Int]?,
        _ body: (UnsafeMutableBufferPointer<Float>) throws -> Result
    ) throws -> Result {
        try device.activate()
        try unpack(activation)
        let byteCount = activation.count * 4
        if activation.host.map({ $0.byteCount < byteCount }) ?? true {
            activation.host = try PinnedMemory(
                device, byteCount: activation.rowCapacity * activation.width * 4, purpose: "results")
        }
        guard let host = activation.host else { throw CUDAError(.outOfMemory, "no memory for results") }
        let driver = device.libraries.driver
        func copy(row: Int, _ byteCount: Int) throws(CUDAError) {
            try driver.check(
                driver.copy_to_host(
                    host.base + row * activation.width * 4, activation.rows + cuda_address(row * activation.stride * 4),
                    byteCount, device.stream), "copying results")
        }
        if wanted == nil, activation.stride == activation.width, byteCount > 0 {
            try copy(row: 0, byteCount)
        } else {
            for row in wanted ?? Array(0..<activation.rowCount) { try copy(row: row, activation.width * 4) }
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

    /// Sees to it that rows are there in the form that products read.
    func pack(_ rows: CUDAActivation) throws(CUDAError) {
        guard rows.form == .float32, element != .f32 else { return }
        try kernels.pack.launch(
            elementwise(rows.width, rowCount: rows.rowCount), threads: Self.threadCount, .address(rows.rows),
            .int(rows.stride), .float(1), .address(rows.packed), .int(rows.stride), .int(rows.width))
        rows.form = .both
    }

    /// Sees to it that rows are there as float32.
    func unpack(_ rows: CUDAActivation) throws(CUDAError) {
        guard rows.form == .packed, element != .f32 else { return }
        try kernels.unpack.launch(
            elementwise(rows.width, rowCount: rows.rowCount), threads: Self.threadCount, .address(rows.packed),
            .address(rows.rows), .int(rows.stride), .int(rows.width))
        rows.form = .both
    }

    func elementwise(_ width: Int, rowCount: Int) -> Kernel.Grid {
        Kernel.Grid(x: (width + Self.threadCount - 1) / Self.threadCount, y: rowCount)
    }

    /// What the rows of an activation are computed with.
    func spans(of activation: CUDAActivation) -> [StepInputs.Span] {
        activation.isGathered ? step.gatheredSpans : step.spans
    }
}
