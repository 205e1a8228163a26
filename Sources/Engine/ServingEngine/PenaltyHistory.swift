import ServingTensors

/// The tokens that a sequence's penalties look at, and the penalties themselves.
///
/// Keeps nothing for parameters without penalties.
struct PenaltyHistory {
    private let repetitionPenalty: Float
    private let repetitionWindow: Int?
    private let presencePenalty: Float
    private let frequencyPenalty: Float
    /// Times the repetition penalty's tokens occur; those outside the window are gone.
    private var repetitionCounts: [TokenID: Int32] = [:]
    /// The tokens of the window, as a ring; empty without a window.
    private var window: [TokenID] = []
    private var oldest = 0
    /// Times the answer's tokens occur.
    private var answerCounts: [TokenID: Int32] = [:]

    /// The history of a prompt whose last `continuedTokenCount` tokens count as the answer.
    init(_ parameters: SamplingParameters, promptTokenIDs: [TokenID], continuedTokenCount: Int) {
        repetitionPenalty = parameters.repetitionPenalty
        repetitionWindow = parameters.repetitionWindow
        presencePenalty = parameters.presencePenalty
        frequencyPenalty = parameters.frequencyPenalty
        for (index, token) in promptTokenIDs.enumerated() {
            append(token, isAnswer: index >= promptTokenIDs.count - continuedTokenCount)
        }
    }

    /// Whether a penalty changes scores.
    var isActive: Bool { repetitionPenalty != 1 || countsAnswer }

    private var countsAnswer: Bool { presencePenalty != 0 || frequencyPenalty != 0 }

    /// Takes the next token.
    mutating func append(_ token: TokenID, isAnswer: Bool = true) {
        if isAnswer, countsAnswer { answerCounts[token, default: 0] += 1 }
        guard repetitionPenalty != 1 else { return }
        repetitionCounts[token, default: 0] += 1
        guard let repetitionWindow else { return }
        if window.count < repetitionWindow {
            window.append(token)
        } else {
            let gone = window[oldest]
            window[oldest] = token
            oldest = (oldest + 1) % repetitionWindow
            let count = repetitionCounts[gone, default: 1] - 1
            repetitionCounts[gone] = count == 0 ? nil : count
        }
    }

    /// Changes the scores, (V), in place: repetition first, then presence and frequency.
    func apply(to row: UnsafeMutableBufferPointer<Float>) {
        if repetitionPenalty != 1 {
            for token in repetitionCounts.keys {
                let score = row[Int(token)]
                row[Int(token)] = score < 0 ? score * repetitionPenalty : score / repetitionPenalty
            }
        }
        guard countsAnswer else { return }
        for (token, count) in answerCounts {
            row[Int(token)] -= presencePenalty + frequencyPenalty * Float(count)
        }
    }

    /// What `apply` does, after a bias, as changes of single scores; a token's are one.
    func adjustments(_ bias: [(token: TokenID, value: Float)]) -> [TokenDraw.Adjustment] {
        var places: [TokenID: Int] = [:]
        var adjustments: [TokenDraw.Adjustment] = []
        func change(_ token: TokenID, _ body: (inout TokenDraw.Adjustment) -> Void) {
            let place = places[token] ?? adjustments.count
            if place == adjustments.count {
                places[token] = place
                adjustments.append(TokenDraw.Adjustment(token: token))
            }
            body(&adjustments[place])
        }
        for (token, value) in bias { change(token) { $0.bias = value } }
        if repetitionPenalty != 1 {
            for token in repetitionCounts.keys { change(token) { $0.penalty = repetitionPenalty } }
        }
        if countsAnswer {
            for (token, count) in answerCounts {
                change(token) { $0.minus = presencePenalty + frequencyPenalty * Float(count) }
            }
        }
        return adjustments
    }
}
