import Glibc
import ServingTensors
import Testing

@testable import ServingEngine

@Suite struct SamplerTests {
    private func sample(
        _ scores: [Float], _ parameters: SamplingParameters, position: Int = 0, prompt: [TokenID] = [0],
        answer: [TokenID] = [], logProbabilityCount: Int? = nil, sampleIndex: Int = 0
    ) throws -> SampledToken {
        var request = GenerationRequest(id: "", promptTokenIDs: prompt, sampling: parameters)
        request.logProbabilityCount = logProbabilityCount
        var state = SamplerState(request, seed: parameters.seed ?? 1, sampleIndex: sampleIndex)
        for token in answer { state.history.append(token) }
        var sampler = Sampler()
        var row = scores
        return try row.withUnsafeMutableBufferPointer { row in
            try sampler.choose(from: row, state: state, position: position)
        }
    }

    /// How often each token is drawn at `count` positions.
    private func frequencies(
        _ scores: [Float], _ parameters: SamplingParameters, count: Int = 4000
    ) throws -> [Int] {
        var counts = [Int](repeating: 0, count: scores.count)
        for position in 0..<count {
            counts[Int(try sample(scores, parameters, position: position).id)] += 1
        }
        return counts
    }

    /// Chi-squared distance of counts from probabilities; tokens of probability 0 must not occur.
    private func distance(_ counts: [Int], _ probabilities: [Double]) -> Double {
        let total = Double(counts.reduce(0, +))
        return zip(counts, probabilities).reduce(0) { sum, pair in
            let expected = pair.1 * total
            if expected == 0 { return pair.0 == 0 ? sum : .infinity }
            return sum + (Double(pair.0) - expected) * (Double(pair.0) - expected) / expected
        }
    }

    private func softmax(_ scores: [Float], temperature: Double = 1) -> [Double] {
        let weights = scores.map { exp(Double($0) / temperature) }
        return weights.map { $0 / weights.reduce(0, +) }
    }

    private let scores: [Float] = [0.5, 2, -1, 1.5, 0, 1, -3, 2.5]

    // MARK: Distribution

    /// 7 degrees of freedom: above 24.3 in one of a thousand draws; the seed is fixed.
    @Test(arguments: [0.5, 1, 2] as [Float])
    func drawsFollowTheSoftmax(temperature: Float) throws {
        let counts = try frequencies(scores, SamplingParameters(temperature: temperature, seed: 7))
        #expect(distance(counts, softmax(scores, temperature: Double(temperature))) < 24.3)
    }

    @Test func restrictionsLeaveExactlyTheRightTokensInProportion() throws {
        let all = softmax(scores)
        func rest(_ kept: Set<Int>) -> [Double] {
            let sum = kept.reduce(0) { $0 + all[$1] }
            return all.indices.map { kept.contains($0) ? all[$0] / sum : 0 }
        }
        // In order of likelihood: 7 .402, 1 .244, 3 .148, 5 .090, 0 .054, 4 .033, 2 .012, 6 .002.
        let cases: [(SamplingParameters, Set<Int>)] = [
            (SamplingParameters(topK: 3, seed: 1), [7, 1, 3]),
            (SamplingParameters(topP: 0.6, seed: 2), [7, 1]),
            (SamplingParameters(topP: 0.7, seed: 3), [7, 1, 3]),
            (SamplingParameters(topP: 0.01, seed: 4), [7]),
            (SamplingParameters(minP: 0.2, seed: 5), [7, 1, 3, 5]),
            (SamplingParameters(minP: 1, seed: 6), [7]),
            // After top-k the shares are .507, .307, .186.
            (SamplingParameters(topK: 3, topP: 0.8, seed: 7), [7, 1]),
            (SamplingParameters(topK: 5, topP: 0.9, minP: 0.5, seed: 8), [7, 1]),
        ]
        for (parameters, kept) in cases {
            #expect(distance(try frequencies(scores, parameters), rest(kept)) < 24.3, "\(parameters)")
        }
    }

