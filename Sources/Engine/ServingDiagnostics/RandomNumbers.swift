import ServingTensors

/// Seeded random numbers: splitmix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
struct RandomNumbers {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }

    /// Uniform in [-1, 1).
    mutating func uniform() -> Float { Float(Int64(bitPattern: next()) >> 40) * 0x1p-23 }

    mutating func floats(_ count: Int, scale: Float = 1) -> [Float] { (0..<count).map { _ in scale * uniform() } }

    mutating func index(below count: Int) -> Int { Int(next() % UInt64(count)) }

    /// A float32 tensor whose elements have bfloat16's precision, so that no device rounds them.
    mutating func tensor(_ name: String, _ shape: [Int], scale: Float = 1) -> StoredTensor {
        StoredTensor(
            name: name, shape: shape,
            values: floats(shape.reduce(1, *), scale: scale).map {
                Float(bitPattern: $0.bitPattern & 0xffff_0000)
            })
    }
}
