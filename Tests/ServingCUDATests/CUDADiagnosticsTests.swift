import ServingTensors
import Testing

@testable import ServingCUDA
@testable import ServingDiagnostics

extension CUDABackendTests {
    /// The self-test and the benchmark, on the simulated device.
    @Suite struct Diagnostics {
        @Test func selfTestFindsAllGood() throws {
            var findings: [GPUSelfTest.Finding] = []
            var test = try GPUSelfTest(SimulatedGPU.device(), cacheFolder: SimulatedGPU.cache)
            test.elements = [.bf16]
            test.vocabularies = [1000]
            let isGood = try test.run(model: nil) { findings.append($0) }
            for finding in findings where !finding.isGood {
                Issue.record("\(finding.element) \(finding.name): \(finding.error) \(finding.failure ?? "")")
            }
            #expect(isGood && findings.count == GPUSelfTest.allChecks.count + 1)
        }

        @Test func selfTestTellsWhatFails() throws {
            // A launch that fails is told with its check, and the others go on.
            var test = try GPUSelfTest(SimulatedGPU.device(), cacheFolder: SimulatedGPU.cache)
            test.checks = [NormCheck(rows: 2, width: 64), GateCheck(kind: .silu), NormCheck(rows: 3, width: 64)]
            test.elements = [.f32]
            test.vocabularies = []
            try SimulatedGPU.with("PBCTL_SIMULATOR_FAIL", "cuLaunchKernel:5:701") {
                var findings: [GPUSelfTest.Finding] = []
                let isGood = try test.run(model: nil) { findings.append($0) }
                #expect(!isGood && findings.map(\.isGood) == [true, false, true])
                #expect(findings[1].failure?.contains("701") == true, "\(findings)")
            }
        }

        @Test func benchmarkMeasuresEveryCell() throws {
            var options = CUDABackend.Options()
            options.cacheFolder = SimulatedGPU.cache
            let bench = try GPUBenchmark(
                SimulatedGPU.device(), options, .tiny, contextLength: 128, keyValueBytes: 8 << 20, promptTokens: 64)
            for adapters in [0, 2] {
                let found = try bench.decode(
                    .init(batch: 3, context: 30, adapterCount: adapters, rank: 8), stepCount: 2, repeats: 1)
                #expect(found.tokensPerSecond > 0 && found.milliseconds > 0)
            }
            #expect(try bench.prefill(tokenCount: 40, repeats: 1).tokensPerSecond > 0)
            let tooMuch = #expect(throws: CUDAError.self) {
                _ = try bench.decode(.init(batch: 64, context: 1_000_000), stepCount: 2, repeats: 1)
            }
            #expect(tooMuch?.code == .outOfMemory)
        }
    }
}
