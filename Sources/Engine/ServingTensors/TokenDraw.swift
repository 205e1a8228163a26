/// How the next token is chosen from one row of logits, for devices that choose by themselves. The steps are those of the
/// engine's `SamplingParameters`, from the adjustments on.
public struct TokenDraw: Sendable, Equatable {
    /// A change of one token's score: the bias is added, then positive scores are divided by the penalty and negative
    /// ones multiplied, then `minus` is taken off.
    public struct Adjustment: Sendable, Equatable {
        /// Below V.
        public var token: TokenID
        /// Finite or -infinity.
        public var bias: Float = 0
        /// Above 0.
        public var penalty: Float = 1
        /// What is taken off.
        public var minus: Float = 0

        /// A change of nothing.
        public init(token: TokenID) { self.token = token }
    }

    /// What became of a draw.
    public enum Outcome: Sendable, Equatable {
        /// The chosen token.
        case token(TokenID)
        /// Every score is -infinity or not a number.
        case noCandidate
        /// A score is not a number, or +infinity.
        case invalidScore
    }

    /// Largest V that devices choose from.
    public static let vocabularyLimit = 1 << 18

    /// Row of the step's logits.
    public var row: Int
    /// At most one a token.
    public var adjustments: [Adjustment]
    /// 0 for the highest score.
    public var temperature: Float
    /// 0 for all.
    public var topK: Int
    /// 1 for all.
    public var topP: Float
    /// 0 for all.
    public var minP: Float
    /// 1 for all.
    public var typicalP: Float
    /// In [0, 1): where in the weights, laid end to end in the order of the ids, the token lies.
    public var fraction: Double

    /// A draw.
    public init(
        row: Int, adjustments: [Adjustment], temperature: Float, topK: Int, topP: Float, minP: Float,
        typicalP: Float, fraction: Double
    ) {
        self.row = row
        self.adjustments = adjustments
        self.temperature = temperature
        self.topK = topK
        self.topP = topP
        self.minP = minP
        self.typicalP = typicalP
        self.fraction = fraction
    }
}
