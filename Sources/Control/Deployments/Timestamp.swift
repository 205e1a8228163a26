/// A moment in milliseconds since 1970, as the store keeps it.
///
/// Everything in the control plane takes the moment as an argument or from a ``ControlClock``, so that tests run on a
/// clock of their own.
package struct Timestamp: Sendable, Hashable, Comparable {
    package var milliseconds: Int64

    package init(milliseconds: Int64) { self.milliseconds = milliseconds }

    package static func < (left: Timestamp, right: Timestamp) -> Bool { left.milliseconds < right.milliseconds }

    package static func + (moment: Timestamp, duration: Duration) -> Timestamp {
        let (sum, overflow) = moment.milliseconds.addingReportingOverflow(duration.wholeMilliseconds)
        return Timestamp(milliseconds: overflow ? (duration < .zero ? .min : .max) : sum)
    }

    /// How long ago `earlier` was; never negative, because a clock may have been set back meanwhile.
    package func since(_ earlier: Timestamp) -> Duration {
        let (difference, overflow) = milliseconds.subtractingReportingOverflow(earlier.milliseconds)
        return .milliseconds(overflow ? Int64.max : max(0, difference))
    }
}

/// Tells the time to the control plane.
package protocol ControlClock: Sendable {
    /// The moment now; never before an earlier answer.
    func now() -> Timestamp
}

extension Duration {
    /// Whole milliseconds, rounded towards zero, clamped to what fits.
    package var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        if overflow { return seconds < 0 ? .min : .max }
        let (sum, isTooLarge) = product.addingReportingOverflow(attoseconds / 1_000_000_000_000_000)
        return isTooLarge ? (seconds < 0 ? .min : .max) : sum
    }

    /// As a number of seconds.
    package var inSeconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) + Double(attoseconds) / 1e18
    }
}
