import ServingCPU
import ServingTensors
import Testing

/// Updates of linear layers beside one another in one batch: what each row gets, in which order of bits.
@Suite struct AdapterUpdateTests {
    private struct Case {
        var weight: StoredTensor
        var bias: [Float]?
        /// One a span of rows; nil for rows without an adapter.
        var updates: [LinearUpdate?]
        var counts: [Int]

        var columns: Int { weight.columnCount }
        var rows: Int { weight.rowCount }
    }

    private func run(
        _ test: Case, _ input: [Float], isa: String, threads: Int = 1, float32: Bool = false
    ) throws -> [Float] {
        let backend = try CPUBackend(threadCount: threads, float32: float32, instructionSet: isa)
        let uploader = backend.makeUploader()
        var batch = ForwardBatch(tokenIDs: [], sequences: [], logitTokenIndices: [])
        for (update, count) in zip(test.updates, test.counts) {
            var parts = AdapterParts(linearSlotCount: 3)
            let bias = test.bias.map { makeFloatTensor($0, shape: [$0.count]) }
            if let update {
                parts.linears = [AdapterParts.Linear(slot: 1, update: update, weight: test.weight, bias: bias)]
            }
            let adapter = try update.map { _ in try uploader.upload(parts) }
            let first = batch.tokenIDs.count
            batch.tokenIDs += [TokenID](repeating: 0, count: count)
            batch.sequences.append(
                .init(tokenRange: first..<first + count, firstPosition: 0, blockTable: [], adapter: adapter))
        }
        let rows = try backend.makeRows(input, width: test.columns)
        try backend.begin(batch)
        let output = try backend.makeActivation(rowCapacity: rows.rowCount, width: test.rows)
        let bias = try test.bias.map { try backend.makeVector(makeFloatTensor($0, shape: [$0.count]), offset: 0) }
        let layer = LinearLayer<CPUBackend>(weight: try backend.makeMatrix(test.weight), bias: bias)
        try backend.linear(rows, [layer], slot: 1, into: [output])
        return try backend.values(of: output)
    }

    private func lowRank(
        rank: Int, rows: Int, columns: Int, seed: UInt64, type: TensorType = .f32, bias: Bool = false
    ) -> LowRankUpdate {
        LowRankUpdate(
            loraA: makeRandomTensor(type, rows: rank, columns: columns, seed: seed),
            loraB: makeRandomTensor(type, rows: rows, columns: rank, seed: seed + 1), scaling: 0.75,
            bias: bias ? makeRandomVector(rows, seed: seed + 2) : nil)
    }

    private func makeRandomVector(_ count: Int, seed: UInt64) -> StoredTensor {
        var random = SeededGenerator(seed)
        return makeFloatTensor(random.values(count), shape: [1, count])
    }

    private func values(_ tensor: StoredTensor) throws -> [Float] {
        try decoded(tensor)
    }

    /// y of one row by the formula of ``LinearUpdate``, in double precision.
    private func expected(_ test: Case, _ update: LinearUpdate?, _ x: ArraySlice<Float>) throws -> [Double] {
        let weight = try values(update?.weight ?? test.weight)
        let (a, b) = try (update?.lowRank.map { try values($0.loraA) }, update?.lowRank.map { try values($0.loraB) })
        let rank = update?.lowRank?.rank ?? 0
        let scaling = Double(update?.lowRank?.scaling ?? 0)
        let magnitude = try update?.magnitude.map(values)
        let ownBias = try update?.bias.map(values) ?? test.bias
        let added = try update?.lowRank?.bias.map(values)
        let x = x.map(Double.init)
        return (0..<test.rows).map { row in
            var base = 0.0
            var delta = 0.0
            var norm = 0.0
            for column in 0..<test.columns {
                var product = 0.0
                for r in 0..<rank {
                    product += Double(b?[row * rank + r] ?? 0) * Double(a?[r * test.columns + column] ?? 0)
                }
                let w = Double(weight[row * test.columns + column])
                base += w * x[column]
                delta += scaling * product * x[column]
                norm += (w + scaling * product) * (w + scaling * product)
            }
            delta += scaling * Double(added?[row] ?? 0)
            let gain = magnitude.map { Double($0[row]) / norm.squareRoot() } ?? 1
            return gain * (base + delta) + Double(ownBias?[row] ?? 0)
        }
    }

    private func check(_ test: Case, float32: Bool = true, tolerance: Double, seed: UInt64 = 7) throws {
        var random = SeededGenerator(seed)
        let input = random.values(test.counts.reduce(0, +) * test.columns)
        for isa in instructionSets {
            let found = try run(test, input, isa: isa, threads: 2, float32: float32)
            var token = 0
            for (update, count) in zip(test.updates, test.counts) {
                for _ in 0..<count {
                    let expected = try expected(test, update, input[token * test.columns..<(token + 1) * test.columns])
                    let scale = expected.map(abs).max() ?? 1
                    for row in 0..<test.rows {
                        let difference = abs(Double(found[token * test.rows + row]) - expected[row])
                        #expect(difference <= tolerance * max(scale, 1), "\(isa) token \(token) row \(row)")
                    }
                    token += 1
                }
            }
        }
    }

