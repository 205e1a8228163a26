import CCUDAHeaders
import Foundation
import ServingTensors
import Testing

@testable import ServingCUDA
@testable import ServingEngine

extension CUDABackendTests {
    /// Tokens chosen on the device are those that the engine's sampler chooses.
    @Suite struct Sampling {
        /// Seeded numbers.
        private struct Random {
            var state: UInt64

            mutating func uniform() -> Double {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return Double(state >> 11) * 0x1p-53
            }

            /// A row of scores as models give them: most far below a few.
            mutating func row(_ count: Int) -> [Float] {
                (0..<count).map { _ in
                    let (a, b) = (max(uniform(), 1e-12), uniform())
                    return Float(3 * (-2 * log(a)).squareRoot() * cos(2 * .pi * b))
                }
            }
        }

        private static let parameters: [SamplingParameters] = [
            .greedy,
            SamplingParameters(),
            SamplingParameters(temperature: 0.7, topK: 40),
            SamplingParameters(temperature: 1.3, topP: 0.9),
            SamplingParameters(temperature: 1, topK: 50, topP: 0.8),
            SamplingParameters(temperature: 0.8, minP: 0.05),
            SamplingParameters(temperature: 1, typicalP: 0.7),
            SamplingParameters(temperature: 1.5, topK: 200, topP: 0.95, minP: 0.01, typicalP: 0.9),
            SamplingParameters(temperature: 1, topK: 1),
            SamplingParameters(temperature: 0.01, topP: 0.999),
            SamplingParameters(
                temperature: 1, topP: 0.9, repetitionPenalty: 1.3, presencePenalty: 0.5, frequencyPenalty: 0.2,
                logitBias: [3: 5, 7: -.infinity, 11: -2]),
            SamplingParameters(temperature: 0, repetitionPenalty: 1.8, repetitionWindow: 4),
        ]

        private func states(_ parameters: [SamplingParameters]) -> [SamplerState] {
            parameters.enumerated().map { index, parameters in
                var request = GenerationRequest(
                    id: "\(index)", promptTokenIDs: [1, 2, 3, 3, 9, 14, 14, 200], sampling: parameters)
                request.continuedTokenCount = 4
                return SamplerState(request, seed: UInt64(index) &* 77, sampleIndex: 0)
            }
        }

        private func outcomes(
            _ rows: [[Float]], _ states: [SamplerState], position: Int
        ) throws -> [TokenDraw.Outcome] {
            let backend = try SimulatedGPU.backend(.bf16)
            let width = rows[0].count
            let logits = try backend.makeActivation(rowCapacity: rows.count, width: width)
            let driver = backend.device.libraries.driver
            for (index, row) in rows.enumerated() {
                try driver.check(
                    driver.copy_to_device(
                        logits.rows + UInt64(index * width * 4), row, width * 4, backend.device.stream), "copying")
            }
            logits.rowCount = rows.count
            let draws = try states.indices.map { try #require(states[$0].draw(row: $0, position: position)) }
            return try backend.draw(draws, from: logits)
        }

        @Test(arguments: [1000, 1023, 4099]) func choosesAsTheHost(_ vocabulary: Int) throws {
            var random = Random(state: UInt64(vocabulary))
            var sampler = Sampler()
            let states = states(Self.parameters)
            for position in 8..<12 {
                let rows = states.map { _ in random.row(vocabulary) }
                let found = try outcomes(rows, states, position: position)
                for (index, state) in states.enumerated() {
                    var row = rows[index]
                    let expected = try row.withUnsafeMutableBufferPointer {
                        try sampler.choose(from: $0, state: state, position: position)
                    }
                    #expect(found[index] == .token(expected.id), "\(Self.parameters[index])")
                }
            }
        }

        @Test func equalScoresAreCutByTheirOrder() throws {
            // Many ties: which of them stay decides which can be drawn.
            let row = (0..<2000).map { Float($0 % 4) }
            var sampler = Sampler()
            let parameters = [
                SamplingParameters(temperature: 1, topK: 5), SamplingParameters(temperature: 1, topP: 0.2),
                SamplingParameters(temperature: 1, typicalP: 0.3), SamplingParameters(temperature: 0),
            ]
            for position in 8..<40 {
                let states = states(parameters)
                let found = try outcomes(states.map { _ in row }, states, position: position)
                for (index, state) in states.enumerated() {
                    var copy = row
                    let expected = try copy.withUnsafeMutableBufferPointer {
                        try sampler.choose(from: $0, state: state, position: position)
                    }
                    #expect(found[index] == .token(expected.id), "\(parameters[index]) at \(position)")
                }
            }
        }

        @Test func rowsWithoutChoiceAreTold() throws {
            let count = 300
            var (none, infinite, broken) = (
                [Float](repeating: -.infinity, count: count), [Float](repeating: 0, count: count),
                [Float](repeating: 0, count: count)
            )
            none[5] = .nan
            infinite[7] = .infinity
            broken[9] = .nan
            let states = states([
                SamplingParameters(), SamplingParameters(), SamplingParameters(), .greedy,
                SamplingParameters(temperature: 1, topK: 300),
            ])
            let found = try outcomes([none, infinite, broken, infinite, none], states, position: 8)
            #expect(
                found == [.noCandidate, .invalidScore, .invalidScore, .token(7), .noCandidate])
        }
    }
}
