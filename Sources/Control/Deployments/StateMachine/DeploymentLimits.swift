/// How long the state machine waits for what, and how often it tries.
package struct DeploymentLimits: Sendable, Hashable {
    /// Pause after the first failure; it doubles with each further one.
    package var firstBackoff: Duration = .seconds(1)
    package var longestBackoff: Duration = .seconds(60)
    /// Failures in a row, with no replica of the template ready, after which starting is given up.
    package var failureLimit = 5
    /// A replica that was ready for so long makes up for the failures before it.
    package var steadyAfter: Duration = .seconds(60)
    /// A replica that does not answer for so long is ended.
    package var unresponsiveLimit: Duration = .seconds(15)
    /// A replica that gets no further with starting for so long is ended.
    package var startLimit: Duration = .seconds(600)
    /// A replica that still has requests so long after it was told to finish is ended.
    package var drainLimit: Duration = .seconds(600)
    /// A replica that was asked to end and doesn't is asked again after so long.
    package var askAgainAfter: Duration = .seconds(10)

    package init() {}

    /// Pause after so many failures in a row.
    package func backoff(failureCount: Int) -> Duration {
        guard failureCount > 0 else { return .zero }
        // 2^20 s are longer than anything; the shift must not overflow.
        return min(firstBackoff * (1 << min(failureCount - 1, 20)), longestBackoff)
    }
}
