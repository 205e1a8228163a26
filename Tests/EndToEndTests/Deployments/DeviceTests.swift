import Foundation
import Glibc
import Testing

extension DeploymentTests {
    /// Replicas on the two GPUs of a simulated machine.
    @Suite struct Devices {
        private func twoGPUs(_ more: [String: String] = [:]) throws -> [String: String] {
            try SimulatedGPU.environment(SimulatedGPU.folder(), ["PBCTL_SIMULATOR_DEVICES": "2"].merging(more) { $1 })
        }

        private func devices(_ fixture: DeploymentFixture, _ name: String) throws -> [String] {
            try fixture.state(name).replicas.filter { $0.phase == "ready" }.compactMap(\.device).sorted()
        }

        /// What a replica's process was told.
        private func arguments(of processID: pid_t) throws -> [String] {
            let bytes = try Data(contentsOf: URL(fileURLWithPath: "/proc/\(processID)/cmdline"))
            return bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        }

        @Test func threeReplicasShareTwoGPUsAndKeepThemWhenTheServerIsReplaced() throws {
            try DeploymentFixture.run(startsServer: false) { fixture in
                let environment = try twoGPUs()
                try fixture.startServer(environment: environment)
                try fixture.deploy("d", replicas: 3)
                #expect(try devices(fixture, "d") == ["cuda:0", "cuda:0", "cuda:1"])
                for replica in try fixture.state("d").replicas {
                    let told = try arguments(of: try #require(replica.processID))
                    let place = try #require(told.firstIndex(of: "--device"))
                    #expect(told[place + 1] == replica.device)
                }
                let body: [String: Any] = ["inputs": "hi", "parameters": ["max_new_tokens": 3]]
                #expect(try fixture.web.request("POST", "/deployments/d/generate", body).status == 200)
                // A replica answers before it says so in its log.
                try fixture.until("the log names the device") {
                    try fixture.pbctl("logs", "d").output.contains("(cuda:1 Simulated GPU, ")
                }
                #expect(try fixture.pbctl("status", "d").output.contains("  cuda:1  "))
                let status = try fixture.pbctl("server", "status").output
                #expect(status.contains("cuda:0 Simulated GPU, 1.1 GB, 2 replicas"), "\(status)")

                let before = Set(try fixture.state("d").replicas.map { "\($0.id) \($0.device ?? "-")" })
                try fixture.replaceServer(environment: environment)
                let after = Set(try fixture.state("d").replicas.map { "\($0.id) \($0.device ?? "-")" })
                #expect(after == before)
                // The one that ends makes room on its GPU, and the next one comes there.
                let lost = try #require(try fixture.state("d").replicas.first { $0.device == "cuda:1" })
                kill(try #require(lost.processID), SIGKILL)
                try fixture.until("another is ready") {
                    let state = try fixture.state("d")
                    return state.readyCount == 3 && !state.replicas.contains { $0.id == lost.id }
                }
                #expect(try devices(fixture, "d") == ["cuda:0", "cuda:0", "cuda:1"])
            }
        }

        @Test func aDeploymentShowsHowBusyItsGPUsAre() throws {
            try DeploymentFixture.run(startsServer: false) { fixture in
                // CUDA counts them the other way round than NVML.
                let environment = try twoGPUs([
                    "PBCTL_SIMULATOR_UTILIZATION": "20,60", "CUDA_VISIBLE_DEVICES": "1,0",
                ])
                try fixture.startServer(environment: environment)
                try fixture.deploy("d", replicas: 2)
                try fixture.until("both tell") { try fixture.state("d").replicas.allSatisfy { $0.utilization != nil } }
                let replicas = try fixture.state("d").replicas
                let shares = replicas.map { "\($0.device ?? "-") \($0.utilization ?? -1)" }.sorted()
                #expect(shares == ["cuda:0 0.6", "cuda:1 0.2"])
                // At least the 32 MiB that cuBLAS works in.
                #expect(replicas.allSatisfy { ($0.gpuMemoryBytes ?? 0) >= 32 << 20 })
                #expect(try fixture.pbctl("status", "d").output.contains("  cuda:0  60 %, "))
                let replica = try #require(replicas.first { $0.device == "cuda:1" })
                let metrics = try WebClient(url: "http://\(replica.endpoint ?? "")", folder: fixture.scratch)
                    .request("GET", "/metrics").body
                #expect(metrics.contains("\npbctl_gpu_utilization_ratio{device=\"cuda:1\"} 0.2\n"), "\(metrics)")
                #expect(metrics.contains("\npbctl_gpu_memory_total_bytes{device=\"cuda:1\"} 1073741824.0\n"))
                // The mean of both is the deployment's.
                try fixture.until("the history tells") {
                    let answer = try fixture.web.request("GET", "/api/v1/deployments/d/metrics?since=60")
                    return answer.body.contains("\"utilization\":0.4")
                }
            }
        }

        @Test func aDeploymentMayNameItsDeviceOrItsKind() throws {
            try DeploymentFixture.run(startsServer: false) { fixture in
                try fixture.startServer(environment: twoGPUs(["PBCTL_SIMULATOR_NAME": "NVIDIA H100 80GB HBM3"]))
                try fixture.deploy("own", ["customArgs": ["--device", "cuda:1"]])
                #expect(try devices(fixture, "own") == ["cuda:1"])
                try fixture.deploy("cpu", ["accelerator": "cpu"])
                #expect(try devices(fixture, "cpu") == ["cpu"])
                try fixture.deploy("kind", ["accelerator": "h100"])
                #expect(try devices(fixture, "kind") == ["cuda:0"])
                let refused = try fixture.pbctl(
                    "deploy", "other", "--model", fixture.tinyModel, "--set", "accelerator=a100_80gb_100")
                #expect(refused.status == 65 && refused.complainsOnOneLine, "\(refused.status) \(refused.error)")
                #expect(refused.error.contains("this machine has none of that kind, but NVIDIA H100"))
            }
        }

        @Test func whereTheGPUsCannotBeUsedReplicasRunOnTheProcessorAndTheServerSaysWhy() throws {
            try DeploymentFixture.run(startsServer: false) { fixture in
                let folder = try SimulatedGPU.folder(SimulatedGPU.names.filter { $0 != "libnvrtc.so.13" })
                try FileManager.default.createSymbolicLink(
                    atPath: folder + "/libnvrtc.so.13", withDestinationPath: "/lib/x86_64-linux-gnu/libm.so.6")
                try fixture.startServer(environment: SimulatedGPU.environment(folder))
                let said = try #require(fixture.server).errorText
                #expect(said.contains("no GPU is used: ") && said.contains("lacks nvrtcVersion"), "\(said)")
                try fixture.deploy("d")
                #expect(try devices(fixture, "d") == ["cpu"])
                #expect(try fixture.pbctl("server", "status").output.contains("none: "))
                let refused = try fixture.pbctl(
                    "deploy", "other", "--model", fixture.tinyModel, "--set", "accelerator=gpu")
                #expect(refused.error.contains("GPUs can't be used: "), "\(refused.error)")
            }
        }

        @Test func aDriverThatEndsWhoeverOpensItDoesNotEndTheServer() throws {
            try DeploymentFixture.run(startsServer: false) { fixture in
                let environment = try twoGPUs(["PBCTL_SIMULATOR_FAIL": "cuDeviceGetCount:1:-9"])
                try fixture.startServer(environment: environment)
                try fixture.deploy("d")
                #expect(try devices(fixture, "d") == ["cpu"])
                #expect(try #require(fixture.server).errorText.contains("ended by signal 9"))
            }
        }
    }
}
