import Glibc
import ServingCPU
import ServingTensors
import Testing

/// Operations on rows against formulas in double precision, and bit by bit between instruction sets.
@Suite struct RowOperationTests {
    /// Runs an operation on every instruction set, expects the same bits, and returns them.
    private func onEachInstructionSet(_ body: (CPUBackend) throws -> [Float]) throws -> [Float] {
        let expected = try body(try CPUBackend(threadCount: 1, instructionSet: "scalar"))
        for isa in instructionSets {
            let result = try body(try CPUBackend(threadCount: 3, instructionSet: isa))
            #expect(result.map(\.bitPattern) == expected.map(\.bitPattern), "\(isa)")
        }
        return expected
    }

    private func expectClose(_ result: [Float], _ expected: [Double], relative: Double, absolute: Double) {
        #expect(result.count == expected.count)
        for (value, wanted) in zip(result, expected) {
            let error = abs(Double(value) - wanted)
            #expect(error <= relative * abs(wanted) + absolute, "\(value) for \(wanted)")
        }
    }

    @Test(arguments: [1, 15, 16, 64, 100, 576])
    func normDividesByTheRootMeanSquare(width: Int) throws {
        var random = SeededGenerator(1)
        let rowCount = 40
        let input = random.values(rowCount * width), weight = random.values(width)
        let result = try onEachInstructionSet { backend in
            let rows = try backend.makeRows(input, width: width)
            let vector = try backend.makeVector(makeFloatTensor(weight, shape: [width]), offset: 1)
            try backend.rmsNorm(rows, weight: vector, epsilon: 1e-5, into: rows)
            return try backend.values(of: rows)
        }
        let expected = (0..<rowCount).flatMap { row -> [Double] in
            let x = input[row * width..<(row + 1) * width].map(Double.init)
            let scale = 1 / (x.reduce(0) { $0 + $1 * $1 } / Double(width) + 1e-5).squareRoot()
            return zip(x, weight).map { $0 * scale * (Double($1) + 1) }
        }
        expectClose(result, expected, relative: 1e-6, absolute: 1e-9)
    }

    @Test func headNormTreatsEachHeadAsARow() throws {
        var random = SeededGenerator(2)
        let input = random.values(3 * 4 * 24), weight = random.values(24)
        func norm(width: Int, headCount: Int?) throws -> [Float] {
            let backend = try CPUBackend(threadCount: 1)
            let rows = try backend.makeRows(input, width: width)
            let vector = try backend.makeVector(makeFloatTensor(weight, shape: [24]), offset: 0)
            if let headCount {
                try backend.headRMSNorm(rows, headCount: headCount, weight: vector, epsilon: 1e-6)
            } else {
                try backend.rmsNorm(rows, weight: vector, epsilon: 1e-6, into: rows)
            }
            return try backend.values(of: rows)
        }
        #expect(try norm(width: 96, headCount: 4) == norm(width: 24, headCount: nil))
    }

    @Test(arguments: [RotaryEmbedding.Pairing.halves, .neighbours], [(64, 32), (24, 12), (80, 16)])
    func rotationTurnsPairsByTheirAngle(pairing: RotaryEmbedding.Pairing, size: (Int, Int)) throws {
        let (dimension, pairs) = size
        let frequencies = (0..<pairs).map { powf(10000, -Float($0) / Float(pairs)) }
        let rotary = RotaryEmbedding(
            headDimension: dimension, inverseFrequencies: frequencies, magnitude: 1.25, pairing: pairing)
        var random = SeededGenerator(3)
        let (tokenCount, heads, first) = (5, 3, 1000)
        let input = random.values(tokenCount * heads * dimension)
        let result = try onEachInstructionSet { backend in
            let rows = try backend.makeRows(input, width: heads * dimension)
            try backend.begin(oneSequence(tokenCount: tokenCount, firstPosition: first))
            try backend.rotate(rows, headCount: heads, by: try backend.makeRotary(rotary))
            return try backend.values(of: rows)
        }
        var expected = input.map(Double.init)
        for row in 0..<tokenCount * heads {
            for pair in 0..<pairs {
                let angle = Double(Float(first + row / heads) * frequencies[pair])
                let a = row * dimension + (pairing == .halves ? pair : 2 * pair)
                let b = pairing == .halves ? a + pairs : a + 1
                let (x, y) = (Double(input[a]), Double(input[b]))
                expected[a] = 1.25 * (x * cos(angle) - y * sin(angle))
                expected[b] = 1.25 * (y * cos(angle) + x * sin(angle))
            }
        }
        expectClose(result, expected, relative: 0, absolute: 3e-7)
    }

    @Test(arguments: [GatedActivation.silu, .geluTanh, .geluErf])
    func gatedActivationsFollowTheirFormula(kind: GatedActivation) throws {
        var random = SeededGenerator(4)
        let width = 403
        let gate = random.values(100 * width).map { $0 * $0 * $0 * 30 }, up = random.values(100 * width)
        let result = try onEachInstructionSet { backend in
            let (a, b) = (try backend.makeRows(gate, width: width), try backend.makeRows(up, width: width))
            try backend.gatedActivation(kind, gate: a, up: b, into: a)
            return try backend.values(of: a)
        }
        let expected = zip(gate, up).map { gate, up -> Double in
            let x = Double(gate)
            let value =
                switch kind {
                case .silu: x / (1 + exp(-x))
                case .geluTanh: 0.5 * x * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
                case .geluErf: 0.5 * x * erfc(-x / 2.0.squareRoot())
                }
            return value * Double(up)
        }
        expectClose(result, expected, relative: 4e-6, absolute: 1e-12)
    }

    @Test func sumsAreFusedAndCapsBound() throws {
        var random = SeededGenerator(5)
        let a = random.values(50 * 333), b = random.values(50 * 333)
        let sum = try onEachInstructionSet { backend in
            let (x, y) = (try backend.makeRows(a, width: 333), try backend.makeRows(b, width: 333))
            try backend.add(x, scale: 0.3, to: y)
            return try backend.values(of: y)
        }
        #expect(sum == zip(a, b).map { fmaf($0, 0.3, $1) })
        for scale in [0.01, 1, 100] as [Float] {
            let capped = try onEachInstructionSet { backend in
                let rows = try backend.makeRows(a, width: 333)
                try backend.scaleAndCap(rows, scale: scale, softCap: 3)
                return try backend.values(of: rows)
            }
            expectClose(capped, a.map { 3 * tanh(Double($0 * scale) / 3) }, relative: 1e-6, absolute: 1e-9)
        }
    }

    @Test func gatherPicksRows() throws {
        let backend = try CPUBackend(threadCount: 1)
        let rows = try backend.makeRows((0..<12).map(Float.init), width: 3)
        let output = try backend.makeActivation(rowCapacity: 4, width: 3)
        try backend.gather([3, 0], of: rows, into: output)
        #expect(try backend.values(of: output) == [9, 10, 11, 0, 1, 2])
        #expect(throws: CPUBackendError.self) { try backend.gather([4], of: rows, into: output) }
    }
}
