import Glibc
import ServingCPU
import ServingTensors
import Testing

/// Paged attention: the same bits however a sequence is cut into steps, and close to a softmax in double precision.
@Suite struct AttentionTests {
    struct Case: CustomTestStringConvertible {
        var heads = 6
        var stored = 2
        var dimension = 32
        var length = 90
        var window: Int?
        var cap: Float?
        var element = KVCacheLayout.Element.f16
        var positionsPerBlock = 16

        var testDescription: String {
            "\(heads)/\(stored) heads of \(dimension), \(length) positions, window \(window ?? 0), cap \(cap ?? 0), "
                + "\(element), P \(positionsPerBlock)"
        }

        var parameters: AttentionParameters {
            AttentionParameters(headCount: heads, softmaxScale: 0.7, softCap: cap, slidingWindow: window)
        }
    }

    static let cases: [Case] = [
        Case(), Case(dimension: 24, element: .f32), Case(heads: 3, stored: 3, dimension: 16, length: 33),
        Case(heads: 9, stored: 3, dimension: 64, length: 300), Case(dimension: 80, length: 300, window: 20, cap: 5),
        Case(heads: 5, stored: 1, dimension: 48, length: 300, window: 257, element: .f32),
        Case(heads: 64, stored: 1, dimension: 16, length: 40, positionsPerBlock: 32),
        Case(heads: 4, stored: 2, dimension: 128, length: 270, window: 1),
    ]

    /// One layer's queries, keys and values of a sequence.
    struct Inputs {
        var queries: [Float]
        var keys: [Float]
        var values: [Float]
        var blockTable: [BlockID]
        var blockCount: Int

        init(_ c: Case, seed: UInt64) {
            var random = SeededGenerator(seed)
            queries = random.values(c.length * c.heads * c.dimension)
            keys = random.values(c.length * c.stored * c.dimension)
            values = random.values(c.length * c.stored * c.dimension)
            let needed = (c.length + c.positionsPerBlock - 1) / c.positionsPerBlock
            blockCount = needed + 5
            blockTable = Array((0..<BlockID(blockCount)).shuffled(using: &random).prefix(needed))
        }
    }

    /// Runs a sequence in steps of the given lengths and returns all rows.
    private func run(
        _ c: Case, _ inputs: Inputs, steps: [Int], isa: String? = nil, threads: Int = 1, before: Inputs? = nil
    ) throws -> [Float] {
        let backend = try CPUBackend(threadCount: threads, instructionSet: isa)
        let cache = try backend.makeKVCache(
            KVCacheLayout(
                layerCount: 2, blockCount: inputs.blockCount, positionsPerBlock: c.positionsPerBlock,
                headCount: c.stored, headDimension: c.dimension, element: c.element))
        if let before {
            let keys = try backend.makeRows(before.keys, width: c.stored * c.dimension)
            let values = try backend.makeRows(before.values, width: c.stored * c.dimension)
            try backend.begin(oneSequence(tokenCount: c.length, blockTable: before.blockTable))
            try backend.store(keys: keys, values: values, in: cache, layer: 1)
        }
        var result = [Float]()
        var position = 0
        for count in steps {
            func rows(_ all: [Float], _ width: Int) throws -> CPUActivation {
                try backend.makeRows(Array(all[position * width..<(position + count) * width]), width: width)
            }
            let queries = try rows(inputs.queries, c.heads * c.dimension)
            let keys = try rows(inputs.keys, c.stored * c.dimension)
            let values = try rows(inputs.values, c.stored * c.dimension)
            let output = try backend.makeActivation(rowCapacity: count, width: c.heads * c.dimension)
            try backend.begin(
                oneSequence(tokenCount: count, firstPosition: position, blockTable: inputs.blockTable))
            try backend.store(keys: keys, values: values, in: cache, layer: 1)
            try backend.attend(queries, over: cache, layer: 1, c.parameters, into: output)
            result += try backend.values(of: output)
            position += count
        }
        return result
    }

    @Test(arguments: cases)
    func prefillAndDecodeHaveTheSameBits(c: Case) throws {
        let inputs = Inputs(c, seed: 1)
        let whole = try run(c, inputs, steps: [c.length]).map(\.bitPattern)
        let single = try run(c, inputs, steps: Array(repeating: 1, count: c.length), threads: 2).map(\.bitPattern)
        #expect(single == whole)
        let chunks = [7, 1, 17] + [c.length - 25]
        #expect(try run(c, inputs, steps: chunks, threads: 3).map(\.bitPattern) == whole)
    }

    @Test(arguments: cases)
    func theBitsAreTheSameOnEveryInstructionSet(c: Case) throws {
        let inputs = Inputs(c, seed: 2)
        let expected = try run(c, inputs, steps: [c.length - 2, 1, 1], isa: "scalar").map(\.bitPattern)
        for isa in instructionSets.dropFirst() {
            #expect(try run(c, inputs, steps: [c.length - 2, 1, 1], isa: isa).map(\.bitPattern) == expected, "\(isa)")
        }
    }

