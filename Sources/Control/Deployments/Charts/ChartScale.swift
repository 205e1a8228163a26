/// Where the marks of an axis are, at round numbers, and how they are written.
struct ChartScale: Equatable {
    /// Ends of the axis.
    var lower: Double
    var upper: Double
    var step: Double

    /// An axis from `lower` to `upper` or a little beyond, with about so many marks at multiples of 1, 2 or 5 times a
    /// power of ten, or of what people count seconds in.
    init(lower: Double, upper: Double, markCount: Int, isTime: Bool = false, extends: Bool = true) {
        let lower = lower.isFinite ? min(max(lower, -1e15), 1e15) : 0
        var upper = upper.isFinite ? min(max(upper, -1e15), 1e15) : lower + 1
        if upper <= lower { upper = lower + max(1, lower.magnitude * 0.1) }
        let rough = (upper - lower) / Double(max(1, markCount))
        step = isTime ? Self.roundTime(rough) : Self.roundNumber(rough)
        self.lower = extends ? (lower / step).rounded(.down) * step : lower
        self.upper = extends ? (upper / step).rounded(.up) * step : upper
    }

    var marks: [Double] {
        let first = (lower / step).rounded(.up)
        let count = ((upper - lower) / step + 1e-9).rounded(.down)
        return (0...Int(min(max(count, 0), 1000))).map { (first + Double($0)) * step }.filter {
            $0 <= upper + step * 1e-9
        }
    }

    /// Where a value lies between the ends, 0 to 1.
    func part(_ value: Double) -> Double { min(max((value - lower) / (upper - lower), 0), 1) }

    /// The least of 1, 2, 5 times a power of ten that is not less.
    private static func roundNumber(_ rough: Double) -> Double {
        var power = 1.0
        while power * 10 <= rough { power *= 10 }
        while power > rough { power /= 10 }
        return [1, 2, 5, 10].map { $0 * power }.first { $0 >= rough * (1 - 1e-12) } ?? 10 * power
    }

    private static func roundTime(_ rough: Double) -> Double {
        let steps: [Double] = [
            1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400,
        ]
        if rough < 1 { return roundNumber(rough) }
        return steps.first { $0 >= rough } ?? roundNumber(rough / 86_400) * 86_400
    }

    /// A number with up to three digits after the point, without idle zeros.
    static func text(_ value: Double) -> String {
        guard value.isFinite, value.magnitude < 1e15 else { return "-" }
        let thousandths = Int64((value.magnitude * 1000).rounded())
        let sign = value < 0 && thousandths > 0 ? "-" : ""
        var digits = String(thousandths % 1000)
        digits = String(repeating: "0", count: 3 - digits.count) + digits
        while digits.hasSuffix("0") { digits.removeLast() }
        return "\(sign)\(thousandths / 1000)" + (digits.isEmpty ? "" : ".\(digits)")
    }

    /// Seconds as people write them, by the step between marks (`90 s`, `15 min`, `2.5 h`, `3 d`).
    func timeText(_ seconds: Double) -> String {
        if seconds == 0 { return "0" }
        guard step >= 60 else { return "\(Self.text(seconds)) s" }
        if step < 3600 { return "\(Self.text(seconds / 60)) min" }
        return step < 86_400 ? "\(Self.text(seconds / 3600)) h" : "\(Self.text(seconds / 86_400)) d"
    }
}