    @Test func typicalKeepsTheTokensNearestTheEntropy() throws {
        let all = softmax(scores)
        let entropy = -all.reduce(0) { $0 + $1 * log($1) }
        for share in [0.1, 0.3, 0.5, 0.8, 0.95] {
            var kept = Set<Int>()
            var sum = 0.0
            for token in all.indices.sorted(by: { abs(-log(all[$0]) - entropy) < abs(-log(all[$1]) - entropy) })
            where sum < share {
                kept.insert(token)
                sum += all[token]
            }
            let expected = all.indices.map { kept.contains($0) ? all[$0] / sum : 0 }
            let counts = try frequencies(scores, SamplingParameters(typicalP: Float(share), seed: 11))
            #expect(distance(counts, expected) < 24.3, "typicalP \(share)")
        }
    }

    /// The restrictions of a large row against a plain computation with a full sort.
    @Test func largeRowsAreCutWhereAFullSortCutsThem() throws {
        var random = SplitMix(state: 5)
        let large = (0..<5003).map { _ in
            Float.random(in: -4...4, using: &random) + Float.random(in: -4...4, using: &random)
        }
        let all = softmax(large)
        let order = all.indices.sorted { (-all[$0], $0) < (-all[$1], $1) }
        for share in [0.05, 0.5, 0.9, 0.99] {
            var kept = Set<TokenID>()
            var sum = 0.0
            for token in order where sum < share {
                kept.insert(TokenID(token))
                sum += all[token]
            }
            var drawn = Set<TokenID>()
            for position in 0..<300 {
                drawn.insert(
                    try sample(large, SamplingParameters(topP: Float(share), seed: 2), position: position).id)
            }
            #expect(drawn.isSubset(of: kept), "topP \(share)")
        }
        for k in [2, 17, 1000, 5002] {
            let kept = Set(order.prefix(k).map { TokenID($0) })
            let found = large.withUnsafeBufferPointer { LogitScan.highest(k, of: $0) }
            #expect(found == order.prefix(k).map { TokenID($0) })
            let token = try sample(large, SamplingParameters(topK: k, seed: 9), position: k).id
            #expect(kept.contains(token))
        }
    }

    @Test func filtersThatKeepEverythingChangeNoDraw() throws {
        for position in 0..<200 {
            let plain = try sample(scores, SamplingParameters(seed: 3), position: position).id
            let filtered = SamplingParameters(topK: 8, topP: 0.99999994, minP: 1e-6, typicalP: 0.99999994, seed: 3)
            #expect(try sample(scores, filtered, position: position).id == plain)
        }
    }

    // MARK: Greedy and extremes

    @Test(arguments: [1, 7, 31, 32, 33, 1024, 1025, 4999])
    func greedyTakesTheLowestIDOfEquals(count: Int) throws {
        var random = SplitMix(state: UInt64(count))
        for _ in 0..<20 {
            var row = (0..<count).map { _ in Float(Int.random(in: -20...3, using: &random)) }
            let best = try #require(row.max())
            #expect(try sample(row, .greedy).id == TokenID(row.firstIndex(of: best) ?? -1))
            #expect(try sample(row, SamplingParameters(topK: 1)).id == TokenID(row.firstIndex(of: best) ?? -1))
            row[Int.random(in: 0..<count, using: &random)] = .nan
            row[count / 2] = 9
            #expect(try sample(row, .greedy).id == TokenID(count / 2))
        }
    }