    /// A sequence whose activations overflowed leaves its blocks to others.
    @Test(arguments: cases)
    func whatABlockHeldBeforeDoesNotMatter(c: Case) throws {
        let inputs = Inputs(c, seed: 4)
        var broken = Inputs(c, seed: 5)
        let values = [Float.infinity, -.infinity, .nan, .greatestFiniteMagnitude, 1e30]
        for index in broken.values.indices {
            broken.keys[index] = values[index % values.count]
            broken.values[index] = values[(index / 3) % values.count]
        }
        broken.blockTable = inputs.blockTable.reversed()
        for isa in instructionSets {
            let expected = try run(c, inputs, steps: [c.length - 3, 1, 1, 1], isa: isa)
            let result = try run(c, inputs, steps: [c.length - 3, 1, 1, 1], isa: isa, before: broken)
            #expect(result.map(\.bitPattern) == expected.map(\.bitPattern), "\(isa)")
            let isFinite = result.allSatisfy(\.isFinite)
            #expect(isFinite)
        }
    }

    /// Tolerance 2e-6 for float32 elements; 1e-3 for f16 ones, whose rounding of keys and values is 2^-11.
    @Test(arguments: cases)
    func resultsAreCloseToASoftmaxInDoublePrecision(c: Case) throws {
        let inputs = Inputs(c, seed: 3)
        let result = try run(c, inputs, steps: [c.length])
        let (group, width) = (c.heads / c.stored, c.stored * c.dimension)
        var worst = 0.0
        for position in stride(from: 0, to: c.length, by: 7) {
            for head in 0..<c.heads {
                let query = (position * c.heads + head) * c.dimension, first = head / group * c.dimension
                let lowest = max(0, position - (c.window ?? c.length) + 1)
                var scores = (lowest...position).map { other in
                    (0..<c.dimension).reduce(0.0) {
                        $0 + Double(inputs.queries[query + $1]) * Double(inputs.keys[other * width + first + $1])
                    } * Double(c.parameters.softmaxScale)
                }
                if let cap = c.cap { scores = scores.map { Double(cap) * tanh($0 / Double(cap)) } }
                let top = scores.max() ?? 0
                let weights = scores.map { exp($0 - top) }
                let sum = weights.reduce(0, +)
                for d in 0..<c.dimension {
                    let expected = weights.enumerated().reduce(0.0) {
                        $0 + $1.element * Double(inputs.values[(lowest + $1.offset) * width + first + d])
                    }
                    worst = max(worst, abs(Double(result[query + d]) - expected / sum))
                }
            }
        }
        #expect(worst < (c.element == .f16 ? 1e-3 : 2e-6))
    }

    @Test func sequencesInOneStepDoNotDisturbEachOther() throws {
        let c = Case(heads: 6, stored: 2, dimension: 32, length: 400)
        let inputs = Inputs(c, seed: 4), other = Inputs(c, seed: 5)
        let expected = [try run(c, inputs, steps: [397, 3]), try run(c, other, steps: [399, 1])]
        let backend = try CPUBackend(threadCount: 2)
        let offset = BlockID(inputs.blockCount)
        let cache = try backend.makeKVCache(
            KVCacheLayout(
                layerCount: 1, blockCount: inputs.blockCount * 2, positionsPerBlock: 16, headCount: 2,
                headDimension: 32, element: .f16))
        var last = [Float]()
        for runs in [[(0, 397), (0, 399)], [(397, 3), (399, 1)]] {
            func rows(_ field: KeyPath<Inputs, [Float]>, _ width: Int) throws -> CPUActivation {
                let parts = zip([inputs, other], runs).map { source, run in
                    source[keyPath: field][run.0 * width..<(run.0 + run.1) * width]
                }
                return try backend.makeRows(Array(parts.joined()), width: width)
            }
            let (queries, keys, values) = (try rows(\.queries, 192), try rows(\.keys, 64), try rows(\.values, 64))
            let total = runs[0].1 + runs[1].1
            let output = try backend.makeActivation(rowCapacity: total, width: 192)
            try backend.begin(
                ForwardBatch(
                    tokenIDs: Array(repeating: 0, count: total),
                    sequences: [
                        .init(
                            tokenRange: 0..<runs[0].1, firstPosition: runs[0].0, blockTable: inputs.blockTable),
                        .init(
                            tokenRange: runs[0].1..<total, firstPosition: runs[1].0,
                            blockTable: other.blockTable.map { $0 + offset }),
                    ], logitTokenIndices: []))
            try backend.store(keys: keys, values: values, in: cache, layer: 0)
            try backend.attend(queries, over: cache, layer: 0, c.parameters, into: output)
            last = try backend.values(of: output)
        }
        #expect(last == Array(expected[0].suffix(3 * 192)) + Array(expected[1].suffix(192)))
    }

    @Test func blockTablesThatDoNotFitAreRefused() throws {
        let backend = try CPUBackend(threadCount: 1)
        let cache = try backend.makeKVCache(
            KVCacheLayout(
                layerCount: 1, blockCount: 2, positionsPerBlock: 16, headCount: 1, headDimension: 16, element: .f32))
        for table in [[0], [0, 2], [0, -1]] as [[BlockID]] {
            let rows = try backend.makeRows([Float](repeating: 0, count: 17 * 16), width: 16)
            try backend.begin(oneSequence(tokenCount: 17, blockTable: table))
            #expect(throws: CPUBackendError.self) { try backend.store(keys: rows, values: rows, in: cache, layer: 0) }
        }
        #expect(throws: CPUBackendError.self) {
            try backend.makeKVCache(
                KVCacheLayout(
                    layerCount: 1, blockCount: 2, positionsPerBlock: 8, headCount: 1, headDimension: 16, element: .f32))
        }
    }
}
