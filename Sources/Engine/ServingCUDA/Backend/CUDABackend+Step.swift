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

    func norm(
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
