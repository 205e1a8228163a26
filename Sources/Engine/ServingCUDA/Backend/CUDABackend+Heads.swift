import CCUDAHeaders
public import ServingTensors

/// What is done to queries and keys before attention, and where keys and values go.
extension CUDABackend {
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
}
