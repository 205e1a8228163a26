import Foundation
import ServingAdapters
import ServingCPU
import ServingEngine
import ServingModelFiles
import ServingModels
import ServingTensors
import Testing

@testable import ServingCUDA

extension CUDABackendTests {
    /// The whole engine on the simulated device: many requests at once, beside the same engine on the processor.
    @Suite struct Engine {
        /// Writes tokens as numbers.
        private struct Numbers: TokenTextDecoding {
            mutating func append(_ id: TokenID) -> String { "\(id) " }
            mutating func finish() -> String { "" }
        }

        private func model() throws -> ModelDescription {
            try ModelDescription(folder: ModelFolder(path: CUDAFixtures.adaptedModel), contextLength: 64)
        }

        private func runner<Device: Backend>(
            _ description: ModelDescription, _ backend: Device, blockCount: Int
        ) throws -> DecoderRunner<Device> {
            var options = DecoderRunner<Device>.Options(
                keyValueBytes: 0, keyValueElement: .f32, maxBatchedTokens: 48)
            options.keyValueBytes = blockCount * DecoderRunner<Device>.bytesPerBlock(description.config, options)
            return try DecoderRunner(
                model: DecoderModel(config: description.config, weights: description.weights, backend: backend),
                backend: backend, options: options)
        }

        private func adapters(
            _ description: ModelDescription, _ uploader: some AdapterUploading
        ) throws -> [any ResidentAdapter] {
            try CUDAFixtures.adapters.prefix(4).map { folder in
                let weights = try AdapterFolder(path: folder).weights(
                    for: description.config, base: description.weights)
                return try uploader.upload(AdapterParts(weights, of: description.weights))
            }
        }

        /// Prompts with common beginnings, every kind of sampling, some with adapters.
        private func requests(_ adapters: [any ResidentAdapter]) -> [GenerationRequest] {
            let sampling: [SamplingParameters] = [
                .greedy, SamplingParameters(temperature: 0.9, topK: 20, seed: 1),
                SamplingParameters(temperature: 1.1, topP: 0.8, seed: 2),
                SamplingParameters(temperature: 1, minP: 0.1, repetitionPenalty: 1.2, seed: 3),
                SamplingParameters(temperature: 0.7, typicalP: 0.8, frequencyPenalty: 0.5, seed: 4),
            ]
            return (0..<20).map { number in
                let beginning = (0..<17).map { TokenID(3 + ($0 * 7 + number % 3) % 60) }
                var request = GenerationRequest(
                    id: "\(number)", promptTokenIDs: beginning + (0...number % 6).map { TokenID(70 + $0 + number) },
                    sampling: sampling[number % sampling.count])
                request.maxTokenCount = 5 + number % 9
                request.ignoresEndOfGeneration = true
                if number % 7 == 6 { request.logProbabilityCount = 2 }
                if number % 3 == 1 {
                    request.adapterKey = AdapterKey("adapter \(number % adapters.count)")
                    request.adapter = adapters[number % adapters.count]
                }
                return request
            }
        }

        @Test func answersAreThoseOfTheProcessor() async throws {
            let description = try model()
            // Too few blocks for all: sequences lose theirs and begin anew.
            let configuration = EngineConfiguration(maxRunningSequences: 12)
            let reference = try CPUBackend(threadCount: 2, float32: true)
            let uploader = reference.makeUploader()
            let expectedEngine = ServingEngine(
                runner: try runner(description, reference, blockCount: 9), configuration: configuration,
                makeDecoder: { _ in Numbers() })
            let expected = await expectedEngine.generateAll(requests(try adapters(description, uploader)))
            let backend = try SimulatedGPU.backend(.f32)
            let uploaded = try adapters(description, backend.makeUploader())
            let engine = ServingEngine(
                runner: try runner(description, backend, blockCount: 9), configuration: configuration,
                makeDecoder: { _ in Numbers() })
            for _ in 0..<2 {
                let found = await engine.generateAll(requests(uploaded))
                for (found, expected) in zip(found, expected) {
                    let (found, expected) = (try found.get(), try expected.get())
                    #expect(found.samples.map(\.tokenIDs) == expected.samples.map(\.tokenIDs))
                }
            }
            await engine.shutDown()
            await expectedEngine.shutDown()
            let statistics = engine.statistics()
            #expect(statistics.preemptionCount > 0 && statistics.prefixHitCount > 0 && statistics.failedStepCount == 0)
        }

