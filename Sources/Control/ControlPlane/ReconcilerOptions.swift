/// Times that the reconciler goes by.
package struct ReconcilerOptions: Sendable {
    /// Longest that a replica may finish what it has before it is ended by force.
    package var drainLimit: Duration
    /// Between looks at the load of deployments that have any.
    package var scalingInterval: Duration
    /// Between health checks of a replica that starts.
    package var startingProbeInterval: Duration
    /// Between health checks of a replica that is ready.
    package var readyProbeInterval: Duration
    /// Health checks in a row without an answer before a replica counts as unresponsive.
    package var unansweredProbeLimit: Int
    /// How long a replica that an earlier control plane started may give no answer before it counts as unresponsive.
    package var adoptedSilence: Duration
    /// Between readings of what replicas use.
    package var usageInterval: Duration

    package init() {
        drainLimit = .seconds(600)
        scalingInterval = .milliseconds(250)
        startingProbeInterval = .milliseconds(25)
        readyProbeInterval = .seconds(2)
        unansweredProbeLimit = 3
        adoptedSilence = .seconds(12)
        usageInterval = .seconds(5)
    }
}
