import ControlAPI
import ControlPlane
import ControlStore
import Deployments
import ReplicaLaunchers
import ServingJSON
import Testing

@Suite struct ScalingTests {
    private static let elastic = JSONObject([
        ("minReplicas", 0), ("maxReplicas", 4), ("scaleUpRequestThreshold", 2), ("cooldownTime", 10),
    ])

    @Test func loadBringsReplicasAndItsEndTakesThemAway() async throws {
        let world = try await TestWorld()
        try await world.ready("chat", Self.elastic)
        let name = try world.name("chat")
        world.gateway.set(name, running: 5, queued: 2, at: world.clock.now())
        try await world.eventually("four replicas") { try await world.service.view("chat").currentReplicas == 4 }
        world.gateway.set(name, at: world.clock.now())
        try await world.settle()
        // Nothing goes before the cooldown is over.
        #expect(try await world.service.view("chat").currentReplicas == 4)
        world.clock.advance(.seconds(11))
        try await world.reaches("chat", .standby)
        let id = try await world.service.view("chat").uuid
        try await world.eventually("the decisions are events") {
            let reasons = try await world.reasons(id)
            return reasons.contains("ScaledUp") && reasons.contains("ScaledToZero")
        }
        let events = try await world.store.events(of: id, after: 0, limit: 100)
        let up = try #require(events.first { $0.reason == "ScaledUp" })
        #expect(up.data["from"] == 1)
        #expect(up.data["to"] == 4)
        #expect(up.data["running"] == 5)
        #expect(up.data["queued"] == 2)
        await world.end()
    }

    @Test func aRequestWakesWhatRests() async throws {
        let world = try await TestWorld()
        try await world.ready("chat", Self.elastic)
        world.clock.advance(.seconds(11))
        try await world.reaches("chat", .standby)
        let name = try world.name("chat")
        world.gateway.set(name, queued: 1, at: world.clock.now())
        await world.reconciler.wake(name)
        try await world.reaches("chat", .ready)
        await world.end()
    }

    @Test func aPinnedNumberStaysAndAWakeUnpinsZero() async throws {
        let world = try await TestWorld()
        try await world.ready("chat", Self.elastic)
        let scaled = try await world.service.scale("chat", .replicas(3))
        #expect(scaled.replicasBefore == 1)
        try await world.eventually("three") { try await world.service.view("chat").currentReplicas == 3 }
        world.clock.advance(.seconds(60))
        try await world.settle()
        #expect(try await world.service.view("chat").currentReplicas == 3)
        _ = try await world.service.scale("chat", .delta(-3))
        try await world.reaches("chat", .standby)
        #expect(try await world.service.view("chat").pinnedReplicas == 0)
        let name = try world.name("chat")
        world.gateway.set(name, queued: 1, at: world.clock.now())
        await world.reconciler.wake(name)
        try await world.reaches("chat", .ready)
        try await world.eventually("unpinned") { try await world.service.view("chat").pinnedReplicas == nil }
        await world.end()
    }

    @Test func whatIsStoppedDoesNotWake() async throws {
        let world = try await TestWorld()
        try await world.ready("chat", Self.elastic)
        _ = try await world.service.stop("chat")
        try await world.reaches("chat", .stopped)
        let name = try world.name("chat")
        world.gateway.set(name, queued: 1, at: world.clock.now())
        await world.reconciler.wake(name)
        try await world.settle()
        try await world.eventually("no replica is left") { world.launcher.list().isEmpty }
        #expect(world.world.launchCount == 1)
        try await world.restart()
        #expect(try await world.service.view("chat").status == .stopped)
        _ = try await world.service.start("chat")
        try await world.reaches("chat", .ready)
        await world.end()
    }

    @Test(arguments: [
        (ScaleRequest.replicas(-1), "expected 0 to 1000"), (.replicas(1_000_000_000), "expected 0 to 1000"),
        (.delta(.max), "expected 0 to 1000"), (.limits(ScaleLimits(minReplicas: 5)), "minReplicas"),
        (.limits(ScaleLimits(maxReplicas: 1_000_000_000)), "maxReplicas"),
        (.limits(ScaleLimits(cooldownTime: -1)), "cooldownTime"),
    ])
    func whatCannotBeIsRefused(request: ScaleRequest, words: String) async throws {
        let world = try await TestWorld()
        try await world.create("chat", Self.elastic)
        let error = await #expect(throws: ControlError.self) { try await world.service.scale("chat", request) }
        #expect(error?.status == 422)
        #expect(error?.message.contains(words) == true)
        #expect(try await world.service.spec("chat").generation == 1)
        await world.end()
    }
}
