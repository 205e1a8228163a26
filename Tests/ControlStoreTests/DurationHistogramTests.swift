import Testing

@testable import ControlStore

@Suite struct DurationHistogramTests {
    @Test func percentilesAreWithinTheirError() {
        var numbers = SeededNumbers(state: 7)
        for scale in [1.0, 50, 3000, 1_000_000] {
            var histogram = DurationHistogram()
            var milliseconds: [Double] = []
            for _ in 0..<2000 {
                let value =
                    0.2 + Double.random(in: 0...1, using: &numbers) * Double.random(in: 0...scale, using: &numbers)
                milliseconds.append(value)
                histogram.add(.microseconds(Int64(value * 1000)))
            }
            milliseconds.sort()
            for share in [0.5, 0.95, 0.99, 1] {
                let exact = milliseconds[Int((share * 2000).rounded(.up)) - 1]
                let found = (histogram.quantile(share) ?? .zero) / .milliseconds(1)
                #expect(abs(found - exact) <= exact * 0.05, "\(share) of \(scale): \(found), not \(exact)")
            }
            let mean = milliseconds.reduce(0, +) / 2000
            #expect(abs((histogram.mean ?? .zero) / .milliseconds(1) - mean) < 0.002)
        }
    }

    @Test func nothingHasNoFigures() {
        #expect(DurationHistogram().mean == nil && DurationHistogram().quantile(0.5) == nil)
    }

    @Test func extremesNeitherTrapNorGetLost() {
        var histogram = DurationHistogram()
        for duration in [Duration.zero, .seconds(-5), .seconds(Int64.max), .nanoseconds(1), .seconds(Int64.min)] {
            histogram.add(duration)
        }
        #expect(histogram.count == 5 && histogram.sumMicroseconds == .max)
        #expect(histogram.quantile(0.5) == .zero && histogram.quantile(2) == histogram.quantile(1))
        #expect(histogram.quantile(-1) == .zero)
        var huge = DurationHistogram(bins: [.init(index: 3, count: .max)], sumMicroseconds: .max)
        huge?.merge(histogram)
        #expect(huge?.count == .max)
    }

    @Test func storedFormsReadBackAndBrokenOnesAreRefused() throws {
        var numbers = SeededNumbers(state: 3)
        var bucket = MetricsBucket()
        #expect(MetricsBucket(stored: bucket.stored) == bucket)
        for _ in 0..<200 {
            let path = MetricsBucket.histograms[Int.random(in: 0..<5, using: &numbers)]
            bucket[keyPath: path].add(.microseconds(Int64.random(in: 0...10_000_000, using: &numbers)))
            bucket.replicas.add(Int.random(in: 0...9, using: &numbers))
            bucket.utilization.add(Int.random(in: 0...1_000_000, using: &numbers))
        }
        bucket.requestCounts = [1, 2, 3, 4, .max]
        bucket.generatedTokenCount = 1 << 40
        let bytes = bucket.stored
        #expect(MetricsBucket(stored: bytes) == bucket)
        for length in 0..<bytes.count { #expect(MetricsBucket(stored: Array(bytes[..<length])) == nil) }
        #expect(MetricsBucket(stored: bytes + [0]) == nil)
        for _ in 0..<5000 {
            var broken = bytes
            broken[Int.random(in: 0..<broken.count, using: &numbers)] = UInt8.random(in: 0...255, using: &numbers)
            if let read = MetricsBucket(stored: broken) { #expect(MetricsBucket(stored: read.stored) == read) }
        }
    }
}
