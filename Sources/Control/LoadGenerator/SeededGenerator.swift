import Glibc

/// A SplitMix64 generator: the same numbers for the same seed, on every machine.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    /// - Parameters:
    ///   - seed: the run's seed.
    ///   - stream: a name's worth of difference between generators of one run, so that to draw more of one thing
    ///     changes no other.
    init(seed: UInt64, stream: UInt64) {
        state = seed
        state = next() ^ (stream &* 0xD6E8_FEB8_6659_FD93)
        _ = next()
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }

    /// A number in [0, 1).
    mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// Exponentially distributed, of mean 1: the pause between arrivals of a Poisson process of rate 1.
    mutating func exponential() -> Double { -log(1 - unit()) }

    /// Normally distributed, of mean 0 and deviation 1 (Box-Muller).
    mutating func normal() -> Double {
        let radius = (2 * exponential()).squareRoot()
        return radius * cos(2 * .pi * unit())
    }
}
