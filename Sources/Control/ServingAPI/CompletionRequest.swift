package import HTTPServing
package import ServingEngine
package import ServingJSON

/// The body of `/v1/completions`.
package struct CompletionRequest: Sendable, Equatable {
    /// What it shares with chats.
    package var sampling: OpenAISampling
    /// The prompts, at least one.
    package var prompts: [PromptInput]
    /// `max_tokens`; nil where absent.
    package var maxTokenCount: Int?
    /// `logprobs`: how many alternatives are told; nil for none at all.
    package var logProbabilityCount: Int?
    /// Whether the text begins with the prompt.
    package var echoesPrompt: Bool
    /// `best_of`: how many answers are made to choose from.
    package var candidateCount: Int

    /// OpenAI's default of `max_tokens` on this route.
    package static let defaultMaxTokenCount = 16
    /// Most alternatives a token.
    package static let logProbabilityLimit = 20
    /// Most choices a request, over all prompts.
    package static let choiceLimit = 2048

    /// Reads a body.
    package init(_ body: JSONValue) throws(OpenAIError) {
        let fields: WireObject
        let bestOf: Int?
        do throws(WireDecodingError) {
            fields = try WireObject(body, named: "CompletionRequest")
            echoesPrompt = try fields.bool("echo") ?? false
            logProbabilityCount = try fields.integer("logprobs", "u32", as: UInt32.self).map(Int.init)
            bestOf = try fields.integer("best_of", "u32", as: UInt32.self).map(Int.init)
            if let suffix = try fields.string("suffix"), !suffix.isEmpty {
                throw fields.fails("suffix", "this model does not fill in text before a suffix")
            }
        } catch {
            throw OpenAIError(error)
        }
        sampling = try OpenAISampling(fields)
        prompts = try PromptInput.inputs("prompt", fields)
        maxTokenCount = try OpenAISampling.tokenCount("max_tokens", fields, least: 0)
        candidateCount = max(bestOf ?? sampling.choiceCount, 1)
        try check(bestOf)
    }

    private func check(_ bestOf: Int?) throws(OpenAIError) {
        if let count = logProbabilityCount, count > Self.logProbabilityLimit {
            throw .invalid("logprobs must be in 0...\(Self.logProbabilityLimit), not \(count)", param: "logprobs")
        }
        if let bestOf {
            guard bestOf >= sampling.choiceCount, bestOf <= GenerationRequest.sampleLimit else {
                throw .invalid(
                    "best_of must be at least n and at most \(GenerationRequest.sampleLimit), not \(bestOf)",
                    param: "best_of")
            }
            if sampling.isStream, bestOf > sampling.choiceCount {
                throw .invalid("best_of can't be more than n when streaming", param: "best_of")
            }
        }
        guard prompts.count * candidateCount <= Self.choiceLimit else {
            throw .invalid("at most \(Self.choiceLimit) choices are made at a time", param: "n")
        }
    }

    /// Puts everything but the prompt into a request.
    package func apply(to request: inout GenerationRequest, defaultMaxTokenCount: Int?) {
        sampling.apply(to: &request)
        request.maxTokenCount = maxTokenCount ?? defaultMaxTokenCount
        request.sampleCount = candidateCount
        request.logProbabilityCount = logProbabilityCount
        request.includesPromptLogProbabilities = echoesPrompt && logProbabilityCount != nil
        // Choosing the best needs the log probabilities, told or not.
        if candidateCount > sampling.choiceCount, request.logProbabilityCount == nil { request.logProbabilityCount = 0 }
    }
}
