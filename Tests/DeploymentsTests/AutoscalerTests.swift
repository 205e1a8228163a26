import Deployments
import ServingJSON
import Testing

struct AutoscalerTests {
    private func limits(_ least: Int, _ most: Int, threshold: Int = 1, cooldown: Duration = .seconds(100))
        -> ScalingLimits
    {
        ScalingLimits(minReplicas: least, maxReplicas: most, threshold: threshold, cooldown: cooldown)
    }

    private func sample(_ second: Int, _ running: Int, _ queued: Int = 0) -> LoadSample {
        LoadSample(
            at: Timestamp(milliseconds: Int64(second) * 1000), running: running, queued: queued, readyReplicas: 1)
    }

    private func autoscaler(_ limits: ScalingLimits, replicas: Int = 0) -> Autoscaler {
        Autoscaler(
            limits: limits,
            state: AutoscalerState(resumingWith: replicas, now: Timestamp(milliseconds: 0)))
    }

    @Test(
        arguments: [
            (1, 0, 3, 3), (1, 2, 1, 3), (4, 8, 0, 2), (4, 8, 1, 3), (4, 1, 0, 1), (1, 50, 50, 10), (10_000, 0, 1, 1),
            (1, .max, .max, 10), (1, -5, 2, 2), (1, .min, .min, 0), (0, 3, 0, 3),
        ] as [(Int, Int, Int, Int)])
    func loadGoesUpAtOnceByTheThreshold(threshold: Int, running: Int, queued: Int, expected: Int) {
        var autoscaler = autoscaler(limits(0, 10, threshold: threshold))
        _ = autoscaler.decide(sample(1, running, queued))
        #expect(autoscaler.desired == expected)
    }

    @Test func dropsComeOneCooldownAfterTheLoadFell() {
        var autoscaler = autoscaler(limits(0, 10))
        var changes: [(Int, Int, ScalingDecision.Reason)] = []
        for second in 1...400 {
            let load = second <= 10 ? 5 : second <= 60 ? 2 : 0
            if let decision = autoscaler.decide(sample(second, load)) {
                changes.append((second, decision.to, decision.reason))
            }
        }
        #expect(changes.map(\.0) == [1, 110, 160])
        #expect(changes.map(\.1) == [5, 2, 0])
        #expect(changes.map(\.2) == [.woken, .cooldownOver, .idle])
    }

    @Test func aRequestNowAndThenKeepsAReplica() {
        var autoscaler = autoscaler(limits(0, 10), replicas: 1)
        for second in 1...1000 {
            let decision = autoscaler.decide(sample(second, second % 99 == 0 ? 1 : 0))
            #expect(decision == nil)
        }
    }

    @Test func requestBetweenSamplesCountsToo() {
        var autoscaler = autoscaler(limits(0, 10), replicas: 1)
        var dropped: Int?
        for second in 1...1000 where dropped == nil {
            var sample = sample(second, 0)
            if second > 50 { sample.lastActivity = Timestamp(milliseconds: 49_500) }
            if autoscaler.decide(sample) != nil { dropped = second }
        }
        #expect(dropped == 150)
        var idle = self.autoscaler(limits(0, 10))
        var activity = sample(5, 0)
        activity.lastActivity = Timestamp(milliseconds: 4900)
        let decision = idle.decide(activity)
        #expect(decision == nil, "what was answered without a replica needs none")
    }

    @Test func leastReplicasStay() {
        var autoscaler = autoscaler(limits(2, 10))
        let decision = autoscaler.decide(sample(1, 0))
        #expect(decision?.to == 2 && decision?.reason == .limitsChanged)
        for second in 2...1000 {
            let decision = autoscaler.decide(sample(second, 0))
            #expect(decision == nil)
        }
    }

    @Test func newLimitsCountAtOnce() {
        var autoscaler = autoscaler(limits(0, 10))
        _ = autoscaler.decide(sample(1, 8))
        autoscaler.limits = limits(0, 3)
        var decision = autoscaler.decide(sample(2, 8))
        #expect(decision?.to == 3 && decision?.reason == .limitsChanged)
        autoscaler.limits = limits(0, 20)
        decision = autoscaler.decide(sample(3, 8))
        #expect(decision?.to == 8 && decision?.reason == .loadAboveThreshold)
        autoscaler.limits = limits(0, 20, threshold: 4)
        decision = autoscaler.decide(sample(4, 8))
        #expect(decision == nil, "fewer only after the cooldown")
        autoscaler.limits = limits(0, 20, threshold: 4, cooldown: .zero)
        decision = autoscaler.decide(sample(5, 8))
        #expect(decision?.to == 2)
    }