        @Test func stepsThatRunAheadAnswerTheSame() async throws {
            let description = try model()
            let sampling: [SamplingParameters] = [
                .greedy, SamplingParameters(temperature: 0.9, topK: 20, seed: 1),
                SamplingParameters(temperature: 1.2, topP: 0.9, logitBias: [9: -3], seed: 2),
            ]
            /// Answers that end at their length, at a token that ends them, and at a text.
            func requests(_ adapters: [any ResidentAdapter]) -> [GenerationRequest] {
                (0..<9).map { number in
                    var request = GenerationRequest(
                        id: "\(number)", promptTokenIDs: (0...number).map { TokenID(20 + $0 * 3) },
                        sampling: sampling[number % sampling.count])
                    request.maxTokenCount = 40 - number
                    if number == 4 { request.stopTokenIDs = Set((0..<60).map { TokenID($0 * 5) }) }
                    if number == 7 { request.stopStrings = ["1", "2"] }
                    if number % 2 == 1 {
                        request.adapterKey = AdapterKey("adapter \(number % 4)")
                        request.adapter = adapters[number % 4]
                    }
                    return request
                }
            }
            let configuration = EngineConfiguration(maxRunningSequences: 6)
            let reference = try CPUBackend(threadCount: 2, float32: true)
            let expectedAdapters = try adapters(description, reference.makeUploader())
            let expectedEngine = ServingEngine(
                runner: try runner(description, reference, blockCount: 14), configuration: configuration,
                makeDecoder: { _ in Numbers() })
            let expected = await expectedEngine.generateAll(requests(expectedAdapters))
            let backend = try SimulatedGPU.backend(.f32)
            let uploaded = try adapters(description, backend.makeUploader())
            let engine = ServingEngine(
                runner: try runner(description, backend, blockCount: 14), configuration: configuration,
                makeDecoder: { _ in Numbers() })
            let found = await engine.generateAll(requests(uploaded))
            for (found, expected) in zip(found, expected) {
                let (found, expected) = (try found.get(), try expected.get())
                #expect(found.samples.map(\.tokenIDs) == expected.samples.map(\.tokenIDs))
                #expect(found.samples.map { $0.finish?.reason } == expected.samples.map { $0.finish?.reason })
            }
            await engine.shutDown()
            await expectedEngine.shutDown()
            let statistics = engine.statistics()
            #expect(statistics.aheadStepCount > 10 && statistics.failedStepCount == 0)
            #expect(statistics.generatedTokenCount == expectedEngine.statistics().generatedTokenCount)
        }

        @Test func memoryComesBack() async throws {
            let device = try SimulatedGPU.device()
            try await serveOnce()
            let free = try await settled(device, at: nil)
            for _ in 0..<2 { try await serveOnce() }
            #expect(try await settled(device, at: free) == free)
        }

        /// An engine with its model and adapters, from loading to the end.
        private func serveOnce() async throws {
            let description = try model()
            let backend = try SimulatedGPU.backend(.bf16)
            let uploaded = try adapters(description, backend.makeUploader())
            let engine = ServingEngine(
                runner: try runner(description, backend, blockCount: 60), makeDecoder: { _ in Numbers() })
            _ = await engine.generateAll(requests(uploaded))
            await engine.shutDown()
        }

        /// Free bytes once they are what is expected, or no longer change: the engine's thread ends by itself.
        private func settled(_ device: CUDADevice, at expected: Int?) async throws -> Int {
            var (free, quiet) = (try device.freeBytes(), 0)
            for _ in 0..<600 where free != expected && quiet < (expected == nil ? 10 : 600) {
                try await Task.sleep(for: .milliseconds(20))
                let now = try device.freeBytes()
                quiet = now == free ? quiet + 1 : 0
                free = now
            }
            return free
        }

        @Test func stepThatFailsFailsItsRequestsAlone() async throws {
            let description = try model()
            let backend = try SimulatedGPU.backend(.f32)
            let requests = Array(requests(try adapters(description, backend.makeUploader())).prefix(4))
            let engine = ServingEngine(
                runner: try runner(description, backend, blockCount: 60), makeDecoder: { _ in Numbers() })
            let expected = await engine.generateAll(requests)
            try await SimulatedGPU.with("PBCTL_SIMULATOR_FAIL", "cuMemcpyHtoDAsync_v2:3:2") {
                let found = await engine.generateAll(requests)
                #expect(
                    found.contains { result in
                        guard case .success(let output) = result else { return false }
                        return output.samples.contains { sample in
                            if case .failed(let text) = sample.finish?.reason { text.contains("GPU") } else { false }
                        }
                    })
            }
            let again = await engine.generateAll(requests)
            let ids = try again.map { try $0.get().samples.map(\.tokenIDs) }
            let expectedIDs = try expected.map { try $0.get().samples.map(\.tokenIDs) }
            #expect(ids == expectedIDs)
            await engine.shutDown()
        }
    }
}
