import Foundation
import ServingAdapters
import ServingCPU
import ServingModels
import ServingTensors
import Testing

@testable import ServingCUDA

extension CUDABackendTests {
    /// Steps as the engine makes them: prompts in chunks, then a token a sequence, recorded and replayed.
    @Suite struct Decoding {
        private func model(
            _ path: String, _ element: WeightElement = .f16, _ change: (inout CUDABackend.Options) -> Void = { _ in }
        ) throws -> SteppedModel<CUDABackend> {
            try SteppedModel(
                CUDAFixtures.model(path), on: SimulatedGPU.backend(element, change), isExact: element == .f32)
        }

        /// Seeded tokens of a model's vocabulary.
        private func tokens(_ count: Int, _ model: SteppedModel<CUDABackend>) -> [TokenID] {
            let vocabulary = UInt64(model.runner.limits.vocabularyCount)
            var state: UInt64 = 7
            return (0..<count).map { _ in
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return TokenID((state >> 33) % vocabulary)
            }
        }

        @Test(arguments: CUDAFixtures.models, [WeightElement.f32, .f16])
        func tokenByTokenGivesWhatOneStepGives(_ path: String, _ element: WeightElement) throws {
            let expected = try CUDAFixtures.Expectation(path)
            let model = try model(path, element)
            let whole = try model.logits(of: expected.ids)
            let count = expected.ids.count
            let chunks = [count / 2 - 2, 3] + [Int](repeating: 1, count: count - count / 2 - 1)
            #expect(try model.logits(of: expected.ids, chunks: chunks) == whole)
            #expect(model.runner.backend.recordings.count > 0)
        }

        @Test func recordedStepsGiveWhatLaunchedOnesGive() throws {
            let path = CUDAFixtures.adaptedModel
            let chunks = [4] + [Int](repeating: 1, count: 12)
            let recorded = try model(path)
            let launched = try model(path) { $0.recordsSteps = false }
            let ids = tokens(16, recorded)
            #expect(
                try recorded.logits(of: ids, chunks: chunks) == launched.logits(of: ids, chunks: chunks))
            #expect(launched.runner.backend.recordings.count == 0)
        }

        @Test(arguments: [CUDABackend.Options.Products.own, .cublas], [WeightElement.f32, .bf16])
        func otherWaysToMultiplyGiveTheSame(
            _ products: CUDABackend.Options.Products, _ element: WeightElement
        ) throws {
            let path = CUDAFixtures.adaptedModel
            let chunks = [4] + [Int](repeating: 1, count: 8)
            let tried = try model(path, element)
            let other = try model(path, element) { $0.products = products }
            let ids = tokens(12, tried)
            let difference = largestDifference(
                try tried.logits(of: ids, chunks: chunks), try other.logits(of: ids, chunks: chunks))
            #expect(difference <= (element == .f32 ? 1e-4 : 0.1), "\(difference)")
        }

        @Test(arguments: [false, true]) func sequencesDecodeTogetherAsAlone(_ isDeterministic: Bool) throws {
            let path = CUDAFixtures.adaptedModel
            let model = try model(path) { $0.isDeterministic = isDeterministic }
            let backend = model.runner.backend
            let uploaded = try CUDAFixtures.adapters.map { folder in
                let weights = try AdapterFolder(path: folder).weights(
                    for: model.description.config, base: model.description.weights)
                return try backend.makeUploader().upload(AdapterParts(weights, of: model.description.weights))
            }
            let adapters: [(any ResidentAdapter)?] = [nil] + uploaded
            let ids = tokens(24, model)
            let alone = try adapters.map { try model.logits(of: ids, adapter: $0) }
            for (index, adapter) in adapters.enumerated() {
                _ = try model.runner.forward(batch(Array(ids[..<8]), at: 0, [index], [adapter]))
            }
            for position in 8..<ids.count {
                let all = Array(adapters.indices)
                let rows = try model.runner.forward(
                    batch([TokenID](repeating: ids[position], count: all.count), at: position, all, adapters))
                for index in all {
                    let difference = largestDifference([Array(rows[index])], [alone[index][position]])
                    // A long run's adapters are done by whole products, in another order.
                    #expect(difference <= (isDeterministic ? 0 : 0.1), "\(index) at \(position): \(difference)")
                }
            }
        }

