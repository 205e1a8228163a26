public import ServingTensors

/// What a client asks of the engine: a prompt in tokens and how to go on from it.
///
/// Made by a server or command after the chat template and tokenizer, read by ``ServingEngine``.
public struct GenerationRequest: Sendable {
    /// Names the request in events and for cancelling; unique among those in flight.
    public var id: String
    /// The prompt, at least one token.
    public var promptTokenIDs: [TokenID]
    /// How tokens are chosen.
    public var sampling: SamplingParameters
    /// Most tokens to generate for each sample. More than the context holds is cut to what it holds; nil means that.
    public var maxTokenCount: Int?
    /// Texts that end the answer; at most ``stopStringLimit`` of at most ``stopStringByteLimit`` bytes.
    public var stopStrings: [String]
    /// Whether the text keeps the stop string that ended it.
    public var includesStopString: Bool
    /// Tokens that end the answer, also when the end-of-generation tokens are ignored. Their text is left out.
    public var stopTokenIDs: Set<TokenID>
    /// The model's own tokens for the end of an answer. Their text is left out.
    public var endOfGenerationTokenIDs: Set<TokenID>
    /// Whether the answer goes on after an end-of-generation token.
    public var ignoresEndOfGeneration: Bool
    /// nil: no log probabilities; n: those of the chosen token and of the n likeliest, n at most
    /// ``logProbabilityLimit``.
    public var logProbabilityCount: Int?
    /// Whether the prompt's log probabilities are wanted too (``GenerationEvent/prompt(_:)``). Such a request computes
    /// its whole prompt, whatever the prefix cache holds.
    public var includesPromptLogProbabilities: Bool
    /// How many answers to generate from the one prompt, at most ``sampleLimit``. They share the prompt's KV blocks.
    public var sampleCount: Int
    /// Index of the first sample, for taking up a single sample of an earlier request with its random numbers.
    public var firstSampleIndex: Int
    /// How many of the prompt's last tokens are the answer of an earlier run which this request takes up. They count as
    /// generated for penalties and stop strings, and their text is not sent again. Where they end the answer, it is
    /// finished without another token.
    public var continuedTokenCount: Int
    /// Names the weights to run with; nil for the base model.
    public var adapterKey: AdapterKey?
    /// The weights themselves, on the runner's device; nil for the base model.
    public var adapter: (any ResidentAdapter)?
    /// Kept alive until the request has ended: whatever keeps `adapter` on the device.
    public var adapterHold: (any AnyObject & Sendable)?
    /// Whether the mean of the prompt's last hidden states is wanted (``GenerationEvent/embedding(_:)``) and no answer.
    /// Such a request computes its whole prompt and has one sample.
    public var wantsEmbedding: Bool
    /// Whether the text leaves out special tokens.
    public var skipsSpecialTokens: Bool

    /// Most stop strings a request.
    public static let stopStringLimit = 64
    /// Longest stop string in UTF-8 bytes.
    public static let stopStringByteLimit = 1024
    /// Most alternatives listed a token.
    public static let logProbabilityLimit = 100
    /// Most samples a request.
    public static let sampleLimit = 128

    /// A request with the engine's defaults: one sample up to the end of the context, special tokens left out.
    public init(id: String, promptTokenIDs: [TokenID], sampling: SamplingParameters = SamplingParameters()) {
        self.id = id
        self.promptTokenIDs = promptTokenIDs
        self.sampling = sampling
        maxTokenCount = nil
        stopStrings = []
        includesStopString = false
        stopTokenIDs = []
        endOfGenerationTokenIDs = []
        ignoresEndOfGeneration = false
        logProbabilityCount = nil
        includesPromptLogProbabilities = false
        sampleCount = 1
        firstSampleIndex = 0
        continuedTokenCount = 0
        adapterKey = nil
        adapter = nil
        adapterHold = nil
        wantsEmbedding = false
        skipsSpecialTokens = true
    }

