/// Courses of load to try limits on, made up from a seed.
package enum SyntheticTrace: String, Sendable, Hashable, CaseIterable {
    /// Rises evenly to the peak and falls again.
    case ramp
    /// A tenth of the peak, with the peak for a tenth of the time in the middle.
    case spike
    /// A day: little at night, the peak at noon.
    case diurnal
    /// As many on average at all times.
    case poisson

    /// Arrivals second by second, random around the course (Poisson).
    /// - Parameters:
    ///   - duration: seconds, 1 to 1,000,000.
    ///   - peak: requests a second at the peak, 0 to 10,000.
    package func trace(duration: Int, peak: Double, seed: UInt64) throws(TraceFault) -> AutoscaleTrace {
        guard (1...AutoscaleTrace.mostRows).contains(duration) else {
            throw TraceFault(line: nil, "duration \(duration): expected 1 to \(AutoscaleTrace.mostRows) seconds")
        }
        guard (0...10_000).contains(peak) else { throw TraceFault(line: nil, "peak \(peak): expected 0 to 10000") }
        var generator = TraceGenerator(seed: seed)
        let rows = (0..<duration).map { second in
            let rate = peak * share(at: (Double(second) + 0.5) / Double(duration))
            return AutoscaleTrace.Row(time: Double(second), value: Double(generator.poisson(mean: rate)))
        }
        return try AutoscaleTrace(kind: .arrivals, rows: rows)
    }

    /// Share of the peak at a part of the time from 0 to 1.
    private func share(at part: Double) -> Double {
        switch self {
        case .ramp: part < 0.5 ? 2 * part : 2 - 2 * part
        case .spike: (0.45..<0.55).contains(part) ? 1 : 0.1
        // A parabola's square: smooth, without a library's cosine, the same on every machine.
        case .diurnal:
            {
                let hill = 4 * part * (1 - part); return hill * hill
            }()
        case .poisson: 1
        }
    }
}

/// SplitMix64, and Poisson numbers made of it without a library's logarithm, so that a seed means the same on every
/// machine.
private struct TraceGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func unit() -> Double {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return Double((value ^ (value >> 31)) >> 11) * 0x1p-53
    }

    /// Counts events in small parts of the mean, each at most 1, by inversion.
    mutating func poisson(mean: Double) -> Int {
        var count = 0
        var rest = mean
        while rest > 0 {
            count += inverted(mean: min(rest, 1))
            rest -= 1
        }
        return count
    }

    private mutating func inverted(mean: Double) -> Int {
        // e^-mean by its series, which 20 terms give to the last digit for means up to 1.
        var term = 1.0
        var none = 1.0
        for power in 1...20 {
            term *= -mean / Double(power)
            none += term
        }
        let draw = unit()
        var count = 0
        var probability = none
        var sum = none
        while draw >= sum, count < 50 {
            count += 1
            probability *= mean / Double(count)
            sum += probability
        }
        return count
    }
}
