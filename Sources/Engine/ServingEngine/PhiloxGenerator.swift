/// Random numbers by counter: Philox4x32 with ten rounds, from Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As
/// Easy as 1, 2, 3" (SC 2011).
///
/// The number for a place depends on seed, sample and position alone, so a request draws the same numbers whatever runs
/// beside it, after a preemption, and when another engine takes it up.
enum PhiloxGenerator {
    /// One block of random words.
    static func words(counter: SIMD4<UInt32>, key: SIMD2<UInt32>) -> SIMD4<UInt32> {
        var counter = counter
        var key = key
        for _ in 0..<10 {
            let first = UInt64(counter[0]) * 0xD251_1F53
            let second = UInt64(counter[2]) * 0xCD9E_8D57
            counter = SIMD4(
                UInt32(truncatingIfNeeded: second >> 32) ^ counter[1] ^ key[0], UInt32(truncatingIfNeeded: second),
                UInt32(truncatingIfNeeded: first >> 32) ^ counter[3] ^ key[1], UInt32(truncatingIfNeeded: first))
            key = key &+ SIMD2(0x9E37_79B9, 0xBB67_AE85)
        }
        return counter
    }

    /// A number in [0, 1) of 53 bits for the token at `position` of the sequence, counted from the prompt's first
    /// token.
    static func uniform(seed: UInt64, sampleIndex: Int, position: Int) -> Double {
        let counter = SIMD4(
            UInt32(truncatingIfNeeded: position), UInt32(truncatingIfNeeded: position >> 32),
            UInt32(truncatingIfNeeded: sampleIndex), 0)
        let key = SIMD2(UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
        let words = words(counter: counter, key: key)
        let bits = UInt64(words[0]) << 32 | UInt64(words[1])
        return Double(bits >> 11) * 0x1p-53
    }
}
