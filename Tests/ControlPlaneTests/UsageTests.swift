import ControlAPI
import ControlPlane
import Deployments
import ReplicaLaunchers
import ServingJSON
import Testing

/// What replicas use of their machine.
@Suite struct UsageTests {
    @Test func aReplicasMetricsTellItsGPU() throws {
        let text = """
            # TYPE process_cpu_seconds_total counter
            process_cpu_seconds_total 12.5
            process_resident_memory_bytes 1048576
            pbctl_gpu_utilization_ratio{device="cuda:1"} 0.75
            pbctl_gpu_memory_used_bytes{device="cuda:1"} 12345678901
            pbctl_gpu_memory_total_bytes{device="cuda:1"} 85899345920

            """
        let usage = try #require(ReplicaUsage(prometheusText: text))
        #expect(
            usage
                == ReplicaUsage(
                    cpuSeconds: 12.5, gpuUtilization: 0.75, gpuMemoryBytes: 12_345_678_901, residentBytes: 1 << 20))
        let onCPU = try #require(ReplicaUsage(prometheusText: "process_cpu_seconds_total 1\n"))
        #expect(onCPU.gpuUtilization == nil && onCPU.gpuMemoryBytes == nil)
    }

    @Test(arguments: ["-0.5", "7", "NaN", "+Inf", "x"]) func nonsenseIsNoUtilization(value: String) throws {
        let text = "process_cpu_seconds_total 1\npbctl_gpu_utilization_ratio{device=\"cuda:0\"} \(value)\n"
        #expect(try #require(ReplicaUsage(prometheusText: text)).gpuUtilization == nil)
    }

    @Test func aDeploymentShowsHowBusyItsGPUsAre() async throws {
        let world = try await TestWorld()
        world.probe.use(ReplicaUsage(cpuSeconds: 3, gpuUtilization: 0.5, gpuMemoryBytes: 1 << 33))
        // At rest from the start: one replica is all it may have.
        try await world.ready("chat", JSONObject([("minReplicas", 1), ("maxReplicas", 1)]))
        try await world.eventually("it is told") {
            let replica = try await world.service.view("chat").replicas.first
            return replica?.utilization == 0.5 && replica?.gpuMemoryBytes == 1 << 33
        }
        // What was busy is asked until it rests, or its last figure would stand for ever.
        world.probe.use(ReplicaUsage(cpuSeconds: 3, gpuUtilization: 0, gpuMemoryBytes: 1 << 33))
        try await world.eventually("it rests") {
            try await world.service.view("chat").replicas.first?.utilization == 0
        }
        let count = world.probe.usageCount
        try await Task.sleep(for: .milliseconds(500))
        #expect(world.probe.usageCount <= count + 1)
        await world.end()
    }
}