    @Test(arguments: [1, 2, 4, 7, 8, 13, 16, 64, 256])
    func addsTheProductOfItsFactors(rank: Int) throws {
        let test = Case(
            weight: makeRandomTensor(.f32, rows: 37, columns: 72, seed: 1), bias: nil,
            updates: [lowRank(rank: rank, rows: 37, columns: 72, seed: 3)].map { LinearUpdate(lowRank: $0) },
            counts: [5])
        try check(test, tolerance: 2e-5)
    }

    @Test func eachSpanOfRowsGetsItsOwnAdapterAndOthersNone() throws {
        let (rows, columns) = (50, 64)
        var weighted = LinearUpdate(lowRank: lowRank(rank: 3, rows: rows, columns: columns, seed: 20, type: .f16))
        weighted.weight = makeRandomTensor(.f32, rows: rows, columns: columns, seed: 21)
        var dora = LinearUpdate(lowRank: lowRank(rank: 8, rows: rows, columns: columns, seed: 30, bias: true))
        dora.magnitude = makeRandomVector(rows, seed: 31)
        var biased = LinearUpdate(lowRank: lowRank(rank: 16, rows: rows, columns: columns, seed: 40, type: .bf16))
        biased.bias = makeRandomVector(rows, seed: 41)
        var random = SeededGenerator(2)
        let test = Case(
            weight: makeRandomTensor(.f32, rows: rows, columns: columns, seed: 9), bias: random.values(rows),
            updates: [nil, weighted, dora, nil, biased, LinearUpdate(bias: makeRandomVector(rows, seed: 50))],
            counts: [2, 3, 17, 1, 33, 1])
        try check(test, tolerance: 5e-5)
    }

    /// 8 bits a factor are finer than the weights of the layer that they change.
    @Test func updatesOfQuantizedLayersStayNear() throws {
        let (rows, columns) = (48, 256)
        let test = Case(
            weight: makeRandomTensor(.q8_0, rows: rows, columns: columns, seed: 5), bias: nil,
            updates: [LinearUpdate(lowRank: lowRank(rank: 8, rows: rows, columns: columns, seed: 6))], counts: [3])
        try check(test, float32: false, tolerance: 0.02)
        try check(test, float32: true, tolerance: 2e-5)
    }

    @Test(arguments: [TensorType.q4_1, .f32, .f16])
    func aRowHasTheSameBitsWhateverIsBesideItAndWhereverItRuns(type: TensorType) throws {
        let (rows, columns) = (70, 96)
        let ranks: [(rank: Int, type: TensorType)] = [(5, .f16), (8, .f32), (16, .f16), (33, .f32)]
        let updates: [LinearUpdate?] = ranks.map { rank, type in
            LinearUpdate(
                lowRank: lowRank(rank: rank, rows: rows, columns: columns, seed: UInt64(60 + 3 * rank), type: type))
        }
        let weight = makeRandomTensor(type, rows: rows, columns: columns, seed: 8)
        var random = SeededGenerator(11)
        let counts = [1, 19, 6, 40]
        let input = random.values(counts.reduce(0, +) * columns)
        let together = try run(
            Case(weight: weight, bias: nil, updates: updates, counts: counts), input, isa: instructionSets[0])
        for isa in instructionSets {
            var token = 0
            for (update, count) in zip(updates, counts) {
                for _ in 0..<count {
                    let alone = try run(
                        Case(weight: weight, bias: nil, updates: [update], counts: [1]),
                        Array(input[token * columns..<(token + 1) * columns]), isa: isa, threads: 2)
                    let wanted = together[token * rows..<(token + 1) * rows].map(\.bitPattern)
                    #expect(alone.map(\.bitPattern) == wanted, "\(isa) token \(token)")
                    token += 1
                }
            }
        }
    }

    @Test func aRankBeyondTheLimitIsRefused() throws {
        let uploader = try CPUBackend(threadCount: 1).makeUploader()
        var parts = AdapterParts(linearSlotCount: 1)
        parts.linears = [
            AdapterParts.Linear(
                slot: 0, update: LinearUpdate(lowRank: lowRank(rank: 257, rows: 16, columns: 16, seed: 1)),
                weight: makeRandomTensor(.f32, rows: 16, columns: 16, seed: 2), bias: nil)
        ]
        #expect(throws: CPUBackendError.self) { try uploader.upload(parts) }
    }
}
