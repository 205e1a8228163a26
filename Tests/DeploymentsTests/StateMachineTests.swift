import Deployments
import Testing

/// Statuses, counts and rolling updates.
struct StateMachineTests {
    @Test func newDeploymentGoesFromPendingToReady() throws {
        var world = try DeploymentWorld()
        var plan = world.look()
        #expect(plan.actions == [.launch])
        #expect(plan.condition.status == .pending)
        plan = world.look()
        #expect(plan.actions.isEmpty)
        #expect(plan.condition == DeploymentCondition(.initializing, reason: "Starting", message: "starting a replica"))
        world.update(world.replicas[0].id) { $0.phase = .loading(percent: 40) }
        plan = world.look()
        #expect(
            plan.condition
                == DeploymentCondition(.initializing, reason: "Loading", message: "loading the model, 40 %"))
        world.makeAllReady()
        plan = world.look()
        #expect(plan.condition == DeploymentCondition(.ready, reason: "ReplicasReady", message: "1 replica ready"))
        #expect(plan.memory.wasEverReady)
        #expect(plan.nextCheck == nil)
    }

    @Test func deploymentWithoutLoadStandsByAndIsWokenByARequest() throws {
        var world = try DeploymentWorld()
        world.desired = 0
        var plan = world.look()
        #expect(plan.actions.isEmpty && plan.nextCheck == nil)
        #expect(plan.condition.status == .standby)
        world.queued = 3
        plan = world.look()
        #expect(plan.actions == [.launch])
        world.memory.wasEverReady = true
        world.replicas = []
        #expect(world.look().condition.status == .initializing)
    }

    @Test func replicaOfAnIdleDeploymentDrainsIntoStandby() throws {
        var world = try DeploymentWorld()
        let id = world.add(.ready)
        world.desired = 0
        let plan = world.look()
        #expect(plan.actions == [.drain(id, reason: "no request came for the cooldown")])
        #expect(plan.condition.status == .standby)
        world.endDraining()
        #expect(world.look().actions == [.forget(id)])
        #expect(world.memory.failureCount == 0)
        #expect(world.look().actions.isEmpty)
    }

    @Test(
        arguments: [
            (0, 10, 3, nil, 0, 3), (0, 2, 3, nil, 0, 2), (2, 10, 0, nil, 0, 2), (0, 10, 0, nil, 1, 1),
            (0, 2, 1, 5, 0, 5), (0, 2, 1, 0, 0, 0), (0, 2, 1, 0, 4, 1), (0, 2, 1, -3, 0, 0), (0, 10, -5, nil, 0, 0),
            (5, 2, 0, nil, 0, 2), (0, 10, .max, nil, .max, 10), (0, 10, 0, .max, 0, 1000),
        ] as [(Int, Int, Int, Int?, Int, Int)])
    func countIsTheDesiredOneWithinLimitsOrThePinnedOne(
        least: Int, most: Int, desired: Int, pinned: Int?, queued: Int, expected: Int
    ) throws {
        var world = try DeploymentWorld(minReplicas: least, maxReplicas: most)
        world.desired = desired
        world.spec.pinnedReplicaCount = pinned
        world.queued = queued
        #expect(world.look().launchCount == expected)
    }

    @Test func stopDrainsAllAndNoRequestWakes() throws {
        var world = try DeploymentWorld()
        let ids = [world.add(.ready, outstanding: 2), world.add(.loading(percent: 3)), world.add(.queued(reason: ""))]
        world.spec.intent = .stopped
        world.queued = 5
        let plan = world.look()
        #expect(Set(plan.drained) == Set(ids))
        #expect(plan.condition.status == .stopped && plan.condition.reason == "Stopping")
        #expect(plan.condition.message == "being stopped; 3 replicas have not ended yet (2 requests under way)")
        world.endDraining()
        #expect(world.look().launchCount == 0)
        #expect(world.look().condition.reason == "Stopped")
    }

    @Test func deletedDeploymentIsRetiredOnceItsReplicasHaveGone() throws {
        var world = try DeploymentWorld()
        world.add(.ready)
        world.spec.intent = .deleted
        var plan = world.look()
        #expect(plan.drained.count == 1 && !plan.actions.contains(.retire))
        plan = world.look()
        #expect(plan.actions.isEmpty && plan.condition.status == .deleted)
        world.endDraining()
        plan = world.look()
        #expect(plan.forgotten.count == 1 && !plan.actions.contains(.retire))
        #expect(world.look().actions == [.retire])
    }

    @Test func scaleDownTakesWhatIsNotReadyThenTheLeastBusyThenTheNewest() throws {
        var world = try DeploymentWorld()
        let busy = world.add(.ready, outstanding: 5)
        let older = world.add(.ready, outstanding: 1)
        world.pass(.seconds(1))
        let newer = world.add(.ready, outstanding: 1)
        let starting = world.add(.starting)
        world.pass(.seconds(1))
        let newest = world.add(.starting)
        var order: [ReplicaID] = []
        for count in stride(from: 4, through: 0, by: -1) {
            world.desired = count
            order += world.look().drained
        }
        #expect(order == [newest, starting, newer, older, busy])
    }

    @Test func updateReplacesOneAfterAnotherAndServesAsManyThroughout() throws {
        var world = try DeploymentWorld()
        world.desired = 3
        _ = world.settle()
        let old = world.replicas.map(\.id)
        world.changeTemplate()
        var statuses: Set<DeploymentStatus> = []
        for _ in 0..<100 {
            let plan = world.look()
            statuses.insert(plan.condition.status)
            #expect(world.ready.count >= 3)
            #expect(world.replicas.count { $0.phase != .draining && !$0.hasEnded } <= 4)
            if plan.actions.isEmpty, plan.condition.status == .ready { break }
            if let starting = world.replicas.first(where: { $0.phase == .starting }) { world.makeReady(starting.id) }
            world.endDraining()
            world.pass(.seconds(1))
        }
        #expect(statuses == [.updating, .ready])
        #expect(world.ready.count == 3)
        #expect(Set(world.replicas.map(\.id)).isDisjoint(with: old))
        #expect(world.launchCount == 6)
    }

    @Test func restartReplacesToo() throws {
        var world = try DeploymentWorld()
        _ = world.settle()
        let old = world.replicas[0].id
        world.spec.restartCount += 1
        let plan = world.look()
        #expect(plan.actions == [.launch])
        #expect(plan.condition.status == .updating && plan.condition.message.contains("0 of 1 replica"))
        _ = world.settle()
        #expect(world.ready.count == 1 && world.ready[0].id != old)
    }

    @Test func replicaOfAnEarlierTemplateThatIsNotReadyIsDroppedAtOnce() throws {
        var world = try DeploymentWorld()
        world.look()
        let old = world.replicas[0].id
        world.changeTemplate()
        let plan = world.look()
        #expect(plan.drained == [old] && plan.launchCount == 1)
    }

    @Test func updateAndScaleDownTogetherKeepWhatIsNeeded() throws {
        var world = try DeploymentWorld()
        world.desired = 5
        _ = world.settle()
        world.changeTemplate()
        world.desired = 2
        let plan = world.look()
        #expect(plan.drained.count == 3 && plan.launchCount == 1)
        let end = world.settle()
        #expect(end?.condition.status == .ready)
        #expect(world.ready.count == 2 && world.ready.allSatisfy { $0.templateMark == world.mark })
    }

    @Test func waitingForAPlaceIsPendingWithTheReason() throws {
        var world = try DeploymentWorld()
        world.add(.queued(reason: "no node has 2 free GPUs"))
        var plan = world.look()
        #expect(plan.condition.status == .pending && plan.condition.reason == "WaitingForPlace")
        #expect(plan.condition.message == "waiting for a place: no node has 2 free GPUs")
        world.pass(.seconds(100_000))
        plan = world.look()
        #expect(plan.actions.isEmpty && plan.nextCheck == nil)
        world.memory.wasEverReady = true
        #expect(world.look().condition.status == .initializing)
    }

    @Test func messageCountsWhatIsReady() throws {
        var world = try DeploymentWorld()
        world.desired = 3
        world.add(.ready)
        world.add(.ready)
        world.add(.loading(percent: 120))
        #expect(world.look().condition.message == "2 of 3 replicas ready; loading the model, 100 %")
    }

    @Test func contradictoryObservationsDoNoHarm() throws {
        var world = try DeploymentWorld()
        let id = world.add(.ready)
        world.replicas.append(world.replicas[0])
        world.replicas.append(world.replicas[0])
        world.replicas[2].phase = .exited(ReplicaExit(code: 1, at: world.now))
        world.replicas[1].phase = .starting
        let plan = world.look()
        #expect(plan.forgotten == [id])
        #expect(plan.memory.failureCount == 1)
    }

    @Test func memoryOfReplicasThatAreGoneIsDropped() throws {
        var world = try DeploymentWorld()
        world.desired = 0
        world.memory.replicas[ReplicaID("gone")] = ReplicaNote()
        #expect(world.look().memory.replicas.isEmpty)
    }

    @Test func markIsWorkedOutWhereTheCallerHasNone() throws {
        var world = try DeploymentWorld()
        world.add(.ready)
        let situation = DeploymentSituation(
            spec: world.spec, replicas: world.replicas, desiredReplicaCount: 1, now: world.now)
        #expect(DeploymentStateMachine.plan(situation).condition.status == .ready)
    }
}
