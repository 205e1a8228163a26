import Glibc

/// How often durations of about one length occurred: eight bins a doubling, so that any two durations of a bin differ
/// by at most 9.1%, and a percentile taken from the middle of its bin is off by at most 4.5%.
///
/// Bin 0 holds what took up to 0.1 ms, bin b what took up to 0.1 ms * 2^(b/8), the last all that took longer (98
/// hours). Only bins that hold something are kept. Merging is exact: merged histograms equal the histogram of all
/// durations.
struct DurationHistogram: Sendable, Hashable {
    struct Bin: Sendable, Hashable {
        var index: UInt8
        var count: Int
    }

    /// Ascending by index.
    private(set) var bins: [Bin] = []
    private(set) var sumMicroseconds = 0

    private static let smallestMicroseconds = 100.0
    private static let binsPerDoubling = 8.0

    var count: Int { bins.reduce(0) { $0.adding($1.count) } }
    var isEmpty: Bool { bins.isEmpty }

    init() {}

    /// Takes bins as they were stored; nil where they don't ascend or one is empty.
    init?(bins: [Bin], sumMicroseconds: Int) {
        for (bin, next) in zip(bins, bins.dropFirst()) where bin.index >= next.index { return nil }
        guard sumMicroseconds >= 0, bins.allSatisfy({ $0.count > 0 }) else { return nil }
        self.bins = bins
        self.sumMicroseconds = sumMicroseconds
    }

    /// Adds a duration; a negative one counts as none at all.
    mutating func add(_ duration: Duration) {
        let microseconds = max(0, duration.wholeMicroseconds)
        sumMicroseconds = sumMicroseconds.adding(microseconds)
        add(1, to: Self.index(of: microseconds))
    }

    mutating func merge(_ other: DurationHistogram) {
        sumMicroseconds = sumMicroseconds.adding(other.sumMicroseconds)
        for bin in other.bins { add(bin.count, to: bin.index) }
    }

    private mutating func add(_ count: Int, to index: UInt8) {
        let position = bins.firstIndex { $0.index >= index } ?? bins.endIndex
        if position < bins.endIndex, bins[position].index == index {
            bins[position].count = bins[position].count.adding(count)
        } else {
            bins.insert(Bin(index: index, count: count), at: position)
        }
    }

    private static func index(of microseconds: Int) -> UInt8 {
        let ratio = Double(microseconds) / smallestMicroseconds
        guard ratio > 1 else { return 0 }
        return UInt8(min(255, (log2(ratio) * binsPerDoubling).rounded(.up)))
    }

    /// The mean, exact to the microsecond; nil of nothing.
    var mean: Duration? {
        let count = count
        return count == 0 ? nil : .microseconds(sumMicroseconds / count)
    }

    /// The duration that a share of all, 0 to 1, doesn't exceed: the middle of the bin that holds it; nil of nothing.
    func quantile(_ share: Double) -> Duration? {
        let count = count
        guard count > 0 else { return nil }
        let rank = max(1, min(Double(count), (share * Double(count)).rounded(.up)))
        var seen = 0
        for bin in bins {
            seen = seen.adding(bin.count)
            if Double(seen) >= rank { return Self.middle(of: bin.index) }
        }
        return bins.last.map { Self.middle(of: $0.index) }
    }

    private static func middle(of index: UInt8) -> Duration {
        guard index > 0 else { return .zero }
        return .microseconds(Int64(smallestMicroseconds * exp2((Double(index) - 0.5) / binsPerDoubling)))
    }
}

extension Duration {
    fileprivate var wholeMicroseconds: Int {
        let (seconds, attoseconds) = components
        let (product, overflow) = Int(seconds).multipliedReportingOverflow(by: 1_000_000)
        if overflow { return seconds < 0 ? .min : .max }
        return product.adding(Int(attoseconds / 1_000_000_000_000))
    }
}

extension Int {
    /// The sum, or the nearest number that there is: replicas may report any count.
    func adding(_ other: Int) -> Int {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other < 0 ? .min : .max) : sum
    }
}
