public import ServingTensors

/// How the next token is chosen from a row of logits. The defaults sample from the model's own distribution.
///
/// The steps run in this order, which is that of Hugging Face transformers (`_get_logits_processor`) and LoRAX
/// (`HeterogeneousNextTokenChooser`), with the logit bias in front as OpenAI describes it:
///
/// 1. `logitBias` is added. A bias of +infinity leaves only the tokens that have it.
/// 2. `repetitionPenalty` over prompt and answer (CTRL, arXiv:1909.05858): positive scores are divided by it, negative
///    ones multiplied.
/// 3. `presencePenalty` and `frequencyPenalty` over the answer alone, as OpenAI:
///    `score -= presence + frequency * count`.
/// 4. `temperature` divides the scores. At 0 the highest score is taken (the lowest id of equals) and the rest is
///    skipped.
/// 5. `topK` keeps the k highest scores, exactly k: of equals the lower ids.
/// 6. `topP` keeps the likeliest tokens until their probability, among those left by top-k, reaches p
///    (arXiv:1904.09751).
/// 7. `minP` drops tokens less likely than `minP` times the likeliest (arXiv:2407.01082).
/// 8. `typicalP` keeps the tokens whose surprise is nearest the entropy until their probability, among those left,
///    reaches p (arXiv:2202.00666).
/// 9. One token is drawn from what is left, with ``PhiloxGenerator``.
public struct SamplingParameters: Sendable, Equatable {
    /// Divides the scores; finite, at least 0. 0 takes the highest score.
    public var temperature: Float
    /// Keeps the k highest scores; 0 keeps all.
    public var topK: Int
    /// Keeps the likeliest tokens up to this probability, in (0, 1]; 1 keeps all.
    public var topP: Float
    /// Drops tokens less likely than this share of the likeliest, in [0, 1]; 0 keeps all.
    public var minP: Float
    /// Keeps the most typical tokens up to this probability, in (0, 1]; 1 keeps all.
    public var typicalP: Float
    /// Makes tokens of prompt and answer less likely when above 1; finite, above 0; 1 changes nothing.
    public var repetitionPenalty: Float
    /// How many of the latest tokens the repetition penalty looks at, at least 1; nil for all of them.
    public var repetitionWindow: Int?
    /// Lowers the score of tokens that the answer holds, in [-2, 2].
    public var presencePenalty: Float
    /// Lowers the score of a token once for each time that the answer holds it, in [-2, 2].
    public var frequencyPenalty: Float
    /// Added to single tokens' scores: in [-100, 100], or an infinity to force or ban a token.
    public var logitBias: [TokenID: Float]
    /// Fixes the random numbers; nil lets the engine choose a seed, which it reports.
    public var seed: UInt64?

    /// Parameters that sample from the model's own distribution unless told otherwise.
    public init(
        temperature: Float = 1, topK: Int = 0, topP: Float = 1, minP: Float = 0, typicalP: Float = 1,
        repetitionPenalty: Float = 1, repetitionWindow: Int? = nil, presencePenalty: Float = 0,
        frequencyPenalty: Float = 0, logitBias: [TokenID: Float] = [:], seed: UInt64? = nil
    ) {
        self.temperature = temperature
        self.topK = topK
        self.topP = topP
        self.minP = minP
        self.typicalP = typicalP
        self.repetitionPenalty = repetitionPenalty
        self.repetitionWindow = repetitionWindow
        self.presencePenalty = presencePenalty
        self.frequencyPenalty = frequencyPenalty
        self.logitBias = logitBias
        self.seed = seed
    }

    /// Always the highest score.
    public static var greedy: SamplingParameters { SamplingParameters(temperature: 0) }

    /// Throws for the first field that is out of its range; `vocabularyCount` is V.
    public func validate(vocabularyCount: Int) throws(ParameterError) {
        try Self.check("temperature", temperature, "a finite number >= 0") { $0 >= 0 && $0.isFinite }
        try Self.check("topK", topK, "an integer >= 0 (0 keeps all tokens)") { $0 >= 0 }
        try Self.check("topP", topP, "in (0, 1]") { $0 > 0 && $0 <= 1 }
        try Self.check("minP", minP, "in [0, 1]") { $0 >= 0 && $0 <= 1 }
        try Self.check("typicalP", typicalP, "in (0, 1]") { $0 > 0 && $0 <= 1 }
        try Self.check("repetitionPenalty", repetitionPenalty, "a finite number > 0") { $0 > 0 && $0.isFinite }
        if let repetitionWindow {
            try Self.check("repetitionWindow", repetitionWindow, "an integer >= 1") { $0 >= 1 }
        }
        try Self.check("presencePenalty", presencePenalty, "in [-2, 2]") { $0 >= -2 && $0 <= 2 }
        try Self.check("frequencyPenalty", frequencyPenalty, "in [-2, 2]") { $0 >= -2 && $0 <= 2 }
        for (token, bias) in logitBias.sorted(by: { $0.key < $1.key }) {
            guard token >= 0, token < vocabularyCount else {
                throw ParameterError("logitBias", token, expected: "for token ids in 0..<\(vocabularyCount)")
            }
            try Self.check("logitBias", bias, "in [-100, 100] or infinite") { abs($0) <= 100 || $0.isInfinite }
        }
    }

    private static func check<Value: CustomStringConvertible>(
        _ field: String, _ value: Value, _ expected: String, _ holds: (Value) -> Bool
    ) throws(ParameterError) {
        guard holds(value) else { throw ParameterError(field, value, expected: expected) }
    }
}
