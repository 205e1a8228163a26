public import ServingTensors

/// What the engine tells about a request, in order: `started`, perhaps `prompt`, then for each sample its tokens and
/// one `finished`. Samples' events are interleaved. The stream ends after the last sample has finished.
public enum GenerationEvent: Sendable, Equatable {
    /// The request left the queue.
    case started(Start)
    /// The prompt's log probabilities, when asked for; comes before the first token.
    case prompt([PromptToken])
    /// The mean over the prompt's tokens of the last hidden states, after the final norm, (E); when asked for.
    case embedding([Float])
    /// A sample has one more token.
    case token(Token)
    /// A sample has ended.
    case finished(Finish)

    /// How the request began.
    public struct Start: Sendable, Equatable {
        /// The seed in use: the request's, or the one that the engine chose.
        public var seed: UInt64
        /// Tokens of the prompt.
        public var promptTokenCount: Int
        /// Those of them whose keys and values were in the prefix cache.
        public var cachedTokenCount: Int
        /// From submission until the first step that computed for the request.
        public var queueDuration: Duration
        /// Index of the first sample.
        public var firstSampleIndex = 0
        /// Where the request takes up an earlier answer: the text that was sent of it.
        public var continuedText = ""
    }

    /// One token of an answer.
    public struct Token: Sendable, Equatable {
        /// Which sample it belongs to.
        public var sampleIndex: Int
        /// The chosen token.
        public var id: TokenID
        /// Text that became certain with this token; may be empty, and may hold text of earlier tokens.
        public var text: String
        /// Natural logarithm of the token's probability under the model, before any logits processor; when asked for.
        public var logProbability: Float?
        /// The likeliest tokens under the model, likeliest first; when asked for.
        public var alternatives: [TokenLogProbability]
        /// Whether the sample ends with this token; its `finished` follows at once.
        public var isLast = false
    }

    /// The end of a sample.
    public struct Finish: Sendable, Equatable {
        /// Which sample ended.
        public var sampleIndex: Int
        /// Why.
        public var reason: FinishReason
        /// Text that was held back and is certain now; follows the last token's text.
        public var text: String
        /// What the sample cost.
        public var usage: Usage
        /// How long it took.
        public var timings: Timings
    }

    /// Tokens a sample took and made.
    public struct Usage: Sendable, Equatable {
        /// Tokens of the prompt.
        public var promptTokenCount: Int
        /// Those of them whose keys and values were in the prefix cache when the request began.
        public var cachedTokenCount: Int
        /// Tokens generated, with the one that ended the answer.
        public var completionTokenCount: Int
    }

    /// Where a sample's time went. All zero where a phase was not reached.
    public struct Timings: Sendable, Equatable {
        /// From submission until the first step that computed for the request.
        public var queue: Duration = .zero
        /// From there to the sample's first token.
        public var prefill: Duration = .zero
        /// From the first token to the last.
        public var decode: Duration = .zero
        /// From submission to the first token; nil when there was none.
        public var timeToFirstToken: Duration?
    }
}

/// Why a sample ended.
public enum FinishReason: Sendable, Equatable {
    /// An end-of-generation or stop token was chosen.
    case stop(TokenID)
    /// The text came upon this stop string.
    case stopSequence(String)
    /// As many tokens as asked for, or as the context holds.
    case length
    /// Cancelled by the client or by a shutdown.
    case cancelled
    /// The model or the sampler failed; what it said.
    case failed(String)
}

/// A token and its probability under the model.
public struct TokenLogProbability: Sendable, Equatable {
    /// The token.
    public var id: TokenID
    /// Natural logarithm of its probability.
    public var logProbability: Float

    /// A token and its probability.
    public init(id: TokenID, logProbability: Float) {
        self.id = id
        self.logProbability = logProbability
    }
}

/// A prompt token and its probability after the tokens before it.
public struct PromptToken: Sendable, Equatable {
    /// The token.
    public var id: TokenID
    /// Natural logarithm of its probability; nil for the first token, which nothing precedes.
    public var logProbability: Float?
    /// The likeliest tokens in its place, likeliest first.
    public var alternatives: [TokenLogProbability]
}
