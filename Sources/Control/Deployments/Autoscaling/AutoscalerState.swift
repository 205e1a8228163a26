/// What the autoscaler remembers: how many replicas it asks for, and how many were wanted during the last cooldown.
package struct AutoscalerState: Sendable, Hashable {
    /// Replicas asked for.
    package internal(set) var desired: Int
    /// Moments at which a number was last wanted: falling numbers at rising moments. That is enough to know the largest
    /// within any time up to now, and there are never more entries than there may be replicas.
    private(set) var peaks: [Peak]
    private(set) var lastSampleAt: Timestamp
    private(set) var lastWanted: Int

    struct Peak: Sendable, Hashable {
        var wanted: Int
        var at: Timestamp
    }

    /// A longer time without samples says nothing of the load; the last one is taken to have lasted.
    static let longestGap = Duration.seconds(30)

    /// A state in which so many replicas are there. None of them goes before a whole cooldown is over, whether the
    /// deployment is new (give it its first replica so), or its control plane was started anew, or its number was
    /// pinned.
    package init(resumingWith replicaCount: Int, now: Timestamp) {
        desired = max(0, replicaCount)
        lastWanted = 0
        lastSampleAt = now
        peaks = [Peak(wanted: desired, at: now)]
    }

    /// The largest number wanted within the window.
    var largestWanted: Int { peaks.first?.wanted ?? 0 }

    /// Takes note that so many are wanted.
    mutating func note(wanted: Int, at now: Timestamp, window: Duration) {
        turnBack(to: now)
        if now.since(lastSampleAt) > Self.longestGap { push(lastWanted, now) }
        push(wanted, now)
        lastWanted = wanted
        lastSampleAt = now
        let kept = peaks.firstIndex { now.since($0.at) < window } ?? peaks.count
        // The newest always counts, even if the window is zero.
        peaks.removeFirst(min(kept, peaks.count - 1))
    }

    /// Takes note of something that was between samples.
    mutating func note(wanted: Int, earlier moment: Timestamp) {
        let moment = min(moment, lastSampleAt)
        // Something at least as large that came later makes it unimportant.
        guard !peaks.contains(where: { $0.at >= moment && $0.wanted >= wanted }) else { return }
        peaks.removeAll { $0.at <= moment && $0.wanted <= wanted }
        let place = peaks.firstIndex { $0.at > moment } ?? peaks.count
        peaks.insert(Peak(wanted: wanted, at: moment), at: place)
    }

    private mutating func push(_ wanted: Int, _ now: Timestamp) {
        while let last = peaks.last, last.wanted <= wanted { peaks.removeLast() }
        peaks.append(Peak(wanted: wanted, at: now))
    }

    /// Moves all moments back with a clock that was set back, so that what was noted is as long ago as it was.
    private mutating func turnBack(to now: Timestamp) {
        guard now < lastSampleAt else { return }
        let back = lastSampleAt.since(now)
        for position in peaks.indices { peaks[position].at = peaks[position].at + (.zero - back) }
        lastSampleAt = now
    }

    /// When the largest number stops to count, if no load comes before.
    func nextDrop(now: Timestamp, window: Duration) -> Duration? {
        guard peaks.count > 1, let first = peaks.first else { return nil }
        return max(.zero, window - now.since(first.at))
    }
}
