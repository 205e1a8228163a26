import Deployments
import Testing

/// Crashes, back-off, giving up, silence, and replicas that don't end.
struct StateMachineFailureTests {
    @Test func crashesAreRetriedAfterPausesThatDoubleAndThenGivenUp() throws {
        var world = try DeploymentWorld()
        var pauses: [Duration] = []
        world.look()
        for _ in 0..<4 {
            world.pass(.milliseconds(100))
            world.end(world.replicas[0].id, lines: ["", "out of memory"])
            var plan = world.look()
            #expect(plan.launchCount == 0)
            #expect(plan.condition.status == .initializing && plan.condition.reason == "BackOff")
            #expect(plan.condition.message.contains("ended with status 1: out of memory; next try in "))
            let pause = try #require(plan.nextCheck)
            pauses.append(pause)
            world.pass(pause - .milliseconds(1))
            #expect(world.look().launchCount == 0)
            world.pass(.milliseconds(1))
            plan = world.look()
            #expect(plan.launchCount == 1)
        }
        #expect(pauses == [.seconds(1), .seconds(2), .seconds(4), .seconds(8)])
        world.end(world.replicas[0].id, lines: ["out of memory"])
        let plan = world.look()
        #expect(plan.condition.status == .errored && plan.condition.reason == "CrashLoop")
        #expect(
            plan.condition.message
                == "given up after 5 failed starts: the last one ended with status 1: out of memory; "
                + "change it or 'pbctl start' it to try again")
        world.pass(.seconds(100_000))
        world.queued = 10
        let later = world.look()
        #expect(later.actions.isEmpty && later.nextCheck == nil && later.condition.status == .errored)
    }

    @Test func pauseIsAMinuteAtMost() {
        let limits = DeploymentLimits()
        #expect(limits.backoff(failureCount: 0) == .zero)
        #expect(limits.backoff(failureCount: 7) == .seconds(60))
        #expect(limits.backoff(failureCount: .max) == .seconds(60))
    }

    @Test(
        arguments: [
            (64, "InvalidConfiguration"), (65, "InvalidConfiguration"), (66, "ModelNotFound"),
            (78, "InvalidConfiguration"),
        ] as [(Int32, String)])
    func whatMustFailAgainIsGivenUpAtOnce(code: Int32, reason: String) throws {
        var world = try DeploymentWorld()
        world.look()
        world.end(world.replicas[0].id, code: code, lines: ["no such model"])
        let plan = world.look()
        #expect(plan.condition.status == .errored && plan.condition.reason == reason)
        #expect(plan.condition.message.contains("no such model"))
        world.pass(.seconds(1000))
        #expect(world.look().actions.isEmpty)
    }

    @Test(arguments: ["change", "restart", "stop and start"])
    func ownersChangeTriesAgain(kind: String) throws {
        var world = try DeploymentWorld()
        world.look()
        world.end(world.replicas[0].id, code: 66)
        world.look()
        #expect(world.memory.hasGivenUp)
        switch kind {
        case "change": world.changeTemplate()
        case "restart": world.spec.restartCount += 1
        default:
            world.spec.intent = .stopped
            #expect(world.look().condition.status == .stopped)
            world.spec.intent = .running
        }
        let plan = world.look()
        #expect(plan.launchCount == 1 && !plan.memory.hasGivenUp && plan.memory.failureCount == 0)
    }

    @Test func newLimitsDoNotMakeItTryAgain() throws {
        var world = try DeploymentWorld()
        world.look()
        world.end(world.replicas[0].id, code: 66)
        world.look()
        world.spec.config.maxReplicas = 4
        #expect(world.look().condition.status == .errored)
    }

    @Test func replicaThatStaysReadyMakesUpForFailures() throws {
        var world = try DeploymentWorld()
        world.look()
        world.end(world.replicas[0].id)
        world.look()
        world.pass(.seconds(1))
        world.look()
        world.makeAllReady()
        var plan = world.look()
        #expect(plan.memory.failureCount == 1 && plan.nextCheck == .seconds(60))
        world.pass(.seconds(60))
        plan = world.look()
        #expect(plan.memory.failureCount == 0 && plan.memory.lastFailure == nil && plan.nextCheck == nil)
    }

    @Test func replicaThatCrashesAfterALongLifeIsReplacedSoon() throws {
        var world = try DeploymentWorld()
        world.memory.failureCount = 4
        world.memory.failingTemplateMark = world.mark
        world.look()
        world.makeAllReady()
        world.pass(.seconds(3600))
        world.end(world.replicas[0].id, code: nil, signal: 11)
        let plan = world.look()
        #expect(plan.memory.failureCount == 1 && plan.nextCheck == .seconds(1))
        #expect(plan.condition.message.contains("was ended by signal 11"))
    }

    @Test func replicasThatFailTogetherCountOnce() throws {
        var world = try DeploymentWorld()
        world.desired = 8
        world.look()
        world.pass(.seconds(1))
        for replica in world.replicas { world.end(replica.id) }
        var plan = world.look()
        #expect(plan.memory.failureCount == 1 && plan.forgotten.count == 8)
        world.pass(.seconds(1))
        plan = world.look()
        #expect(plan.launchCount == 1, "one tries first")
        world.makeAllReady()
        #expect(world.look().launchCount == 7)
    }

    @Test func anExitIsCountedOnceHoweverOftenItIsSeen() throws {
        var world = try DeploymentWorld()
        let id = world.add(.ready)
        world.end(id)
        for _ in 0..<10 {
            let plan = world.plan()
            world.memory = plan.memory
            #expect(plan.forgotten == [id])
        }
        #expect(world.memory.failureCount == 1)
    }

    @Test func oneBadReplicaAmongReadyOnesIsNeverGivenUp() throws {
        var world = try DeploymentWorld()
        world.desired = 2
        world.add(.ready)
        for _ in 0..<20 {
            world.pass(.seconds(61))
            world.look()
            let other = try #require(world.replicas.first { $0.phase == .starting })
            world.end(other.id, code: 65)
            let plan = world.look()
            #expect(plan.condition.status == .ready && !plan.memory.hasGivenUp)
            #expect(plan.condition.message.contains("1 of 2 replicas ready; "))
        }
        #expect(world.memory.failureCount == 20)
        world.end(world.ready[0].id)
        #expect(world.look().memory.hasGivenUp)
    }

    @Test func failingUpdateStallsAndTheOldReplicasServeOn() throws {
        var world = try DeploymentWorld()
        world.desired = 2
        _ = world.settle()
        let old = Set(world.replicas.map(\.id))
        world.changeTemplate()
        for _ in 0..<5 {
            world.pass(.seconds(60))
            world.look()
            let new = try #require(world.replicas.first { $0.phase == .starting })
            world.end(new.id, lines: ["bad adapter"])
            let plan = world.look()
            #expect(plan.condition.status == .updating)
        }
        let plan = world.look()
        #expect(plan.actions.isEmpty && plan.condition.reason == "RolloutStalled")
        #expect(plan.condition.message.contains("bad adapter; 2 replicas of an earlier revision go on serving"))
        #expect(Set(world.ready.map(\.id)) == old)
        world.pass(.seconds(10_000))
        world.desired = 4
        #expect(world.look().actions.isEmpty)
        world.changeTemplate()
        #expect(world.settle()?.condition.status == .ready)
        #expect(world.ready.count == 4)
    }

    @Test func silentReplicaIsGivenAWhileThenEnded() throws {
        var world = try DeploymentWorld()
        let id = world.add(.ready)
        world.look()
        let since = world.now
        world.update(id) { $0.phase = .unresponsive(since: since) }
        world.pass(.seconds(15))
        var plan = world.look()
        #expect(plan.actions.isEmpty && plan.nextCheck == .milliseconds(1))
        #expect(plan.condition.status == .initializing && plan.condition.reason == "Unresponsive")
        world.pass(.milliseconds(1))
        plan = world.look()
        #expect(plan.killed == [id] && plan.launchCount == 0)
        #expect(plan.memory.failureCount == 1 && plan.nextCheck == .seconds(1))
        world.end(id, code: nil, signal: 9, lines: ["deadlock"])
        plan = world.look()
        #expect(plan.memory.failureCount == 1)
        #expect(plan.condition.message.contains("gave no answer for 15 s and was ended: deadlock"))
    }

    @Test func replicasThatFallSilentAgainAndAgainAreGivenUp() throws {
        var world = try DeploymentWorld()
        for _ in 0..<5 {
            world.pass(.seconds(60))
            #expect(world.look().launchCount == 1)
            let id = try #require(world.replicas.last?.id)
            let since = world.now
            world.update(id) { $0.phase = .unresponsive(since: since) }
            world.pass(.seconds(20))
            #expect(world.look().killed == [id])
        }
        #expect(world.look().condition.reason == "CrashLoop")
    }

    @Test func replicaThatGetsNoFurtherIsEndedAndOneThatDoesIsNot() throws {
        var world = try DeploymentWorld()
        world.look()
        let id = world.replicas[0].id
        for percent in 0..<50 {
            world.pass(.seconds(599))
            world.update(id) { $0.phase = .loading(percent: percent) }
            #expect(world.look().killed.isEmpty)
        }
        world.pass(.seconds(600))
        world.update(id) { $0.phase = .loading(percent: 3) }
        #expect(world.look().killed.isEmpty)
        world.pass(.seconds(1))
        #expect(world.look().killed == [id])
        #expect(world.look().memory.failureCount == 1)
    }

    @Test func adoptedReplicaThatHasLoadedForLongIsNotEndedAtFirstSight() throws {
        var world = try DeploymentWorld()
        world.add(.loading(percent: 10))
        world.pass(.seconds(10_000))
        #expect(world.look().killed.isEmpty)
    }

    @Test func drainingHasALimit() throws {
        var world = try DeploymentWorld()
        let id = world.add(.ready, outstanding: 1)
        world.desired = 0
        #expect(world.look().drained == [id])
        world.pass(.seconds(600))
        var plan = world.look()
        #expect(plan.actions.isEmpty && plan.nextCheck == .milliseconds(1))
        world.pass(.milliseconds(1))
        plan = world.look()
        #expect(plan.killed == [id])
        #expect(world.look().memory.failureCount == 0)
    }

    @Test func replicaThatWasSeenDrainingOnlyIsNoFailureEither() throws {
        var world = try DeploymentWorld()
        let id = world.add(.draining)
        #expect(world.look().launchCount == 1)
        world.end(id, code: 1)
        #expect(world.look().memory.failureCount == 0)
    }

    @Test func whatWasAskedInVainIsAskedAgain() throws {
        var world = try DeploymentWorld()
        let id = world.add(.ready)
        world.desired = 0
        var plan = world.plan()
        #expect(plan.drained == [id])
        world.memory = plan.memory
        plan = world.plan()
        #expect(plan.actions.isEmpty && plan.nextCheck == .seconds(10))
        world.pass(.seconds(10))
        world.desired = 1
        plan = world.plan()
        #expect(plan.drained == [id] && plan.launchCount == 1, "it does not come back")
        world.memory = plan.memory
        world.update(id) { $0.phase = .unresponsive(since: Timestamp(milliseconds: 0)) }
        plan = world.plan()
        #expect(plan.killed == [id])
        world.memory = plan.memory
        #expect(world.plan().killed.isEmpty)
        world.pass(.seconds(10))
        #expect(world.plan().killed == [id])
    }

    @Test func launchesThatFailAreRetriedForEverUnlessTheyMustFail() throws {
        var world = try DeploymentWorld()
        for _ in 0..<50 {
            let plan = world.plan()
            world.memory = plan.memory
            #expect(plan.launchCount == 1)
            DeploymentStateMachine.noteFailedLaunch(
                "no room", isFinal: false, templateMark: world.mark, at: world.now, in: &world.memory)
            let waiting = world.plan()
            #expect(waiting.condition.status == .initializing)
            #expect(waiting.condition.message.contains("could not be launched: no room; next try in "))
            world.pass(try #require(waiting.nextCheck))
        }
        DeploymentStateMachine.noteFailedLaunch(
            "no such program", isFinal: true, templateMark: world.mark, at: world.now, in: &world.memory)
        #expect(world.plan().condition.status == .errored)
    }

    @Test func launchesThatFailTogetherAreOneFailure() throws {
        var world = try DeploymentWorld()
        for _ in 0..<8 {
            DeploymentStateMachine.noteFailedLaunch(
                "no room", isFinal: false, templateMark: world.mark, at: world.now, in: &world.memory)
        }
        #expect(world.memory.failureCount == 1)
        world.pass(.seconds(1))
        #expect(world.look().launchCount == 1)
        DeploymentStateMachine.noteFailedLaunch(
            "no room", isFinal: false, templateMark: world.mark, at: world.now, in: &world.memory)
        #expect(world.memory.failureCount == 2)
    }

    @Test func clockThatIsSetBackDelaysNothingForLong() throws {
        var world = try DeploymentWorld()
        world.look()
        world.end(world.replicas[0].id)
        world.look()
        let draining = world.add(.draining)
        world.look()
        world.pass(.seconds(-1_000_000))
        var plan = world.look()
        #expect(try #require(plan.nextCheck) <= .seconds(1))
        world.pass(.seconds(601))
        plan = world.look()
        #expect(plan.killed == [draining])
    }

    @Test func extremeMomentsAreHarmless() throws {
        var world = try DeploymentWorld()
        world.now = Timestamp(milliseconds: .max)
        let first = world.add(.unresponsive(since: Timestamp(milliseconds: .min)))
        #expect(world.look().killed == [first])
        world.now = Timestamp(milliseconds: .min)
        world.add(.exited(ReplicaExit(at: Timestamp(milliseconds: .max))))
        world.add(.draining)
        world.look()
        #expect(world.look().condition.status == .initializing)
    }
}
