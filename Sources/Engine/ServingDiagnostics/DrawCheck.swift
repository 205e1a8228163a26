import ServingCUDA
import ServingEngine
import ServingTensors

/// Tokens chosen on a GPU, beside those that the engine's sampler chooses.
struct DrawCheck {
    let vocabularyCount: Int
    var name: String { "choosing tokens of \(vocabularyCount)" }

    private static let parameters: [SamplingParameters] = [
        .greedy, SamplingParameters(), SamplingParameters(temperature: 0.7, topK: 40),
        SamplingParameters(temperature: 1.3, topP: 0.9), SamplingParameters(temperature: 0.8, minP: 0.05),
        SamplingParameters(temperature: 1, typicalP: 0.7),
        SamplingParameters(
            temperature: 1, topK: 100, topP: 0.95, repetitionPenalty: 1.2, presencePenalty: 0.5,
            logitBias: [3: 2, 5: -.infinity]),
    ]

    /// The share of tokens that differ.
    func difference(_ device: CUDABackend) throws -> Double {
        var random = RandomNumbers(seed: 6)
        var (different, count) = (0, 0)
        for position in 10..<14 {
            let rows = random.tensor("logits", [Self.parameters.count, vocabularyCount], scale: 12)
            let logits = try device.rows(rows)
            let samplers = Self.parameters.enumerated().map { index, parameters in
                TokenSampler(
                    parameters, seed: UInt64(index), promptTokenIDs: [1, 2, 3, 4, 4], continuedTokenCount: 2)
            }
            let draws = samplers.enumerated().compactMap { $1.draw(row: $0, position: position) }
            let found = try device.draw(draws, from: logits)
            for (index, sampler) in samplers.enumerated() {
                let bytes = rows.rows(index..<index + 1).bytes
                let row = (0..<vocabularyCount).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
                count += 1
                if found[index] != sampler.choose(from: row, position: position) { different += 1 }
            }
        }
        return Double(different) / Double(count)
    }
}
