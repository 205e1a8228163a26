import Glibc

/// Frequencies of a rotary embedding under one of the context-extension schemes.
///
/// Formulas as in Hugging Face transformers, `modeling_rope_utils.py` (v4.46), from: linear (kaiokendev 2023), YaRN
/// (arXiv:2309.00071), LongRoPE (arXiv:2402.13753) and Llama 3.1's banded scaling.
enum RopeScaling: Equatable {
    case none
    /// Every frequency divided by the factor.
    case linear(factor: Double)
    /// Long wavelengths are divided by the factor, short ones kept, a linear ramp between.
    case llama3(factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double, originalContext: Double)
    /// NTK-by-parts; `magnitude` nil derives the attention factor from the factor.
    case yarn(
        factor: Double, betaFast: Double, betaSlow: Double, originalContext: Double, truncate: Bool, magnitude: Double)
    /// One divisor a pair.
    case divisors([Double], magnitude: Double)

    /// Radians a position for each of the `rotatedCount / 2` pairs.
    func inverseFrequencies(base: Double, rotatedCount: Int) -> [Float] {
        let plain = stride(from: 0, to: rotatedCount, by: 2).map { 1 / pow(base, Double($0) / Double(rotatedCount)) }
        switch self {
        case .none:
            return plain.map { Float($0) }
        case .linear(let factor):
            return plain.map { Float($0 / factor) }
        case .divisors(let divisors, _):
            return zip(plain, divisors).map { Float($0 / $1) }
        case .llama3(let factor, let low, let high, let originalContext):
            return plain.map { Float(Self.banded($0, factor, low, high, originalContext)) }
        case .yarn(let factor, let betaFast, let betaSlow, let originalContext, let truncate, _):
            let bounds = (betaFast, betaSlow, originalContext)
            return Self.yarn(plain, base: base, factor: factor, bounds, truncate: truncate).map { Float($0) }
        }
    }

    /// Factor on cosine and sine.
    var magnitude: Float {
        switch self {
        case .none, .linear, .llama3: 1
        case .yarn(_, _, _, _, _, let magnitude), .divisors(_, let magnitude): Float(magnitude)
        }
    }

    private static func banded(
        _ frequency: Double, _ factor: Double, _ low: Double, _ high: Double, _ originalContext: Double
    ) -> Double {
        let wavelength = 2 * Double.pi / frequency
        if wavelength < originalContext / high { return frequency }
        if wavelength > originalContext / low { return frequency / factor }
        let smooth = (originalContext / wavelength - low) / (high - low)
        return (1 - smooth) * frequency / factor + smooth * frequency
    }

    private static func yarn(
        _ plain: [Double], base: Double, factor: Double,
        _ bounds: (betaFast: Double, betaSlow: Double, originalContext: Double), truncate: Bool
    ) -> [Double] {
        let rotatedCount = Double(plain.count * 2)
        func dimension(turning rotations: Double) -> Double {
            rotatedCount * log(bounds.originalContext / (rotations * 2 * Double.pi)) / (2 * log(base))
        }
        var low = dimension(turning: bounds.betaFast)
        var high = dimension(turning: bounds.betaSlow)
        if truncate { (low, high) = (low.rounded(.down), high.rounded(.up)) }
        low = max(low, 0)
        high = min(high, rotatedCount - 1)
        if low == high { high += 0.001 }
        return plain.enumerated().map { pair, frequency in
            let ramp = min(max((Double(pair) - low) / (high - low), 0), 1)
            return frequency / factor * ramp + frequency * (1 - ramp)
        }
    }

    /// YaRN's attention factor for a context extended by `factor`.
    static func yarnMagnitude(factor: Double, weight: Double = 1) -> Double {
        factor <= 1 ? 1 : 0.1 * weight * log(factor) + 1
    }

    /// LongRoPE's attention factor.
    static func longRopeMagnitude(factor: Double, originalContext: Double) -> Double {
        factor <= 1 ? 1 : (1 + log(factor) / log(originalContext)).squareRoot()
    }
}
