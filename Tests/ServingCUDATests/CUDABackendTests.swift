import Foundation
import ServingAdapters
import ServingCPU
import ServingModels
import ServingTensors
import Testing

@testable import ServingCUDA

/// The backend on the simulated driver, from the library's loading to logits.
@Suite("The CUDA backend, simulated", .serialized) struct CUDABackendTests {
    @Test(arguments: CUDAFixtures.models) func answersAsTheReference(_ path: String) throws {
        let expected = try CUDAFixtures.Expectation(path)
        let model = try SteppedModel(CUDAFixtures.model(path), on: SimulatedGPU.backend(.f32), isExact: true)
        let found = try model.logits(of: expected.ids, at: expected.positions)
        #expect(largestDifference(found, expected.logits) <= 1e-3)
    }

    @Test(arguments: CUDAFixtures.models, [WeightElement.bf16, .f16])
    func answersNearlySoInSixteenBits(_ path: String, _ element: WeightElement) throws {
        let expected = try CUDAFixtures.Expectation(path)
        let model = try SteppedModel(CUDAFixtures.model(path), on: SimulatedGPU.backend(element), isExact: false)
        let found = try model.logits(of: expected.ids, at: expected.positions)
        let difference = largestDifference(found, expected.logits)
        // Eight bits and eleven: what is lost differs by a factor of eight.
        #expect(difference <= (element == .bf16 ? 0.24 : 0.03), "\(difference)")
    }

    @Test func chunksGiveWhatOneStepGives() throws {
        let path = try #require(CUDAFixtures.models.first)
        let expected = try CUDAFixtures.Expectation(path)
        let model = try SteppedModel(CUDAFixtures.model(path), on: SimulatedGPU.backend(.f32), isExact: true)
        let whole = try model.logits(of: expected.ids)
        let count = expected.ids.count
        let chunked = try model.logits(of: expected.ids, chunks: [1, 3, count - 5, 1])
        #expect(whole == chunked)
    }

    @Test(arguments: CUDAFixtures.adapters) func adaptersAnswerAsPEFT(_ path: String) throws {
        let description = try CUDAFixtures.model(CUDAFixtures.adaptedModel)
        let expected = try CUDAFixtures.Expectation(path)
        let backend = try SimulatedGPU.backend(.f32)
        let model = try SteppedModel(description, on: backend, isExact: true)
        let weights = try AdapterFolder(path: path).weights(for: description.config, base: description.weights)
        let adapter = try backend.makeUploader().upload(AdapterParts(weights, of: description.weights))
        let found = try model.logits(of: expected.ids, at: expected.positions, adapter: adapter)
        let difference = largestDifference(found, expected.logits)
        #expect(difference <= 2e-3, "\(difference)")
    }

    @Test func sequencesWithDifferentAdaptersShareAStep() throws {
        let description = try CUDAFixtures.model(CUDAFixtures.adaptedModel)
        let backend = try SimulatedGPU.backend(.f32)
        let model = try SteppedModel(description, on: backend, isExact: true)
        let ids = try CUDAFixtures.Expectation(#require(CUDAFixtures.adapters.first)).ids.prefix(16)
        let adapters: [(any ResidentAdapter)?] =
            try [nil]
            + CUDAFixtures.adapters.prefix(3).map { path in
                let weights = try AdapterFolder(path: path).weights(
                    for: description.config, base: description.weights)
                return try backend.makeUploader().upload(AdapterParts(weights, of: description.weights))
            }
        let alone = try adapters.map { try model.logits(of: Array(ids), at: [ids.count - 1], adapter: $0)[0] }
        var batch = ForwardBatch(tokenIDs: [], sequences: [], logitTokenIndices: [])
        for (index, adapter) in adapters.enumerated() {
            let start = batch.tokenIDs.count
            batch.tokenIDs += ids
            batch.sequences.append(
                .init(
                    tokenRange: start..<start + ids.count, firstPosition: 0,
                    blockTable: [BlockID(2 * index), BlockID(2 * index + 1)], adapter: adapter))
            batch.logitTokenIndices.append(start + ids.count - 1)
        }
        let together = try model.runner.forward(batch)
        for index in adapters.indices { #expect(Array(together[index]) == alone[index]) }
    }
}
