/// Chooses how many replicas a deployment is to have. Called by the control plane every second or so, with nothing but
/// numbers.
///
/// Up at once: as many as the requests that run or wait need, by the threshold. Down late: what was wanted at any time
/// during the last cooldown stays. To zero only where the limits allow it and no request came for a whole cooldown.
package struct Autoscaler: Sendable, Hashable {
    /// May be set at any time; the next decision goes by it.
    package var limits: ScalingLimits
    package private(set) var state: AutoscalerState
    private var decidedLimits: ScalingLimits

    package init(limits: ScalingLimits, state: AutoscalerState) {
        self.limits = limits
        self.state = state
        decidedLimits = limits
    }

    /// Replicas asked for.
    package var desired: Int { state.desired }

    /// Takes a sample in and says what changes; nil where nothing does.
    package mutating func decide(_ sample: LoadSample) -> ScalingDecision? {
        let wanted = min(limits.wanted(for: sample.load), limits.maxReplicas)
        state.note(wanted: wanted, at: sample.at, window: limits.cooldown)
        if let activity = sample.lastActivity, wanted < 1, desired > 0, sample.at.since(activity) < limits.cooldown {
            state.note(wanted: 1, earlier: activity)
        }
        let changedLimits = limits != decidedLimits
        decidedLimits = limits
        let target = min(max(state.largestWanted, limits.minReplicas), limits.maxReplicas)
        let from = state.desired
        guard target != from else { return nil }
        state.desired = target
        let reason = reason(from: from, to: target, wanted: wanted, changedLimits)
        return ScalingDecision(from: from, to: target, reason: reason, sample: sample, limits: limits)
    }

    private func reason(from: Int, to: Int, wanted: Int, _ changedLimits: Bool) -> ScalingDecision.Reason {
        if to > from {
            // What the load doesn't ask for comes of the limits.
            if to > wanted { return .limitsChanged }
            return from == 0 ? .woken : .loadAboveThreshold
        }
        if changedLimits || from > limits.maxReplicas { return .limitsChanged }
        return to == 0 ? .idle : .cooldownOver
    }

    /// When fewer replicas will be asked for if no load comes before; nil where that is not in sight.
    package func nextDrop(now: Timestamp) -> Duration? {
        guard desired > limits.minReplicas else { return nil }
        return state.nextDrop(now: now, window: limits.cooldown)
    }
}
