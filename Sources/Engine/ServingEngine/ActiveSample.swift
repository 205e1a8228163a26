import ServingTensors

/// A request in the engine: where its events go and when what happened. Lives on the engine's thread.
final class ActiveRequest {
    let submission: Submission
    let tokenAllowance: Int
    var sequenceIDs: Range<SequenceID> = 0..<0
    var unfinishedCount: Int
    /// When the first step that computed for it was planned.
    var startedAt: Duration?
    var cachedTokenCount = 0
    /// The prompt's log probabilities so far.
    var promptTokens: [PromptToken] = []
    /// Sum of the hidden states so far, (E).
    var hiddenSum: [Double] = []
    /// Text of the answer that the request takes up, as far as it was sent.
    var continuedText = ""

    init(_ submission: Submission, limits: ModelLimits) {
        self.submission = submission
        tokenAllowance = submission.request.tokenAllowance(limits: limits)
        unfinishedCount = submission.request.sampleCount
    }

    var request: GenerationRequest { submission.request }

    func send(_ event: GenerationEvent) { submission.events.yield(event) }
}

/// A sample in the engine: what it has generated, and what it takes to go on. Lives on the engine's thread.
final class ActiveSample {
    let active: ActiveRequest
    let index: Int
    var sampler: SamplerState
    private var decoder: any TokenTextDecoding
    private var matcher: StopMatcher
    private(set) var tokenCount = 0
    /// Why the answer that the request takes up is at its end already; nil where it goes on.
    private(set) var continuedEnd: FinishReason?
    private var firstTokenAt: Duration?
    private var lastTokenAt: Duration?

    init(_ active: ActiveRequest, index: Int, decoder: any TokenTextDecoding) {
        self.active = active
        self.index = index
        self.decoder = decoder
        let request = active.request
        sampler = SamplerState(request, seed: active.submission.seed, sampleIndex: index)
        matcher = StopMatcher(request.stopStrings, includesStop: request.includesStopString)
        // The client has this text; what the matcher holds back, it does not have.
        var (text, end) = ("", FinishReason?.none)
        for token in request.promptTokenIDs.suffix(request.continuedTokenCount) where end == nil {
            if request.ends(with: token) {
                end = .stop(token)
            } else {
                let release = matcher.append(self.decoder.append(token))
                text += release.text
                end = release.stop.map { .stopSequence($0) }
            }
        }
        continuedEnd = end
        active.continuedText = text
    }

    /// Position in the sequence of the next token.
    var nextPosition: Int { active.request.promptTokenIDs.count + tokenCount }

    /// Takes a chosen token, sends it, and returns why the sample ends with it, if it does.
    func take(_ token: SampledToken, now: Duration) -> FinishReason? {
        let request = active.request
        tokenCount += 1
        firstTokenAt = firstTokenAt ?? now
        lastTokenAt = now
        sampler.history.append(token.id)
        var text = ""
        var reason: FinishReason?
        if request.ends(with: token.id) {
            reason = .stop(token.id)
        } else {
            let release = matcher.append(decoder.append(token.id))
            text = release.text
            if let stop = release.stop {
                reason = .stopSequence(stop)
            } else if tokenCount >= active.tokenAllowance {
                reason = .length
            }
        }
        active.send(
            .token(
                GenerationEvent.Token(
                    sampleIndex: index, id: token.id, text: text, logProbability: token.logProbability,
                    alternatives: token.alternatives, isLast: reason != nil)))
        return reason
    }

    /// Sends the end of the sample.
    func finish(_ reason: FinishReason) {
        let (text, reason) = remainingText(reason)
        let submission = active.submission
        var timings = GenerationEvent.Timings()
        if let startedAt = active.startedAt {
            timings.queue = startedAt - submission.submittedAt
            if let firstTokenAt, let lastTokenAt {
                timings.prefill = firstTokenAt - startedAt
                timings.decode = lastTokenAt - firstTokenAt
                timings.timeToFirstToken = firstTokenAt - submission.submittedAt
            }
        }
        let usage = GenerationEvent.Usage(
            promptTokenCount: active.request.promptTokenIDs.count, cachedTokenCount: active.cachedTokenCount,
            completionTokenCount: tokenCount)
        active.send(
            .finished(
                GenerationEvent.Finish(
                    sampleIndex: index, reason: reason, text: text, usage: usage, timings: timings)))
    }

    /// Text that was held back. It may still complete a stop string when the decoder gives up its last bytes.
    private func remainingText(_ reason: FinishReason) -> (String, FinishReason) {
        if case .stopSequence = reason { return ("", reason) }
        let release = matcher.append(decoder.finish())
        if let stop = release.stop { return (release.text, .stopSequence(stop)) }
        return (release.text + matcher.finish(), reason)
    }
}
