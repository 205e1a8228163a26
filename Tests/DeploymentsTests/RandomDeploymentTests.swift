import Deployments
import ServingJSON
import Testing

/// Deployments to which everything happens, in any order.
struct RandomDeploymentTests {
    @Test(arguments: 0..<24)
    func whateverHappensTheRulesHold(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var world = try DeploymentWorld(minReplicas: 0, maxReplicas: Int.random(in: 1...6, using: &generator))
        for _ in 0..<300 {
            mishap(&world, &generator)
            world.pass(.milliseconds(Int.random(in: 1...30_000, using: &generator)))
            let before = world
            let plan = world.plan()
            check(plan, of: before)
            world.memory = try DeploymentMemory(stored: .object(plan.memory.storedJSON))
            keepProgress(of: plan.memory, in: &world.memory)
            // Some of what was asked for isn't done, or is done later, as when a control plane is ended between.
            for action in plan.actions where !generator.chance(0.1) { world.perform(action) }
        }
        try settle(&world, &generator)
    }

    private func keepProgress(of memory: DeploymentMemory, in stored: inout DeploymentMemory) {
        for (id, note) in memory.replicas where note.progressAt != nil {
            var kept = stored.replicas[id] ?? ReplicaNote()
            (kept.percent, kept.progressAt) = (note.percent, note.progressAt)
            stored.replicas[id] = kept
        }
        #expect(
            stored.replicas.filter { $0.value != ReplicaNote() } == memory.replicas.filter { $0.value != ReplicaNote() }
        )
    }

    /// One thing that may happen.
    private func mishap(_ world: inout DeploymentWorld, _ generator: inout SeededGenerator) {
        let now = world.now
        switch Int.random(in: 0..<16, using: &generator) {
        case 0: world.desired = Int.random(in: 0...7, using: &generator)
        case 1: world.queued = generator.choose([0, 0, 1, 500])
        case 2: world.changeTemplate()
        case 3: world.spec.restartCount += 1
        case 4: world.spec.pinnedReplicaCount = generator.choose([nil, nil, 0, 1, 4])
        case 5: world.spec.intent = generator.choose([.running, .running, .running, .stopped])
        case 6: world.spec.config.maxReplicas = Int.random(in: 1...6, using: &generator)
        case 7: world.endDraining()
        default:
            guard !world.replicas.isEmpty else { return }
            let replica = generator.choose(world.replicas)
            guard !replica.hasEnded else { return }
            switch Int.random(in: 0..<8, using: &generator) {
            case 0: world.end(replica.id, code: generator.choose([0, 1, 66, 137]))
            case 1: world.end(replica.id, code: nil, signal: 9)
            case 2: world.update(replica.id) { $0.phase = .unresponsive(since: now) }
            case 3:
                world.update(replica.id) { $0.phase = .loading(percent: Int.random(in: 0...100, using: &generator)) }
            case 4: world.update(replica.id) { $0.outstandingRequestCount = 3 }
            case 5: world.update(replica.id) { $0.phase = .queued(reason: "full") }
            default: if replica.phase != .draining { world.makeReady(replica.id) }
            }
        }
    }

    private func check(_ plan: DeploymentPlan, of world: DeploymentWorld) {
        let known = Set(world.replicas.map(\.id))
        let ending = Set(plan.memory.replicas.filter { $0.value.ending != nil }.keys)
        let live = world.replicas.filter { !$0.hasEnded && $0.phase != .draining && !ending.contains($0.id) }
        let asked = plan.drained + plan.killed + plan.forgotten
        #expect(Set(asked).count == asked.count, "one thing at a time")
        #expect(known.isSuperset(of: asked))
        let isEnded = Dictionary(uniqueKeysWithValues: world.replicas.map { ($0.id, $0.hasEnded) })
        #expect(plan.forgotten.allSatisfy { isEnded[$0] == true })
        #expect((plan.drained + plan.killed).allSatisfy { isEnded[$0] == false })
        #expect(ending.isSuperset(of: plan.drained + plan.killed))

        let target = target(of: world)
        let outdated = live.filter { $0.templateMark != world.mark }
        #expect(live.count + plan.launchCount <= target + (outdated.isEmpty ? 0 : 1))
        if plan.launchCount > 0 { #expect(!plan.memory.hasGivenUp && world.spec.intent == .running) }
        let readyBefore = world.replicas.count { $0.phase == .ready && world.memory.replicas[$0.id]?.ending == nil }
        let readyAfter = live.count { $0.phase == .ready }
        #expect(readyAfter >= min(readyBefore, target), "ready replicas are kept up to the target")
        checkStatus(plan, live, target, world)
    }

    private func target(of world: DeploymentWorld) -> Int {
        guard world.spec.intent == .running else { return 0 }
        let config = world.spec.config
        let asked = world.spec.pinnedReplicaCount ?? min(max(world.desired, config.minReplicas), config.maxReplicas)
        return max(asked, world.queued > 0 ? 1 : 0)
    }

    private func checkStatus(
        _ plan: DeploymentPlan, _ live: [ReplicaObservation], _ target: Int, _ world: DeploymentWorld
    ) {
        let isReady = live.contains { $0.phase == .ready }
        let isOutdated = live.contains { $0.templateMark != world.mark }
        #expect(!plan.condition.message.isEmpty && !plan.condition.reason.isEmpty)
        switch plan.condition.status {
        case .ready: #expect(isReady && !isOutdated && target > 0)
        case .updating: #expect(isReady && isOutdated && target > 0)
        case .standby: #expect(live.isEmpty && target == 0 && world.spec.intent == .running)
        case .stopped: #expect(live.isEmpty && world.spec.intent == .stopped)
        case .errored: #expect(live.isEmpty && plan.memory.hasGivenUp && plan.launchCount == 0)
        case .pending: #expect(!isReady && !plan.memory.wasEverReady && target > 0)
        case .initializing: #expect(!isReady && target > 0)
        case .deleted: #expect(world.spec.intent == .deleted)
        }
    }

    /// Once nothing happens any more, the deployment is as it was asked for, and stays so; then it is deleted.
    private func settle(_ world: inout DeploymentWorld, _ generator: inout SeededGenerator) throws {
        world.spec.intent = .running
        world.changeTemplate()
        for _ in 0..<10 {
            world.pass(.seconds(61))
            for replica in world.replicas where !replica.hasEnded && replica.phase != .draining {
                world.makeReady(replica.id)
            }
            world.endDraining()
            world.look()
        }
        let end = world.settle()
        let plan = try #require(end, "a world in which nothing happens comes to rest")
        let target = target(of: world)
        #expect(world.ready.count == target && world.replicas.count == target)
        #expect(plan.condition.status == (target > 0 ? .ready : .standby))
        world.pass(.seconds(1_000_000))
        #expect(world.look().actions.isEmpty)

        world.spec.intent = .deleted
        for _ in 0..<10 where !world.isRetired {
            for replica in world.replicas where replica.phase == .draining && generator.chance(0.5) {
                world.end(replica.id, code: generator.choose([0, 1]))
            }
            #expect(world.look().condition.status == .deleted)
        }
        world.pass(.seconds(700))
        for _ in 0..<5 where !world.isRetired { world.look() }
        #expect(world.isRetired && world.replicas.isEmpty)
    }
}