    /// Throws when no engine with these limits could ever run the request.
    ///
    /// A request that only has to wait passes: what is checked against `limits` is the prompt with one new token.
    public func validate(limits: ModelLimits) throws(SubmissionError) {
        do throws(ParameterError) {
            try validateFields(limits: limits)
            try sampling.validate(vocabularyCount: limits.vocabularyCount)
        } catch {
            throw .invalidParameter(error)
        }
        guard !promptTokenIDs.isEmpty else { throw .emptyPrompt }
        // An answer that is taken up at its very end needs no room any more.
        if continuedTokenCount > 0, tokenAllowance(limits: limits) == 0 { return }
        guard promptTokenIDs.count < limits.contextLength else {
            throw .promptTooLong(promptTokenCount: promptTokenIDs.count, contextLength: limits.contextLength)
        }
        let blocksNeeded = promptTokenIDs.count / limits.positionsPerBlock + 1
        guard blocksNeeded <= limits.blockCount else {
            throw .exceedsCache(blocksNeeded: blocksNeeded, blockCount: limits.blockCount)
        }
    }

    private func validateFields(limits: ModelLimits) throws(ParameterError) {
        let vocabulary = 0..<TokenID(clamping: limits.vocabularyCount)
        if let stray = promptTokenIDs.first(where: { !vocabulary.contains($0) }) {
            throw ParameterError("promptTokenIDs", stray, expected: "of token ids in \(vocabulary)")
        }
        if let maxTokenCount, maxTokenCount < 0 {
            throw ParameterError("maxTokenCount", maxTokenCount, expected: "an integer >= 0")
        }
        guard stopStrings.count <= Self.stopStringLimit else {
            throw ParameterError("stopStrings", stopStrings.count, expected: "at most \(Self.stopStringLimit) strings")
        }
        for stop in stopStrings where stop.isEmpty || stop.utf8.count > Self.stopStringByteLimit {
            throw ParameterError(
                "stopStrings", "one of \(stop.utf8.count)", expected: "of 1...\(Self.stopStringByteLimit) bytes each")
        }
        if let count = logProbabilityCount, !(0...Self.logProbabilityLimit).contains(count) {
            throw ParameterError("logProbabilityCount", count, expected: "in 0...\(Self.logProbabilityLimit)")
        }
        guard (1...Self.sampleLimit).contains(sampleCount) else {
            throw ParameterError("sampleCount", sampleCount, expected: "in 1...\(Self.sampleLimit)")
        }
        if wantsEmbedding, sampleCount != 1 || includesPromptLogProbabilities {
            throw ParameterError("wantsEmbedding", "true", expected: "false with several samples or log probabilities")
        }
        guard (0...Int(Int32.max) - Self.sampleLimit).contains(firstSampleIndex) else {
            throw ParameterError("firstSampleIndex", firstSampleIndex, expected: "a small integer >= 0")
        }
        guard (0...promptTokenIDs.count).contains(continuedTokenCount) else {
            throw ParameterError(
                "continuedTokenCount", continuedTokenCount, expected: "at most the prompt's \(promptTokenIDs.count)")
        }
    }

    /// Whether an answer ends with the token.
    func ends(with token: TokenID) -> Bool {
        stopTokenIDs.contains(token) || !ignoresEndOfGeneration && endOfGenerationTokenIDs.contains(token)
    }

    /// Tokens that one sample may generate: `maxTokenCount` cut to what context and KV cache hold after the prompt.
    func tokenAllowance(limits: ModelLimits) -> Int {
        let blockCapacity = limits.blockCount.multipliedReportingOverflow(by: limits.positionsPerBlock)
        let capacity = min(limits.contextLength, blockCapacity.overflow ? Int.max : blockCapacity.partialValue)
        return min(maxTokenCount ?? Int.max, capacity - promptTokenIDs.count)
    }
}
