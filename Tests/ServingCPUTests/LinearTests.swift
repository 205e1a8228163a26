import ServingCPU
import ServingTensors
import Testing

/// Linear layers of every type of weight: the same bits everywhere, and close to the sum in double precision.
@Suite struct LinearTests {
    static let shapes: [(rows: Int, columns: Int)] = [(16, 256), (37, 512), (100, 768)]

    private func run(
        _ weight: StoredTensor, _ input: [Float], isa: String, threads: Int = 1, float32: Bool = false,
        bias: [Float]? = nil
    ) throws -> [Float] {
        let backend = try CPUBackend(threadCount: threads, float32: float32, instructionSet: isa)
        let rows = try backend.makeRows(input, width: weight.columnCount)
        let output = try backend.makeActivation(rowCapacity: rows.rowCount, width: weight.rowCount)
        let vector = try bias.map { try backend.makeVector(makeFloatTensor($0, shape: [$0.count]), offset: 0) }
        let layer = LinearLayer<CPUBackend>(weight: try backend.makeMatrix(weight), bias: vector)
        try backend.linear(rows, [layer], into: [output])
        return try backend.values(of: output)
    }

    @Test(arguments: TensorType.allCases)
    func theBitsAreTheSameOnEveryInstructionSet(type: TensorType) throws {
        for (index, shape) in Self.shapes.enumerated() {
            let weight = makeRandomTensor(type, rows: shape.rows, columns: shape.columns, seed: UInt64(index))
            var random = SeededGenerator(99)
            for tokenCount in [1, 2, 3, 5, 8, 9] {
                let input = random.values(tokenCount * shape.columns)
                let expected = try run(weight, input, isa: "scalar")
                for isa in instructionSets.dropFirst() {
                    for threads in [1, 3] {
                        let result = try run(weight, input, isa: isa, threads: threads)
                        #expect(
                            result.map(\.bitPattern) == expected.map(\.bitPattern),
                            "\(type.name) \(shape) T=\(tokenCount) \(isa) \(threads) threads")
                    }
                }
            }
        }
    }

    /// An overflow must not come out as a plausible number, and must stay in its row.
    @Test(arguments: TensorType.allCases)
    func whatIsNotFiniteStaysSoAndStaysInItsRow(type: TensorType) throws {
        let (rows, columns) = (37, 256)
        let weight = makeRandomTensor(type, rows: rows, columns: columns, seed: 11)
        for isa in instructionSets {
            for tokenCount in [1, 3, 8, 9] {
                var random = SeededGenerator(12)
                let input = random.values(tokenCount * columns)
                let expected = try run(weight, input, isa: isa)
                for stray in [Float.nan, .infinity, -.infinity] {
                    for place in [0, 17, columns - 1] {
                        var broken = input
                        let token = tokenCount / 2
                        broken[token * columns + place] = stray
                        let result = try run(weight, broken, isa: isa)
                        for other in 0..<tokenCount {
                            let range = other * rows..<(other + 1) * rows
                            if other == token {
                                let hasStray = result[range].contains { !$0.isFinite }
                                #expect(hasStray, "\(isa) \(stray) at \(place)")
                            } else {
                                #expect(result[range].map(\.bitPattern) == expected[range].map(\.bitPattern))
                            }
                        }
                    }
                }
            }
        }
    }

    @Test(arguments: TensorType.allCases)
    func aTokenAloneHasTheSameBitsAsInABatch(type: TensorType) throws {
        let (rows, columns) = (70, 256)
        let weight = makeRandomTensor(type, rows: rows, columns: columns, seed: 5)
        var random = SeededGenerator(6)
        let input = random.values(300 * columns)
        for isa in instructionSets where isa != "scalar" {
            let batch = try run(weight, input, isa: isa, threads: 2)
            for token in [0, 1, 6, 7, 127, 128, 295, 299] {
                let alone = try run(weight, Array(input[token * columns..<(token + 1) * columns]), isa: isa)
                #expect(
                    alone.map(\.bitPattern) == batch[token * rows..<(token + 1) * rows].map(\.bitPattern),
                    "\(type.name) token \(token) \(isa)")
            }
        }
    }

    /// Float weights: rounding of float32 sums, 1e-5 of the sum of magnitudes. Quantised ones: activations rounded to
    /// 8 bits, half a step of max|x| / 127 for each product.
    @Test(arguments: TensorType.allCases)
    func resultsAreCloseToTheSumInDoublePrecision(type: TensorType) throws {
        let (rows, columns, tokenCount) = (37, 512, 3)
        let weight = makeRandomTensor(type, rows: rows, columns: columns, seed: 8)
        let elements = try decoded(weight)
        var random = SeededGenerator(9)
        let input = random.values(tokenCount * columns), bias = random.values(rows)
        for float32 in [false, true] {
            let result = try run(weight, input, isa: instructionSets.last ?? "", float32: float32, bias: bias)
            for token in 0..<tokenCount {
                for row in 0..<rows {
                    var (sum, magnitudes, weights) = (Double(bias[row]), 0.0, 0.0)
                    for column in 0..<columns {
                        let w = Double(elements[row * columns + column])
                        let x = Double(input[token * columns + column])
                        sum += w * x
                        magnitudes += abs(w * x)
                        weights += w * w
                    }
                    // Independent rounding errors, uniform within half a step of at most 1 / 127: six deviations.
                    let step = type.isQuantized && !float32 ? 6 * weights.squareRoot() / 127 / 12.0.squareRoot() : 0
                    let error = abs(Double(result[token * rows + row]) - sum)
                    #expect(error <= 1e-5 * magnitudes + step, "\(type.name) row \(row): \(error) > \(step)")
                }
            }
        }
    }

    @Test func columnsOfFloatWeightsNeedNoMultiple() throws {
        for type in [TensorType.f32, .f16, .bf16] {
            for columns in [1, 17, 40, 100] {
                let weight = makeRandomTensor(type, rows: 21, columns: columns, seed: 3)
                var random = SeededGenerator(4)
                let input = random.values(5 * columns)
                let expected = try run(weight, input, isa: "scalar")
                for isa in instructionSets { #expect(try run(weight, input, isa: isa) == expected) }
            }
        }
    }

    @Test func layersOfDifferentTypesShareOneInput() throws {
        let backend = try CPUBackend(threadCount: 2)
        var random = SeededGenerator(12)
        let input = random.values(11 * 256)
        let weights = [TensorType.q4_1, .f16, .q6_K].enumerated().map {
            makeRandomTensor($1, rows: 48 + 16 * $0 + $0, columns: 256, seed: UInt64($0))
        }
        let rows = try backend.makeRows(input, width: 256)
        let outputs = try weights.map { try backend.makeActivation(rowCapacity: 11, width: $0.rowCount) }
        let layers = try weights.map { LinearLayer<CPUBackend>(weight: try backend.makeMatrix($0), bias: nil) }
        try backend.linear(rows, layers, into: outputs)
        for (weight, output) in zip(weights, outputs) {
            #expect(try backend.values(of: output) == (try run(weight, input, isa: backend.instructionSet)))
        }
    }

    @Test func shapesThatDoNotFitAreRefused() throws {
        let backend = try CPUBackend(threadCount: 1)
        let rows = try backend.makeRows([Float](repeating: 1, count: 64), width: 64)
        let matrix = try backend.makeMatrix(makeRandomTensor(.f32, rows: 16, columns: 32, seed: 1))
        let output = try backend.makeActivation(rowCapacity: 1, width: 16)
        #expect(throws: CPUBackendError.self) {
            try backend.linear(rows, [LinearLayer(weight: matrix, bias: nil)], into: [output])
        }
        #expect(throws: CPUBackendError.unknownInstructionSet("mmx")) { try CPUBackend(instructionSet: "mmx") }
        #expect(throws: CPUBackendError.self) {
            try backend.makeActivation(rowCapacity: Int.max / 2, width: 1 << 20)
        }
    }
}
