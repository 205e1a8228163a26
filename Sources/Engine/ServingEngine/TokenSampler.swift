public import ServingTensors

/// The engine's choice of one sequence's tokens, for those who compare it with a device's.
public struct TokenSampler {
    private let state: SamplerState

    /// A sequence whose prompt ends with `continuedTokenCount` tokens of its answer.
    public init(
        _ parameters: SamplingParameters, seed: UInt64, promptTokenIDs: [TokenID], continuedTokenCount: Int
    ) {
        var request = GenerationRequest(id: "", promptTokenIDs: promptTokenIDs, sampling: parameters)
        request.continuedTokenCount = continuedTokenCount
        state = SamplerState(request, seed: seed, sampleIndex: 0)
    }

    /// The token at a position of the sequence, from a row of scores, (V).
    public func choose(from row: [Float], position: Int) -> TokenDraw.Outcome {
        var row = row
        var sampler = Sampler()
        return row.withUnsafeMutableBufferPointer { scores in
            do throws(SamplingError) {
                return .token(try sampler.choose(from: scores, state: state, position: position).id)
            } catch { return error == .noCandidate ? .noCandidate : .invalidScore }
        }
    }

    /// The same choice for a device to make; nil where none can, since scores are forced.
    public func draw(row: Int, position: Int) -> TokenDraw? { state.draw(row: row, position: position) }
}
