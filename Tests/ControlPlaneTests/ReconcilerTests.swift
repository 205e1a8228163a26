import ControlAPI
import ControlPlane
import ControlStore
import Deployments
import ReplicaLaunchers
import ServingJSON
import Testing

@Suite struct ReconcilerTests {
    /// The clock of some tests runs for hours, in which the autoscaler would give up what has no load.
    private static let steady = JSONObject([("minReplicas", 1)])

    @Test func aNewDeploymentGetsOneReplicaAndIsReady() async throws {
        let world = try await TestWorld()
        let created = try await world.create("chat", JSONObject([("minReplicas", 0), ("maxReplicas", 3)]))
        #expect(created.status == .pending || created.status == .initializing)
        try await world.reaches("chat", .ready)
        let view = try await world.service.view("chat")
        #expect(view.currentReplicas == 1)
        #expect(world.gateway.route("chat")?.replicas.count == 1)
        try await world.eventually("its history is written") {
            try await world.reasons(view.uuid).contains("ReplicaReady")
        }
        let reasons = try await world.reasons(view.uuid)
        #expect(reasons.first == "Created")
        #expect(reasons.filter { $0 == "ReplicaLaunched" }.count == 1)
        await world.end()
    }

    @Test func loadingIsShownInPercentAndAReplicaWithoutATokenIsNotReady() async throws {
        let world = try await TestWorld()
        world.probe.load(percent: 40)
        world.probe.refuseTokens("no memory")
        try await world.create("chat")
        try await world.eventually("40 %") { try await world.service.view("chat").replicas.first?.percent == 40 }
        #expect(try await world.service.view("chat").status == .initializing)
        world.probe.load(percent: nil)
        try await world.settle()
        #expect(try await world.service.view("chat").status == .initializing)
        #expect(world.gateway.route("chat")?.replicas.isEmpty == true)
        world.probe.refuseTokens(nil)
        try await world.reaches("chat", .ready)
        await world.end()
    }

    @Test func aRestartTakesOverReplicasThatRun() async throws {
        let world = try await TestWorld()
        try await world.ready("chat", JSONObject([("minReplicas", 2), ("maxReplicas", 3)]))
        try await world.eventually("two replicas") { try await world.service.view("chat").currentReplicas == 2 }
        let before = try await world.service.view("chat").replicas.map(\.id)
        let launches = world.world.launchCount
        try await world.restart()
        // At once, without a start anew: its requests are led on.
        let view = try await world.service.view("chat")
        #expect(view.status == .ready)
        #expect(view.replicas.map(\.id) == before)
        try await world.settle()
        #expect(world.world.launchCount == launches)
        #expect(world.gateway.route("chat")?.replicas.count == 2)
        await world.end()
    }

    @Test func aReplicaThatHangsAcrossARestartIsReplaced() async throws {
        let world = try await TestWorld()
        try await world.ready("chat", Self.steady)
        let before = try await world.service.view("chat").replicas.map(\.id)
        for replica in world.launcher.list() {
            if let endpoint = replica.endpoint { world.probe.silence(endpoint) }
        }
        try await world.restart()
        try await world.eventually("another replica answers") {
            world.clock.advance(.seconds(16))
            await world.reconciler.wake(try world.name("chat"))
            let view = try await world.service.view("chat")
            return view.status == .ready && !view.replicas.contains { before.contains($0.id) }
        }
        await world.end()
    }

    @Test func replicasOfDeploymentsThatAreNoMoreAreEnded() async throws {
        let world = try await TestWorld()
        let stray = ReplicaLaunchRequest(
            id: ReplicaID("gone-abc"), deployment: try DeploymentName("gone"), deploymentID: "no-such", revision: 1,
            templateMark: "x", arguments: [])
        try world.launcher.launch(stray)
        try await world.restart()
        try await world.eventually("no replica is left") { world.launcher.list().isEmpty }
        await world.end()
    }

    @Test func whatTheServerBeganIsFinishedByTheNext() async throws {
        let world = try await TestWorld()
        try await world.ready("chat")
        // Recorded and never heard of by the reconciler, as when the process is killed between the two.
        let id = try await world.service.view("chat").uuid
        var spec = try #require(await world.store.deployment(id: id)).spec
        spec.intent = .deleted
        spec.generation += 1
        try await world.store.update(spec, expectedGeneration: 1, cause: "deleted")
        try await world.restart()
        try await world.eventually("it is history") { try await world.store.deployment(id: id)?.deletedAt != nil }
        try await world.eventually("no replica is left") { world.launcher.list().isEmpty }
        try await world.create("chat")
        await world.end()
    }

    @Test func anUpdateReplacesReplicasAndNeverLeavesNone() async throws {
        let world = try await TestWorld()
        try await world.ready("chat", JSONObject([("minReplicas", 2), ("maxReplicas", 3)]))
        try await world.eventually("two replicas") { try await world.service.view("chat").currentReplicas == 2 }
        let start = world.gateway.history.count
        _ = try await world.service.update(
            "chat", DeploymentRequest(config: JSONObject([("maxTotalTokens", 512)])), generation: nil, isDryRun: false)
        try await world.eventually("all are of revision 2") {
            let view = try await world.service.view("chat")
            return view.status == .ready && view.replicas.count == 2 && view.replicas.allSatisfy { $0.revision == 2 }
        }
        for case .changed(let route) in world.gateway.history[start...] {
            #expect(route.replicas.count >= 2, "\(route.condition)")
        }
        await world.end()
    }

