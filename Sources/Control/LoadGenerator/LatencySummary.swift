/// What many durations come to. Seconds.
public struct LatencySummary: Sendable, Equatable {
    /// Arithmetic mean.
    public let mean: Double
    /// Half are at most this.
    public let p50: Double
    /// Nine of ten are at most this.
    public let p90: Double
    /// All but one in a hundred are at most this.
    public let p99: Double
    /// The longest.
    public let maximum: Double
    /// How many there were.
    public let count: Int

    /// Nil where there are none.
    public init?(_ values: [Double]) {
        guard !values.isEmpty else { return nil }
        let sorted = values.sorted()
        /// Nearest rank: the least value that at least that share does not exceed.
        func quantile(_ share: Double) -> Double {
            sorted[max(0, Int((share * Double(sorted.count)).rounded(.up)) - 1)]
        }
        mean = sorted.reduce(0, +) / Double(sorted.count)
        (p50, p90, p99) = (quantile(0.5), quantile(0.9), quantile(0.99))
        maximum = sorted[sorted.count - 1]
        count = sorted.count
    }
}
