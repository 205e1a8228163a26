import ControlAPI
import Deployments
import Testing

@testable import Commands

@Suite struct WaitConditionTests {
    private func isHopeless(_ verdict: WaitCondition.Verdict) -> Bool {
        if case .hopeless = verdict { true } else { false }
    }

    @Test func readyIsMetOnceNoReplicaIsOfAnEarlierConfig() {
        var view = DeploymentFixtures.view(.ready)
        #expect(WaitCondition.ready.verdict(on: view) == .met)
        view.replicas = [DeploymentFixtures.replica("a", "ready", isOutdated: true)]
        #expect(WaitCondition.ready.verdict(on: view) == .pending)
        for phase in ["draining", "exited"] {
            view.replicas = [DeploymentFixtures.replica("a", phase, isOutdated: true)]
            #expect(WaitCondition.ready.verdict(on: view) == .met)
        }
        for status in [DeploymentStatus.pending, .initializing, .standby, .updating] {
            #expect(WaitCondition.ready.verdict(on: DeploymentFixtures.view(status)) == .pending)
        }
    }

    @Test func whatHasFailedWontBecomeReady() {
        let errored = DeploymentFixtures.view(.errored)
        for condition in [WaitCondition.ready, .standby, .replicas(2), .settled] {
            #expect(isHopeless(condition.verdict(on: errored)))
        }
        #expect(WaitCondition.stopped.verdict(on: errored) == .pending)
        #expect(WaitCondition.deleted.verdict(on: errored) == .pending)
        guard case .hopeless(let reason, _) = WaitCondition.ready.verdict(on: errored) else { return }
        #expect(reason == "Reason: a message")
    }

    @Test func whatIsStoppedOrDeletedSaysSo() {
        let stopped = DeploymentFixtures.view(.stopped)
        #expect(isHopeless(WaitCondition.ready.verdict(on: stopped)))
        #expect(isHopeless(WaitCondition.replicas(1).verdict(on: stopped)))
        #expect(WaitCondition.replicas(0).verdict(on: stopped) == .met)
        #expect(WaitCondition.stopped.verdict(on: stopped) == .met)
        #expect(WaitCondition.settled.verdict(on: stopped) == .met)
        let deleted = DeploymentFixtures.view(.deleted)
        #expect(WaitCondition.deleted.verdict(on: deleted) == .met)
        for condition in [WaitCondition.ready, .standby, .stopped, .settled] {
            #expect(isHopeless(condition.verdict(on: deleted)))
        }
    }

    @Test func aRolloutThatCantGoOnIsTold() {
        var view = DeploymentFixtures.view(.updating)
        #expect(WaitCondition.settled.verdict(on: view) == .pending)
        view.statusReason = "RolloutStalled"
        #expect(isHopeless(WaitCondition.settled.verdict(on: view)))
        #expect(WaitCondition.deleted.verdict(on: view) == .pending)
    }

    @Test func conditionsAreReadAsTheyAreWritten() {
        for condition in [WaitCondition.ready, .standby, .stopped, .deleted, .replicas(0), .replicas(12)] {
            #expect(WaitCondition(argument: condition.description) == condition)
        }
        for text in ["", "Ready", "replicas", "replicas=", "replicas=-1", "replicas=x", "settled"] {
            #expect(WaitCondition(argument: text) == nil)
        }
    }
}
