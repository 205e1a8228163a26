package import Deployments
import Glibc

/// The time of day when the process started plus the time since: a clock that is set back or forward meanwhile moves no
/// deadline. Time that the machine sleeps counts.
package struct SteadyClock: ControlClock {
    private let start: Timestamp
    private let origin: ContinuousClock.Instant

    /// A clock that agrees with the machine's now.
    package init() {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        start = Timestamp(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
        origin = ContinuousClock.now
    }

    package func now() -> Timestamp { start + (ContinuousClock.now - origin) }
}
