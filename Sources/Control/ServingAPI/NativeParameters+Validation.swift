package import HTTPServing
package import ServingEngine

/// What a LoRAX server allows; `/info` tells it.
package struct NativeLimits: Sendable, Equatable {
    /// Most answers of which the best is taken.
    package var maxBestOf: Int
    /// Most stop strings.
    package var maxStopSequences: Int
    /// Longest prompt in tokens.
    package var maxInputLength: Int
    /// Longest prompt and answer together in tokens.
    package var maxTotalTokens: Int

    /// Limits for a context of so many tokens. LoRAX's own defaults for the first two are 2 and 4.
    package init(contextLength: Int, maxBestOf: Int = 16, maxStopSequences: Int = 16) {
        self.maxBestOf = maxBestOf
        self.maxStopSequences = maxStopSequences
        maxInputLength = max(0, contextLength - 1)
        maxTotalTokens = contextLength
    }
}

extension NativeParameters {
    /// Whether tokens are drawn by chance. LoRAX takes the likeliest token unless something asks for more.
    package var samples: Bool {
        guard temperature != 0 else { return false }
        return doSample || (temperature ?? 1) != 1 || topK != nil || (topP ?? 1) < 1 || typicalP != nil
    }

    /// Throws what LoRAX says of the first parameter that is out of its range.
    package func validate(_ limits: NativeLimits, isStream: Bool) throws(NativeError) {
        try validateBestOf(limits, isStream)
        if let temperature, !(temperature >= 0) || !temperature.isFinite {
            throw .validation("`temperature` must be non-negative")
        }
        if let repetitionPenalty, !(repetitionPenalty > 0) || !repetitionPenalty.isFinite {
            throw .validation("`repetition_penalty` must be strictly positive")
        }
        for (name, penalty) in [("frequency_penalty", frequencyPenalty), ("presence_penalty", presencePenalty)] {
            if let penalty, !(-2...2).contains(penalty) {
                throw .validation("`\(name)` must be >= -2.0 and <= 2.0")
            }
        }
        if let topP, !(topP > 0 && topP <= 1) { throw .validation("`top_p` must be > 0.0 and < 1.0") }
        if let typicalP, !(typicalP > 0 && typicalP < 1) { throw .validation("`typical_p` must be > 0.0 and < 1.0") }
        if let topK, topK <= 0 { throw .validation("`top_k` must be strictly positive") }
        if let returnKAlternatives, returnKAlternatives <= 0 {
            throw .validation("`return_k_alternatives` must be strictly positive")
        }
        if maxNewTokens == 0 { throw .validation("`max_new_tokens` must be strictly positive") }
        if stop.count > limits.maxStopSequences {
            throw .validation(
                "`stop` supports up to \(limits.maxStopSequences) stop sequences. Given: \(stop.count)")
        }
        if let truncate, !(1...max(1, limits.maxInputLength)).contains(truncate) {
            throw .validation(
                "`truncate` must be strictly positive and less than \(limits.maxInputLength). Given: \(truncate)")
        }
        if decoderInputDetails, isStream {
            throw .validation("`decoder_input_details` == true is not supported when streaming tokens")
        }
        try validateFeatures()
    }

    private func validateBestOf(_ limits: NativeLimits, _ isStream: Bool) throws(NativeError) {
        let bestOf = bestOf ?? 1
        guard bestOf >= 1, bestOf <= limits.maxBestOf else {
            throw .validation("`best_of` must be > 0 and <= \(limits.maxBestOf). Given: \(bestOf)")
        }
        guard bestOf > 1 else { return }
        if isStream { throw .validation("`best_of` != 1 is not supported when streaming tokens") }
        if !samples { throw .validation("you must use sampling when `best_of` is > 1") }
        if seed != nil { throw .validation("`seed` must not be set when `best_of` > 1") }
    }

    private func validateFeatures() throws(NativeError) {
        if watermark { throw .validation("`watermark` is not supported by this server") }
        if hasTools { throw .validation("`tools` are not supported by this server") }
        if case .constrained(let type) = responseFormat {
            throw .validation("`response_format` of type `\(type)` is not supported by this server")
        }
    }

    /// Throws what LoRAX says of a prompt that is too long, alone or with the tokens asked for.
    package func validate(inputTokenCount: Int, _ limits: NativeLimits) throws(NativeError) {
        guard inputTokenCount > 0 else { throw .validation("`inputs` cannot be empty") }
        if let maxNewTokens, inputTokenCount + Int(maxNewTokens) > limits.maxTotalTokens {
            throw .validation(
                "`inputs` tokens + `max_new_tokens` must be <= \(limits.maxTotalTokens). Given: \(inputTokenCount) "
                    + "`inputs` tokens and \(maxNewTokens) `max_new_tokens`")
        }
        guard inputTokenCount <= limits.maxInputLength else {
            throw .validation("`inputs` must have less than \(limits.maxInputLength) tokens. Given: \(inputTokenCount)")
        }
    }

    /// Puts the parameters into a request. Every token of a stream has a log probability, and so has every detail.
    package func apply(to request: inout GenerationRequest, isStream: Bool) {
        var sampling = SamplingParameters.greedy
        if samples {
            sampling.temperature = temperature ?? 1
            sampling.topK = Int(topK ?? 0)
            sampling.topP = topP ?? 1
            sampling.typicalP = typicalP ?? 1
        }
        sampling.repetitionPenalty = repetitionPenalty ?? 1
        sampling.presencePenalty = presencePenalty ?? 0
        sampling.frequencyPenalty = frequencyPenalty ?? 0
        sampling.seed = seed
        request.sampling = sampling
        request.maxTokenCount = maxNewTokens.map(Int.init)
        request.stopStrings = stop.filter { !$0.isEmpty }
        // As text-generation-inference and LoRAX do, the answer keeps the stop sequence.
        request.includesStopString = true
        request.ignoresEndOfGeneration = ignoreEOSToken
        request.sampleCount = bestOf ?? 1
        request.includesPromptLogProbabilities = decoderInputDetails
        if isStream || details || decoderInputDetails || request.sampleCount > 1 {
            request.logProbabilityCount = Int(returnKAlternatives ?? 0)
        }
    }
}