    @Test func resumedControlPlaneKeepsItsReplicasForACooldown() {
        var autoscaler = autoscaler(limits(0, 10), replicas: 4)
        for second in 1...99 {
            let decision = autoscaler.decide(sample(second, 0))
            #expect(decision == nil)
        }
        let decision = autoscaler.decide(sample(100, 0))
        #expect(decision?.from == 4 && decision?.to == 0)
    }

    @Test func gapWithoutSamplesIsNoTimeWithoutLoad() {
        var autoscaler = autoscaler(limits(0, 10))
        _ = autoscaler.decide(sample(1, 5))
        #expect(autoscaler.decide(sample(10_000, 0)) == nil)
        #expect(autoscaler.desired == 5)
        for second in 10_001..<10_100 { _ = autoscaler.decide(sample(second, 0)) }
        let decision = autoscaler.decide(sample(10_100, 0))
        #expect(decision?.to == 0)
    }

    @Test func clockThatIsSetBackStretchesNoCooldown() {
        var autoscaler = autoscaler(limits(0, 10))
        _ = autoscaler.decide(sample(100_000, 5))
        for second in 1...99 {
            let decision = autoscaler.decide(sample(second, 0))
            #expect(decision == nil)
        }
        let decision = autoscaler.decide(sample(101, 0))
        #expect(decision?.to == 0)
        var extreme = self.autoscaler(limits(0, 10))
        for milliseconds in [Int64.max, .min, 0, .max] {
            let sample = LoadSample(
                at: Timestamp(milliseconds: milliseconds), running: 1, queued: 0, readyReplicas: 0,
                lastActivity: Timestamp(milliseconds: .min))
            _ = extreme.decide(sample)
        }
        #expect(extreme.desired == 1)
    }

    @Test func impossibleLimitsAreSetRight() {
        let limits = ScalingLimits(minReplicas: 5, maxReplicas: 2, threshold: -1, cooldown: .seconds(-5))
        #expect(limits.minReplicas == 5 && limits.maxReplicas == 5)
        #expect(limits.threshold == 1 && limits.cooldown == .zero)
        #expect(ScalingLimits(minReplicas: -1, maxReplicas: -1, threshold: 0, cooldown: .zero).maxReplicas == 1)
    }

    @Test(arguments: 0..<20)
    func largestNumberOfTheLastCooldownStays(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let cooldown = Int.random(in: 1...60, using: &generator)
        let limits = limits(
            Int.random(in: 0...2, using: &generator), Int.random(in: 2...9, using: &generator),
            threshold: Int.random(in: 1...4, using: &generator), cooldown: .seconds(cooldown))
        let start = Int.random(in: 0...5, using: &generator)
        var autoscaler = autoscaler(limits, replicas: start)
        var history = [(second: 0, wanted: start)]
        var second = 0
        for _ in 0..<2000 {
            second += Int.random(in: 1...5, using: &generator)
            let load = generator.chance(0.7) ? 0 : Int.random(in: 0...40, using: &generator)
            let earlier = autoscaler.desired
            let decision = autoscaler.decide(sample(second, load))
            history.append((second, min((load + limits.threshold - 1) / limits.threshold, limits.maxReplicas)))
            let largest = history.suffix(70).filter { second - $0.second < cooldown }.map(\.wanted).max() ?? 0
            #expect(autoscaler.desired == min(max(largest, limits.minReplicas), limits.maxReplicas))
            #expect((decision == nil) == (earlier == autoscaler.desired))
            #expect(decision.map { $0.from == earlier && $0.to == autoscaler.desired } ?? true)
        }
    }

    @Test func nextDropTellsWhenReplicasGo() {
        var autoscaler = autoscaler(limits(0, 10))
        _ = autoscaler.decide(sample(1, 5))
        _ = autoscaler.decide(sample(21, 1))
        #expect(autoscaler.nextDrop(now: Timestamp(milliseconds: 31_000)) == .seconds(70))
        autoscaler.limits = limits(5, 10)
        #expect(autoscaler.nextDrop(now: Timestamp(milliseconds: 31_000)) == nil)
    }

    @Test func decisionsSayWhy() {
        var autoscaler = autoscaler(limits(0, 6, threshold: 4))
        let woken = autoscaler.decide(sample(1, 0, 1))
        #expect(woken?.message == "0 -> 1 replicas: a request came (0 running + 1 queued)")
        let up = autoscaler.decide(sample(2, 4, 9))
        #expect(up?.message == "1 -> 4 replicas: 4 running + 9 queued requests, one replica for each 4")
        #expect(up?.data["reason"] == "LoadAboveThreshold" && up?.data["queued"] == 9 && up?.data["to"] == 4)
        let most = autoscaler.decide(sample(3, 400))
        #expect(most?.message.hasSuffix("one replica for each 4, at most 6") == true)
    }
}
