import ArgumentParser
import ServingEngine
import ServingTensors

/// How answers are chosen and where they end.
struct SamplingOptions: ParsableArguments {
    @Option(name: [.customShort("n"), .long], help: ArgumentHelp("Most tokens to generate.", valueName: "count"))
    var maxTokens: Int?

    @Option(name: .shortAndLong, help: "0 takes the likeliest token each time; higher is more varied.")
    var temperature: Float?

    @Option(help: "Choose among this many likeliest tokens (0: all).")
    var topK: Int?

    @Option(help: "Choose among the likeliest tokens that together reach this probability.")
    var topP: Float?

    @Option(help: "Leave out tokens less likely than this share of the likeliest.")
    var minP: Float?

    @Option(help: "Keep tokens of typical information up to this probability.")
    var typicalP: Float?

    @Option(help: "Divide the scores of tokens already seen (1: off).")
    var repetitionPenalty: Float?

    @Option(help: "Subtract from the scores of tokens already generated (0: off).")
    var presencePenalty: Float?

    @Option(help: "Subtract for each time that a token was generated (0: off).")
    var frequencyPenalty: Float?

    @Option(help: ArgumentHelp("Add to a token's score; may be repeated.", valueName: "token-id=bias"))
    var logitBias: [LogitBias] = []

    @Option(help: "The same seed gives the same answer.")
    var seed: UInt64?

    @Option(help: ArgumentHelp("End before this text; may be repeated.", valueName: "text"))
    var stop: [String] = []

    @Option(help: ArgumentHelp("End at this token; may be repeated.", valueName: "token-id"))
    var stopToken: [TokenID] = []

    @Flag(help: "Go on past the model's end of text.")
    var ignoreEos = false

    func validate() throws {
        // JSON tells seeds as whole numbers of 64 bits with a sign.
        if let seed, seed > UInt64(Int64.max) {
            throw ValidationError("--seed \(seed): expected 0 to \(Int64.max)")
        }
    }

    /// The parameters, with `defaultTemperature` where none was given.
    func parameters(defaultTemperature: Float) -> SamplingParameters {
        var parameters = SamplingParameters()
        parameters.temperature = temperature ?? defaultTemperature
        if let topK { parameters.topK = topK }
        if let topP { parameters.topP = topP }
        if let minP { parameters.minP = minP }
        if let typicalP { parameters.typicalP = typicalP }
        if let repetitionPenalty { parameters.repetitionPenalty = repetitionPenalty }
        if let presencePenalty { parameters.presencePenalty = presencePenalty }
        if let frequencyPenalty { parameters.frequencyPenalty = frequencyPenalty }
        for bias in logitBias { parameters.logitBias[bias.tokenID] = bias.bias }
        parameters.seed = seed
        return parameters
    }
}

/// `TOKEN=BIAS`, for instance `198=-100`.
struct LogitBias: ExpressibleByArgument {
    let tokenID: TokenID
    let bias: Float

    init?(argument: String) {
        let parts = argument.split(separator: "=", omittingEmptySubsequences: false)
        guard parts.count == 2, let tokenID = TokenID(parts[0]), let bias = Float(parts[1]) else { return nil }
        self.tokenID = tokenID
        self.bias = bias
    }
}
