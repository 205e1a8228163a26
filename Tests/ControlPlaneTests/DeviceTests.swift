import ControlAPI
import ControlPlane
import Deployments
import ReplicaLaunchers
import ServingJSON
import Testing

/// Replicas and the GPUs of the machine.
@Suite struct DeviceTests {
    private static let two = DevicePlacement(
        gpus: (0..<2).map { MachineGPU(ordinal: $0, name: "NVIDIA H100 80GB HBM3", memoryBytes: 85_000_000_000) })

    private func replicas(_ count: Int, _ more: JSONObject = JSONObject()) -> JSONObject {
        var config = more
        (config["minReplicas"], config["maxReplicas"]) = (.integer(Int64(count)), .integer(Int64(count)))
        return config
    }

    private func devices(_ world: TestWorld, _ name: String) async throws -> [String] {
        try await world.service.view(name).replicas.filter { $0.phase != "exited" }.compactMap(\.device).sorted()
    }

    private func deploy(_ world: TestWorld, _ name: String, _ count: Int) async throws {
        try await world.ready(name, replicas(count))
        try await world.eventually("\(count) replicas") {
            try await world.service.view(name).currentReplicas == count
        }
    }

    @Test func replicasAreSpreadOverTheGPUsOfTheMachine() async throws {
        let world = try await TestWorld(placement: Self.two)
        try await deploy(world, "chat", 3)
        #expect(try await devices(world, "chat") == ["cuda:0", "cuda:0", "cuda:1"])
        // Other deployments count, too.
        try await deploy(world, "code", 1)
        #expect(try await devices(world, "code") == ["cuda:1"])
        #expect(try await world.service.view("chat").accelerator == "cuda")
        let launched = world.launcher.list().map(\.device)
        #expect(launched.allSatisfy { $0 != nil } && Set(launched).count == 2)
        await world.end()
    }

    @Test func aReplicaThatHasEndedLeavesItsGPUToOthers() async throws {
        let world = try await TestWorld(placement: Self.two)
        try await deploy(world, "a", 1)
        try await deploy(world, "b", 1)
        #expect(try await devices(world, "b") == ["cuda:1"])
        _ = try await world.service.delete("a")
        try await world.eventually("a is gone") { await world.reconciler.id(named: try world.name("a")) == nil }
        try await deploy(world, "c", 1)
        #expect(try await devices(world, "c") == ["cuda:0"])
        await world.end()
    }

    @Test func aRestartOfTheServerLeavesReplicasTheirGPUs() async throws {
        let world = try await TestWorld(placement: Self.two)
        try await deploy(world, "chat", 3)
        let before = try await world.service.view("chat").replicas.map { [$0.id, $0.device] }
        try await world.restart()
        #expect(try await world.service.view("chat").replicas.map { [$0.id, $0.device] } == before)
        // What it found counts for what comes.
        try await deploy(world, "code", 1)
        #expect(try await devices(world, "code") == ["cuda:1"])
        await world.end()
    }

    @Test func withoutGPUsReplicasAreToldToUseTheProcessor() async throws {
        let world = try await TestWorld()
        try await deploy(world, "chat", 1)
        #expect(try await devices(world, "chat") == ["cpu"])
        #expect(try await world.service.view("chat").accelerator == "cpu")
        await world.end()
    }

    @Test func aKindThatTheMachineHasNotIsRefusedAtOnce() async throws {
        let world = try await TestWorld(placement: Self.two)
        let error = await #expect(throws: ControlError.self) {
            try await world.create("chat", JSONObject([("accelerator", "a100_80gb_100")]))
        }
        #expect(error?.code == .invalidConfig && error?.faults.map(\.field) == ["accelerator"])
        #expect(error?.message.contains("NVIDIA H100 80GB HBM3 (85 GB)") == true, "\(error as Any)")
        try await world.ready("chat", JSONObject([("accelerator", "h100_80gb_100"), ("minReplicas", 1)]))
        #expect(try await devices(world, "chat") == ["cuda:0"])
        let sku: JSONValue = ["requests": ["inference": ["sku": "l4"]]]
        let other = DeploymentRequest(config: JSONObject([("computeSpec", sku)]))
        let change = await #expect(throws: ControlError.self) {
            try await world.service.update("chat", other, generation: nil, isDryRun: false)
        }
        #expect(change?.faults.map(\.field) == ["computeSpec"])
        await world.end()
    }

    @Test func aGPUThatIsNoMoreEndsInAStatusThatSaysSo() async throws {
        let world = try await TestWorld(placement: Self.two)
        try await world.ready("chat", JSONObject([("accelerator", "h100"), ("minReplicas", 1)]))
        try await world.restart(placement: DevicePlacement())
        // The one that runs goes on; another can't be placed.
        #expect(try await world.service.view("chat").status == .ready)
        for replica in world.launcher.list() { world.launcher.crash(replica.id, signal: 9) }
        try await world.eventually("it is given up") {
            // A replica that crashed is started again after a pause.
            world.clock.advance(.seconds(1))
            return try await world.service.view("chat").status == .errored
        }
        let view = try await world.service.view("chat")
        #expect(view.statusMessage.contains("this machine has no GPU"), "\(view.statusMessage)")
        // With the GPU back its owner starts it.
        try await world.restart(placement: Self.two)
        _ = try await world.service.start("chat")
        try await world.reaches("chat", .ready)
        await world.end()
    }
}
