import ServingTensors

/// A norm over rows, after a sum.
struct NormCheck: DeviceCheck {
    let rows, width: Int
    var name: String { "sum and norm (\(rows), \(width))" }

    func values<Device: Backend>(on device: Device, _ precision: CheckPrecision) throws -> [Float] {
        var random = RandomNumbers(seed: 1)
        let (first, second) = (random.tensor("a", [rows, width]), random.tensor("b", [rows, width]))
        let weight = try device.makeVector(random.tensor("weight", [width]), offset: 1)
        let sum = try device.makeActivation(rowCapacity: rows, width: width)
        let term = try device.rows(first)
        try device.rows(second, into: sum)
        let output = try device.makeActivation(rowCapacity: rows, width: width)
        try device.addThenNorm(
            term, scale: 0.5, to: sum, weight: weight, slot: nil, epsilon: 1e-5, into: output)
        return try device.values(of: sum) + device.values(of: output)
    }
}

/// The gate of a feed-forward layer.
struct GateCheck: DeviceCheck {
    let kind: GatedActivation
    var name: String { "gate, \(kind)" }

    func values<Device: Backend>(on device: Device, _ precision: CheckPrecision) throws -> [Float] {
        var random = RandomNumbers(seed: 2)
        let (first, second) = (random.tensor("gate", [7, 1000], scale: 6), random.tensor("up", [7, 1000]))
        let gate = try device.rows(first)
        let up = try device.makeActivation(rowCapacity: 7, width: 1000)
        try device.rows(second, into: up)
        try device.gatedActivation(kind, gate: gate, up: up, into: gate)
        return try device.values(of: gate)
    }
}

/// Products with weights that lie side by side, with adapters of different ranks on some rows.
struct LinearCheck: DeviceCheck {
    let rows, inputs: Int
    let outputs: [Int]
    /// Of the adapters that rows have in turn; 0 for none.
    var ranks: [Int] = []
    var hasBias = false

    var name: String {
        "products (\(rows), \(inputs)) x \(outputs)" + (hasBias ? " + bias" : "")
            + (ranks.isEmpty ? "" : ", ranks \(ranks)")
    }

    func values<Device: Backend>(on device: Device, _ precision: CheckPrecision) throws -> [Float] {
        var random = RandomNumbers(seed: 3)
        let scale = 1 / Float(inputs).squareRoot()
        let weights = outputs.map { random.tensor("weight", [$0, inputs], scale: scale) }
        let biases = outputs.map { random.tensor("bias", [$0], scale: 0.1) }
        let layers = try zip(device.makeMatrices(weights), biases).map { weight, bias in
            LinearLayer<Device>(weight: weight, bias: hasBias ? try device.makeVector(bias, offset: 0) : nil)
        }
        let adapters = try ranks.map { rank in
            rank == 0 ? nil : try adapter(rank, &random, weights, scale, device.makeUploader())
        }
        let table = try device.makeEmbeddingTable(random.tensor("input", [rows, inputs]))
        let input = try device.makeActivation(rowCapacity: rows, width: inputs)
        let results = try device.makeActivations(rowCapacity: rows, widths: outputs)
        // Runs of one to three rows, and a long one, which adapters are applied to by whole products.
        var batch = ForwardBatch(
            tokenIDs: (0..<rows).map { TokenID($0) }, sequences: [], logitTokenIndices: [])
        var row = 0
        while row < rows {
            let number = batch.sequences.count
            let count = min(number == 4 ? 70 : number % 3 + 1, rows - row)
            batch.sequences.append(
                .init(
                    tokenRange: row..<row + count, firstPosition: 0, blockTable: [],
                    adapter: adapters.isEmpty ? nil : adapters[number % adapters.count]))
            row += count
        }
        try device.begin(batch)
        try device.embed(table, scale: 1, into: input)
        try device.linear(input, layers, slot: 0, into: results)
        return try results.flatMap { try device.values(of: $0) }
    }

    private func adapter(
        _ rank: Int, _ random: inout RandomNumbers, _ weights: [StoredTensor], _ scale: Float,
        _ uploader: some AdapterUploading
    ) throws -> any ResidentAdapter {
        var parts = AdapterParts(linearSlotCount: weights.count)
        for (slot, weight) in weights.enumerated() {
            let update = LowRankUpdate(
                loraA: random.tensor("lora_A", [rank, inputs], scale: scale),
                loraB: random.tensor("lora_B", [weight.rowCount, rank]), scaling: 0.5)
            parts.linears.append(
                .init(slot: slot, update: LinearUpdate(lowRank: update), weight: weight, bias: nil))
        }
        return try uploader.upload(parts)
    }
}

/// Head norms, rotation, the cache and attention: a prompt in chunks, then single tokens.
struct AttentionCheck: DeviceCheck {
    let heads, keyHeads, dimension: Int
    var pairing = RotaryEmbedding.Pairing.halves
    var hasNorms = false
    var softCap: Float?
    var window: Int?
    /// Tokens of each step.
    var chunks = [200, 300, 1, 1]

    var name: String {
        "attention \(heads)/\(keyHeads) x \(dimension), \(chunks.reduce(0, +)) positions"
            + (pairing == .neighbours ? ", pairs" : "") + (hasNorms ? ", norms" : "")
            + (softCap == nil ? "" : ", cap") + (window.map { ", window \($0)" } ?? "")
    }

    func values<Device: Backend>(on device: Device, _ precision: CheckPrecision) throws -> [Float] {
        var random = RandomNumbers(seed: 4)
        let total = chunks.reduce(0, +)
        let blockCount = (total + 15) / 16
        let cache = try device.makeKVCache(
            KVCacheLayout(
                layerCount: 2, blockCount: blockCount + 3, positionsPerBlock: 16, headCount: keyHeads,
                headDimension: dimension, element: precision.cache))
        let rotary = try device.makeRotary(
            RotaryEmbedding(
                headDimension: dimension,
                inverseFrequencies: (0..<dimension / 2).map { 1 / Float(1 + 3 * $0) }, pairing: pairing))
        let norms = try (0..<2).map { _ in
            try device.makeVector(random.tensor("norm", [dimension], scale: 0.5), offset: 1)
        }
        // Blocks in no order.
        let table = (0..<blockCount).map { BlockID((7 * $0 + 2) % (blockCount + 3)) }
        let blocks = Set(table).count == table.count ? table : (0..<blockCount).map { BlockID($0) }
        let widths = [heads * dimension, keyHeads * dimension, keyHeads * dimension]
        let most = chunks.max() ?? 1
        let rows = try device.makeActivations(rowCapacity: most, widths: widths)
        let output = try device.makeActivation(rowCapacity: most, width: widths[0])
        var (values, position) = ([Float](), 0)
        for count in chunks {
            try device.begin(tokenCount: count, firstPosition: position, blockTable: blocks)
            for (width, target) in zip(widths, rows) {
                try device.rows(random.tensor("rows", [count, width]), into: target)
            }
            try device.prepare(
                AttentionRows<Device>(
                    queries: rows[0], keys: rows[1], values: rows[2], headCount: heads,
                    keyValueHeadCount: keyHeads, queryNorm: hasNorms ? (norms[0], 0) : nil,
                    keyNorm: hasNorms ? (norms[1], 1) : nil, epsilon: 1e-6, rotary: rotary), in: cache, layer: 1)
            try device.attend(
                rows[0], over: cache, layer: 1,
                AttentionParameters(
                    headCount: heads, softmaxScale: 2 / Float(dimension).squareRoot(), softCap: softCap,
                    slidingWindow: window), into: output)
            values += try device.values(of: output)
            position += count
        }
        return values
    }
}
