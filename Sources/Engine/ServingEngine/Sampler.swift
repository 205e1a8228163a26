import ServingTensors

/// Why no token could be chosen from a row of logits.
enum SamplingError: Error, Equatable, CustomStringConvertible {
    /// Every score is -infinity or not a number.
    case noCandidate
    /// A score is not a number, or +infinity.
    case invalidScore

    var description: String {
        switch self {
        case .noCandidate: "no token can be chosen: every score is -infinity or not a number"
        case .invalidScore: "the model returned a score that is infinite or not a number"
        }
    }
}

/// What one sequence brings to the sampler.
struct SamplerState {
    let parameters: SamplingParameters
    let seed: UInt64
    let sampleIndex: Int
    let logProbabilityCount: Int?
    /// The bias in order of token ids; tokens that must be chosen, when there are such, apart.
    let bias: [(token: TokenID, value: Float)]
    let forced: [TokenID]
    var history: PenaltyHistory

    init(_ request: GenerationRequest, seed: UInt64, sampleIndex: Int) {
        parameters = request.sampling
        self.seed = seed
        self.sampleIndex = sampleIndex
        logProbabilityCount = request.logProbabilityCount
        let sorted = request.sampling.logitBias.sorted { $0.key < $1.key }
        bias = sorted.filter { $0.value != .infinity }.map { ($0.key, $0.value) }
        forced = sorted.filter { $0.value == .infinity }.map(\.key)
        history = PenaltyHistory(
            request.sampling, promptTokenIDs: request.promptTokenIDs, continuedTokenCount: request.continuedTokenCount)
    }

    /// Whether scores differ from the model's own before the temperature.
    var changesScores: Bool { !bias.isEmpty || !forced.isEmpty || history.isActive }

    /// Whether the choice of a token depends on none that came after the prompt.
    var isWithoutHistory: Bool { logProbabilityCount == nil && forced.isEmpty && !history.isActive }

    /// The choice of the token at `position` of the sequence as a device makes it; nil where the host must, since it
    /// needs the row.
    func draw(row: Int, position: Int) -> TokenDraw? {
        guard logProbabilityCount == nil, forced.isEmpty else { return nil }
        return TokenDraw(
            row: row, adjustments: changesScores ? history.adjustments(bias) : [],
            temperature: parameters.temperature, topK: parameters.topK, topP: parameters.topP,
            minP: parameters.minP, typicalP: parameters.typicalP,
            fraction: PhiloxGenerator.uniform(seed: seed, sampleIndex: sampleIndex, position: position))
    }
}

/// A chosen token.
struct SampledToken: Equatable {
    var id: TokenID
    /// Of the model's own distribution; nil unless asked for.
    var logProbability: Float?
    var alternatives: [TokenLogProbability] = []
}

/// Chooses tokens from rows of logits as ``SamplingParameters`` says. Holds scratch space only: a choice depends on the
/// row, the sequence's state and the position. Used by the engine loop.
struct Sampler: ~Copyable {
    private var candidates = TokenCandidates()

    /// Chooses the token at `position` of a sequence from `row`, (V), whose scores may be changed.
    mutating func choose(
        from row: UnsafeMutableBufferPointer<Float>, state: SamplerState, position: Int
    ) throws(SamplingError) -> SampledToken {
        guard let count = state.logProbabilityCount else {
            if state.changesScores { Self.process(row, state) }
            return SampledToken(id: try pick(UnsafeBufferPointer(row), state, position))
        }
        let own = try Self.distribution(UnsafeBufferPointer(row), count)
        guard state.changesScores else {
            let id = try pick(UnsafeBufferPointer(row), state, position)
            let value = Float(Double(row[Int(id)]) - own.logSum)
            return SampledToken(id: id, logProbability: value, alternatives: own.alternatives)
        }
        // The chosen token's own score is needed after the row has been changed.
        let copy = Array(row)
        Self.process(row, state)
        let id = try pick(UnsafeBufferPointer(row), state, position)
        let value = Float(Double(copy[Int(id)]) - own.logSum)
        return SampledToken(id: id, logProbability: value, alternatives: own.alternatives)
    }

    /// Log probability of `token` and of the `count` likeliest tokens under a row, (V).
    static func logProbabilities(
        of token: TokenID, in row: UnsafeBufferPointer<Float>, count: Int
    ) throws(SamplingError) -> SampledToken {
        let own = try distribution(row, count)
        let value = Float(Double(row[Int(token)]) - own.logSum)
        return SampledToken(id: token, logProbability: value, alternatives: own.alternatives)
    }

    private static func distribution(
        _ row: UnsafeBufferPointer<Float>, _ count: Int
    ) throws(SamplingError) -> (logSum: Double, alternatives: [TokenLogProbability]) {
        guard let highest = LogitScan.maximum(row) else { throw .noCandidate }
        let logSum = LogitScan.logSumExp(row, highest: highest.score)
        guard logSum.isFinite else { throw .invalidScore }
        let alternatives = LogitScan.highest(count, of: row).map { id in
            TokenLogProbability(id: id, logProbability: Float(Double(row[Int(id)]) - logSum))
        }
        return (logSum, alternatives)
    }

    /// Steps 1 to 3 of ``SamplingParameters``.
    private static func process(_ row: UnsafeMutableBufferPointer<Float>, _ state: SamplerState) {
        for (token, value) in state.bias { row[Int(token)] += value }
        if state.history.isActive { state.history.apply(to: row) }
        guard !state.forced.isEmpty else { return }
        let scores = state.forced.map { row[Int($0)] }
        row.update(repeating: -.infinity)
        for (token, score) in zip(state.forced, scores) { row[Int(token)] = score }
    }

    /// Steps 4 to 9 of ``SamplingParameters``.
    private mutating func pick(
        _ row: UnsafeBufferPointer<Float>, _ state: SamplerState, _ position: Int
    ) throws(SamplingError) -> TokenID {
        guard let highest = LogitScan.maximum(row) else { throw .noCandidate }
        let parameters = state.parameters
        if parameters.temperature == 0 || parameters.topK == 1 { return TokenID(highest.index) }
        guard highest.score.isFinite else { throw .invalidScore }
        if parameters.topK > 0, parameters.topK < row.count {
            let some = LogitScan.highest(parameters.topK, of: row).sorted()
            candidates.take(some, of: row, highest: highest.score, temperature: parameters.temperature)
        } else {
            let total = candidates.takeRow(row, highest: highest.score, temperature: parameters.temperature)
            guard total.isFinite else { throw .invalidScore }
        }
        if parameters.topP < 1 { candidates.keepLikeliest(share: parameters.topP) }
        if parameters.minP > 0 { candidates.keepAtLeast(shareOfLikeliest: parameters.minP) }
        if parameters.typicalP < 1 { candidates.keepTypical(share: parameters.typicalP) }
        let fraction = PhiloxGenerator.uniform(
            seed: state.seed, sampleIndex: state.sampleIndex, position: position)
        guard let token = candidates.draw(fraction) else { throw .noCandidate }
        return token
    }
}