        /// An adapter of the head, by low rank, on some rows and another on others: recorded steps must take each step's.
        @Test func headAdaptersOfRecordedStepsAreThoseOfTheStep() throws {
            let model = try model(CUDAFixtures.adaptedModel, .f32)
            let backend = model.runner.backend
            let (config, weights) = (model.description.config, model.description.weights)
            let slots = AdapterSlots(layerCount: config.layerCount)
            let adapters = try (1...2).map { number in
                var parts = AdapterParts(linearSlotCount: slots.linearCount)
                let update = LowRankUpdate(
                    loraA: StoredTensor(
                        name: "A", shape: [2, config.hiddenSize],
                        values: (0..<2 * config.hiddenSize).map { Float(($0 * 7 * number) % 11 - 5) * 0.05 }),
                    loraB: StoredTensor(
                        name: "B", shape: [config.vocabularyCount, 2],
                        values: (0..<2 * config.vocabularyCount).map { Float(($0 * 3) % (5 + number) - 2) }),
                    scaling: 1)
                parts.linears = [
                    .init(
                        slot: slots.head, update: LinearUpdate(lowRank: update), weight: weights.head.weight,
                        bias: nil)
                ]
                return try backend.makeUploader().upload(parts)
            }
            let alone = try ([nil] + adapters).map { try model.logits(of: [5], adapter: $0)[0] }
            // The same number of rows each time, with the adapters on others; the second time is recorded.
            for counts in [(20, 0), (20, 0), (17, 3), (2, 18), (0, 20), (9, 9)] {
                var batch = ForwardBatch(
                    tokenIDs: [TokenID](repeating: 5, count: 20), sequences: [], logitTokenIndices: Array(0..<20))
                let kinds = (0..<20).map { $0 < counts.0 ? 1 : $0 < counts.0 + counts.1 ? 2 : 0 }
                batch.sequences = (0..<20).map {
                    .init(
                        tokenRange: $0..<$0 + 1, firstPosition: 0, blockTable: [BlockID($0)],
                        adapter: kinds[$0] == 0 ? nil : adapters[kinds[$0] - 1])
                }
                let rows = try model.runner.forward(batch)
                for (row, kind) in kinds.enumerated() {
                    #expect(largestDifference([Array(rows[row])], [alone[kind]]) <= 1e-4, "\(counts), row \(row)")
                }
            }
            #expect(backend.recordings.count > 0)
        }

        /// Tokens, one run of all or one each for sequences that have two blocks of their own.
        private func batch(
            _ ids: [TokenID], at position: Int, _ sequences: [Int], _ adapters: [(any ResidentAdapter)?]
        ) -> ForwardBatch {
            var batch = ForwardBatch(tokenIDs: ids, sequences: [], logitTokenIndices: Array(ids.indices))
            let count = ids.count / sequences.count
            for (place, sequence) in sequences.enumerated() {
                batch.sequences.append(
                    .init(
                        tokenRange: place * count..<(place + 1) * count, firstPosition: position,
                        blockTable: [BlockID(2 * sequence), BlockID(2 * sequence + 1)], adapter: adapters[place]))
            }
            return batch
        }

        @Test(arguments: CUDAFixtures.models)
        func longContextsAnswerAsOnTheProcessor(_ path: String) throws {
            let model = try model(path)
            let ids = tokens(700, model)
            let reference = try SteppedModel(
                CUDAFixtures.model(path), on: CPUBackend(threadCount: 2, float32: true), isExact: true)
            let chunks = [128, 128, 128, 128, 128, 57, 1, 1, 1]
            let positions = [0, 255, 256, 300, 511, 640, 696, 697, 698, 699]
            let found = try model.logits(of: ids, at: positions, chunks: chunks)
            let expected = try reference.logits(of: ids, at: positions, chunks: chunks)
            let difference = largestDifference(found, expected)
            #expect(difference <= 0.06, "\(difference)")
        }

        @Test func resultsDoNotDependOnTheDevicesSize() throws {
            // Whether spans are merged by one block or by a kernel of its own is chosen by the device's size.
            let path = CUDAFixtures.adaptedModel
            let model = try model(path)
            let ids = tokens(600, model)
            let chunks = [128, 128, 128, 128, 84, 1, 1, 1, 1]
            let small = try model.logits(of: ids, at: [300, 599], chunks: chunks)
            try SimulatedGPU.with("PBCTL_SIMULATOR_MULTIPROCESSORS", "1000") {
                let device = try CUDADevice(model.runner.backend.device.libraries, ordinal: 0)
                var options = CUDABackend.Options()
                options.element = .f16
                options.cacheFolder = SimulatedGPU.cache
                let large = try SteppedModel(
                    CUDAFixtures.model(path), on: CUDABackend(device, options), isExact: false)
                #expect(try large.logits(of: ids, at: [300, 599], chunks: chunks) == small)
            }
        }
    }
}