    @Test func limitsAloneReplaceNothing() async throws {
        let world = try await TestWorld()
        try await world.ready("chat")
        let before = try await world.service.view("chat").replicas.map(\.id)
        let view = try await world.service.update(
            "chat", DeploymentRequest(config: JSONObject([("maxReplicas", 5), ("cooldownTime", 30)])), generation: nil,
            isDryRun: false)
        #expect(view.revision == 2)
        try await world.settle()
        #expect(try await world.service.view("chat").replicas.map(\.id) == before)
        await world.end()
    }

    @Test func aCrashIsHealedAndAnEndlessOneGivenUpWithItsLastWords() async throws {
        let world = try await TestWorld { _, number in
            number == 1 ? .ready : .crashes(.init(after: .zero, code: 1, lastLines: ["out of memory: 9 GB needed"]))
        }
        try await world.ready("chat", Self.steady)
        let first = try #require(await world.service.view("chat").replicas.first)
        world.launcher.crash(ReplicaID(first.id), signal: 9)
        // Each look at the clock is after the pause that the next try waits for.
        try await world.eventually("given up") {
            world.clock.advance(.seconds(61))
            world.launcher.observeTime()
            await world.reconciler.wake(try world.name("chat"))
            return try await world.service.view("chat").status == .errored
        }
        let view = try await world.service.view("chat")
        #expect(view.statusReason == "CrashLoop")
        #expect(view.statusMessage.contains("out of memory: 9 GB needed"))
        let launches = world.world.launchCount
        world.clock.advance(.seconds(3600))
        try await world.settle()
        #expect(world.world.launchCount == launches)
        await world.end()
    }

    @Test func whatCannotWorkIsGivenUpAtOnceAndStartTriesAgain() async throws {
        let world = try await TestWorld { _, number in
            number == 1 ? .crashes(.init(after: .zero, code: 66, lastLines: ["model \"m\" is not here"])) : .ready
        }
        try await world.create("chat")
        try await world.reaches("chat", .errored)
        #expect(world.world.launchCount == 1)
        #expect(try await world.service.view("chat").statusMessage.contains("is not here"))
        _ = try await world.service.start("chat")
        try await world.reaches("chat", .ready)
        await world.end()
    }

    @Test func aLaunchThatFailsIsTriedAgain() async throws {
        let world = try await TestWorld { _, number in
            number < 3 ? .fails(LauncherError(.unavailable, "no processes left")) : .ready
        }
        try await world.create("chat", Self.steady)
        try await world.eventually("it is ready") {
            world.clock.advance(.seconds(61))
            await world.reconciler.wake(try world.name("chat"))
            return try await world.service.view("chat").status == .ready
        }
        #expect(world.launcher.list().count == 1)
        await world.end()
    }

    @Test func aReplicaThatFallsSilentIsReplaced() async throws {
        let world = try await TestWorld()
        try await world.ready("chat", Self.steady)
        let first = try #require(await world.service.view("chat").replicas.first)
        let endpoint = try #require(world.gateway.route("chat")?.replicas.first?.endpoint)
        world.probe.silence(endpoint)
        try await world.eventually("it is out of the routes") { world.gateway.route("chat")?.replicas.isEmpty == true }
        try await world.eventually("another is ready") {
            world.clock.advance(.seconds(16))
            await world.reconciler.wake(try world.name("chat"))
            let view = try await world.service.view("chat")
            return view.status == .ready && view.replicas.allSatisfy { $0.id != first.id }
        }
        await world.end()
    }

    @Test func deletingDrainsRetiresAndFreesTheName() async throws {
        let world = try await TestWorld()
        try await world.ready("chat")
        let id = try await world.service.view("chat").uuid
        _ = try await world.service.delete("chat")
        try await world.eventually("it is history") { try await world.store.deployment(id: id)?.deletedAt != nil }
        try await world.eventually("no replica is left") { world.launcher.list().isEmpty }
        #expect(world.gateway.route("chat") == nil)
        #expect(try await world.service.view(id).status == .deleted)
        let error = await #expect(throws: ControlError.self) { try await world.service.view("chat") }
        #expect(error?.code == .notFound)
        try await world.ready("chat")
        await world.end()
    }

    @Test func deletingWhileItStartsLeavesNothing() async throws {
        let world = try await TestWorld { _, _ in .neverListens }
        try await world.create("chat")
        try await world.eventually("it is launched") { world.world.launchCount == 1 }
        let id = try await world.service.view("chat").uuid
        _ = try await world.service.delete("chat")
        try await world.eventually("it is history") { try await world.store.deployment(id: id)?.deletedAt != nil }
        try await world.eventually("no replica is left") { world.launcher.list().isEmpty }
        await world.end()
    }

    @Test func deploymentsAtRestCostNothing() async throws {
        let world = try await TestWorld()
        for number in 0..<300 { try await world.create("d-\(number)", JSONObject([("cooldownTime", 1)])) }
        try await world.eventually("all are in standby") {
            world.clock.advance(.seconds(2))
            return await world.reconciler.views(of: world.reconciler.names()).allSatisfy { $0.status == .standby }
        }
        // What is still under way comes to an end; then nobody looks at anything, however long one waits.
        try await world.eventually("nothing is looked at") {
            let (looks, checks) = (world.gateway.lookCount, world.probe.healthCheckCount)
            try await Task.sleep(for: .milliseconds(300))
            return world.gateway.lookCount == looks && world.probe.healthCheckCount == checks
        }
        await world.end()
    }
}
