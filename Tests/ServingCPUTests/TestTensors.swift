import ServingCPU
import ServingTensors

/// A small generator with a fixed sequence for each seed (splitmix64).
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    init(_ seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// Uniform in -1 ..< 1.
    mutating func value() -> Float { Float.random(in: -1..<1, using: &self) }

    mutating func values(_ count: Int) -> [Float] { (0..<count).map { _ in value() } }
}

/// Bytes that a tensor of a test points into.
final class TestBytes: Sendable {
    nonisolated(unsafe) let bytes: UnsafeMutableRawBufferPointer

    init(_ content: [UInt8]) {
        bytes = .allocate(byteCount: content.count, alignment: 64)
        bytes.copyBytes(from: content)
    }

    deinit {
        bytes.deallocate()
    }
}

/// Instruction sets that run here.
let instructionSets: [String] = ["scalar", "avx2", "avx512"].filter {
    (try? CPUBackend(threadCount: 1, instructionSet: $0)) != nil
}

func makeTensor(_ type: TensorType, shape: [Int], bytes: [UInt8]) -> StoredTensor {
    let owner = TestBytes(bytes)
    return StoredTensor(
        name: "test", type: type, shape: shape, bytes: UnsafeRawBufferPointer(owner.bytes), owner: owner)
}

func makeFloatTensor(_ values: [Float], shape: [Int]) -> StoredTensor {
    makeTensor(.f32, shape: shape, bytes: values.withUnsafeBytes { Array($0) })
}

/// Random quantised or float rows: random bits, with the blocks' scales replaced by small finite ones.
func makeRandomTensor(_ type: TensorType, rows: Int, columns: Int, seed: UInt64) -> StoredTensor {
    var random = SeededGenerator(seed)
    let blockCount = rows * columns / type.blockElementCount
    var bytes = [UInt8]()
    for _ in 0..<blockCount {
        switch type {
        case .f32:
            withUnsafeBytes(of: random.value()) { bytes.append(contentsOf: $0) }
        case .f16:
            withUnsafeBytes(of: Float16(random.value())) { bytes.append(contentsOf: $0) }
        case .bf16:
            withUnsafeBytes(of: UInt16(random.value().bitPattern >> 16)) { bytes.append(contentsOf: $0) }
        default:
            var block = (0..<type.blockByteCount).map { _ in UInt8.random(in: 0...255, using: &random) }
            for offset in scaleOffsets(type) {
                withUnsafeBytes(of: Float16(random.value() * 0.05)) { scale in
                    block[offset] = scale[0]
                    block[offset + 1] = scale[1]
                }
            }
            bytes.append(contentsOf: block)
        }
    }
    return makeTensor(type, shape: [rows, columns], bytes: bytes)
}

/// Where a block keeps its f16 scales.
private func scaleOffsets(_ type: TensorType) -> [Int] {
    switch type {
    case .f32, .f16, .bf16: []
    case .q4_0, .q5_0, .q8_0: [0]
    case .q4_1, .q5_1, .q4_K, .q5_K: [0, 2]
    case .q2_K: [80, 82]
    case .q3_K: [108]
    case .q6_K: [208]
    }
}

extension CPUBackend {
    /// Rows of float32 as an activation. `begin` must have announced as many tokens.
    func makeRows(_ values: [Float], width: Int) throws -> CPUActivation {
        let table = try makeEmbeddingTable(makeFloatTensor(values, shape: [values.count / width, width]))
        let rows = try makeActivation(rowCapacity: max(values.count / width, 1), width: width)
        try begin(oneSequence(tokenCount: values.count / width))
        try embed(table, scale: 1, into: rows)
        return rows
    }

    func values(of activation: CPUActivation) throws -> [Float] {
        try withRows(of: activation) { Array($0) }
    }
}

/// A step of one sequence whose tokens are 0, 1, 2, ...
func oneSequence(tokenCount: Int, firstPosition: Int = 0, blockTable: [BlockID] = []) -> ForwardBatch {
    ForwardBatch(
        tokenIDs: (0..<tokenCount).map { TokenID($0) },
        sequences: [
            ForwardBatch.Sequence(
                tokenRange: 0..<tokenCount, firstPosition: firstPosition, blockTable: blockTable)
        ], logitTokenIndices: [])
}

/// Elements of a stored tensor, by way of an embedding lookup.
func decoded(_ tensor: StoredTensor) throws -> [Float] {
    let backend = try CPUBackend(threadCount: 1)
    let rows = try backend.makeActivation(rowCapacity: tensor.rowCount, width: tensor.columnCount)
    try backend.begin(oneSequence(tokenCount: tensor.rowCount))
    try backend.embed(try backend.makeEmbeddingTable(tensor), scale: 1, into: rows)
    return try backend.values(of: rows)
}