    @Test(arguments: [Float.leastNonzeroMagnitude, 1e-30, 1e-6, 3e38])
    func extremeTemperaturesDrawATokenThatExists(temperature: Float) throws {
        let id = try sample(scores + [-.infinity], SamplingParameters(temperature: temperature, seed: 4)).id
        if temperature < 1 { #expect(id == 7) } else { #expect(id < 8) }
    }

    @Test func rowsWithoutAChoiceAreAnError() {
        let none = [Float](repeating: -.infinity, count: 5)
        #expect(throws: SamplingError.noCandidate) { try sample(none, .greedy) }
        #expect(throws: SamplingError.noCandidate) { try sample(none, SamplingParameters()) }
        #expect(throws: SamplingError.invalidScore) { try sample([0, .nan, 1], SamplingParameters()) }
        #expect(throws: SamplingError.invalidScore) { try sample([0, .infinity, 1], SamplingParameters()) }
    }

    // MARK: Logits processors

    /// Log probabilities after processing, seen through a greedy choice between a token and one of known score.
    @Test func penaltiesFollowTheirFormulas() throws {
        let row: [Float] = [2, -1, 3, 0.5]
        func processed(_ parameters: SamplingParameters, prompt: [TokenID], answer: [TokenID]) -> [Float] {
            var history = PenaltyHistory(parameters, promptTokenIDs: prompt, continuedTokenCount: 0)
            for token in answer { history.append(token) }
            var copy = row
            copy.withUnsafeMutableBufferPointer { history.apply(to: $0) }
            return copy
        }
        #expect(
            processed(SamplingParameters(repetitionPenalty: 2), prompt: [0, 1, 1], answer: [3]) == [1, -2, 3, 0.25])
        #expect(
            processed(SamplingParameters(repetitionPenalty: 2, repetitionWindow: 2), prompt: [0, 1], answer: [3])
                == [2, -2, 3, 0.25])
        #expect(
            processed(SamplingParameters(presencePenalty: 0.5, frequencyPenalty: 0.25), prompt: [0], answer: [2, 2, 3])
                == [2, -1, 2, -0.25])
        #expect(
            processed(
                SamplingParameters(repetitionPenalty: 2, presencePenalty: 1), prompt: [0], answer: [2])
                == [1, -1, 0.5, 0.5])
    }

    @Test func biasForcesBansAndShifts() throws {
        let row: [Float] = [2, -1, 3, 0.5]
        func greedy(_ bias: [TokenID: Float]) throws -> TokenID {
            try sample(row, SamplingParameters(temperature: 0, logitBias: bias)).id
        }
        #expect(try greedy([1: 100]) == 1)
        #expect(try greedy([2: -100]) == 0)
        #expect(try greedy([2: -.infinity, 0: -.infinity]) == 3)
        #expect(try greedy([1: .infinity]) == 1)
        // Among several forced tokens their own scores decide.
        #expect(try greedy([1: .infinity, 3: .infinity]) == 3)
        #expect(try greedy([0: 0.9]) == 2)
        #expect(try greedy([0: 1.1]) == 0)
        for position in 0..<50 {
            let parameters = SamplingParameters(logitBias: [1: .infinity, 2: -.infinity], seed: 1)
            #expect(try sample(row, parameters, position: position).id == 1)
        }
    }

    @Test func logProbabilitiesAreTheModelsOwn() throws {
        let parameters = SamplingParameters(temperature: 0, logitBias: [6: .infinity])
        let token = try sample(scores, parameters, logProbabilityCount: 2)
        let expected = softmax(scores).map { Float(log($0)) }
        #expect(token.id == 6)
        #expect(abs((token.logProbability ?? 0) - expected[6]) < 1e-5)
        #expect(token.alternatives.map(\.id) == [7, 1])
        #expect(abs(token.alternatives[1].logProbability - expected[1]) < 1e-5)
    }

    // MARK: Random numbers

    /// Known answers of the Random123 distribution (`kat_vectors`).
    @Test func philoxGivesTheKnownAnswers() {
        #expect(
            PhiloxGenerator.words(counter: .zero, key: .zero)
                == SIMD4(0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8))
        #expect(
            PhiloxGenerator.words(counter: SIMD4(repeating: .max), key: SIMD2(repeating: .max))
                == SIMD4(0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd))
        #expect(
            PhiloxGenerator.words(
                counter: SIMD4(0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344),
                key: SIMD2(0xa409_3822, 0x299f_31d0))
                == SIMD4(0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1))
    }

    @Test func samplesAndPositionsDrawDifferentNumbers() {
        var seen = Set<Double>()
        for seed in [0, 1, UInt64.max] {
            for sample in 0..<4 {
                for position in 0..<50 {
                    let number = PhiloxGenerator.uniform(seed: seed, sampleIndex: sample, position: position)
                    #expect(number >= 0 && number < 1)
                    seen.insert(number)
                }
            }
        }
        #expect(seen.count == 600)
    }
}
