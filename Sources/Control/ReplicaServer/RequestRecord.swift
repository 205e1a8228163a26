import ServingAPI
import ServingAdapters
import ServingEngine

/// Where one request's time went: collected while it runs, given to the metrics at its end.
struct RequestRecord {
    private let metrics: ReplicaMetrics
    private let start = ContinuousClock.now
    private var submittedAt: ContinuousClock.Instant?
    private var lastTokenAt: [Int: ContinuousClock.Instant] = [:]
    private var gaps: [Double] = []
    private var adapterLabel = ""
    /// LoRAX's word for why the adapter could not be used.
    private var adapterFailure: String?
    /// How long the request waited for its adapter.
    private(set) var adapterLoad = Duration.zero
    /// From the request to its submission: validation, tokenizing, the adapter.
    private(set) var validation = Duration.zero
    /// In the engine's queue; the longest of the samples.
    private(set) var queue = Duration.zero
    /// From the first step to the last token; the longest of the samples.
    private(set) var inference = Duration.zero
    /// From the request to its first token.
    private(set) var timeToFirstToken: Duration?
    /// Tokens of all prompts.
    private(set) var promptTokenCount = 0
    /// Tokens generated in all samples.
    private(set) var generatedTokenCount = 0

    /// A request that just came.
    init(_ metrics: ReplicaMetrics) {
        self.metrics = metrics
        metrics.increment("lorax_request_count")
    }

    /// Since the request came.
    var total: Duration { ContinuousClock.now - start }

    mutating func useAdapter(_ lease: (any LeasedAdapter)?) {
        adapterLabel = metrics.label(lease?.name)
        guard let lease else { return }
        adapterLoad = lease.loadDuration
        metrics.observe("pbctl_adapter_load_seconds", [adapterLoad.seconds])
    }

    /// The request's adapter can't be used.
    mutating func failAdapter(_ error: AdapterError) {
        adapterFailure =
            switch error.code {
            case .notFound, .unavailable: "download_adapter"
            case .invalidAdapter, .unsupported, .incompatible, .outOfMemory: "load_adapter"
            case .invalidRequest, .cancelled: nil
            }
    }

    /// So much of the answer was made elsewhere.
    mutating func resume(_ usage: OpenAIUsage) {
        promptTokenCount = usage.promptTokenCount
        generatedTokenCount = usage.completionTokenCount
    }

    /// The engine has taken the request.
    mutating func submit(_ request: GenerationRequest, contextLength: Int) {
        let now = ContinuousClock.now
        submittedAt = now
        validation = now - start
        metrics.observe("lorax_request_validation_duration", [validation.seconds])
        metrics.observe("lorax_request_input_length", [Double(request.promptTokenIDs.count)])
        let allowed = request.maxTokenCount ?? contextLength - request.promptTokenIDs.count
        metrics.observe("lorax_request_max_new_tokens", [Double(allowed)])
    }

    /// Takes an event; where the answer was begun elsewhere, its counts become those of the whole answer.
    mutating func add(_ event: GenerationEvent, of resumed: ResumedAnswer?, promptIndex: Int = 0, choiceCount: Int = 1)
    {
        guard case .finished(let finish) = event, let resumed else { return add(event) }
        add(.finished(resumed.whole(finish, choice: promptIndex * choiceCount + finish.sampleIndex)))
    }

    mutating func add(_ event: GenerationEvent) {
        switch event {
        case .started, .prompt, .embedding: break
        case .token(let token):
            let now = ContinuousClock.now
            if timeToFirstToken == nil { timeToFirstToken = now - start }
            if let last = lastTokenAt.updateValue(now, forKey: token.sampleIndex) { gaps.append((now - last).seconds) }
        case .finished(let finish):
            queue = max(queue, finish.timings.queue)
            inference = max(inference, finish.timings.prefill + finish.timings.decode)
            generatedTokenCount += finish.usage.completionTokenCount
            if finish.sampleIndex == 0 { promptTokenCount += finish.usage.promptTokenCount }
        }
    }

    /// The request was answered.
    func succeed() {
        metrics.increment("lorax_request_success")
        metrics.increment("pbctl_requests_total", [adapterLabel, "success"])
        metrics.observe("lorax_request_duration", [total.seconds])
        metrics.observe("lorax_request_queue_duration", [queue.seconds])
        metrics.observe("lorax_request_inference_duration", [inference.seconds])
        if generatedTokenCount > 0 {
            metrics.observe(
                "lorax_request_mean_time_per_token_duration", [inference.seconds / Double(generatedTokenCount)])
        }
        metrics.observe("lorax_request_generated_tokens", [Double(generatedTokenCount)])
        metrics.observe("lorax_request_skipped_tokens", [0])
        tellTokens()
    }

    /// The request came to nothing; `reason` is LoRAX's word for it.
    func fail(_ reason: String) {
        let reason = reason == "dropped" ? reason : adapterFailure ?? reason
        metrics.fail(reason)
        metrics.increment("pbctl_requests_total", [adapterLabel, reason])
        tellTokens()
    }

    private func tellTokens() {
        if let timeToFirstToken { metrics.observe("pbctl_time_to_first_token_seconds", [timeToFirstToken.seconds]) }
        metrics.observe("pbctl_inter_token_seconds", gaps)
        metrics.increment("pbctl_prompt_tokens_total", [adapterLabel], by: Double(promptTokenCount))
        metrics.increment("pbctl_generated_tokens_total", [adapterLabel], by: Double(generatedTokenCount))
    }
}

extension Duration {
    /// As a number of seconds.
    var seconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) + Double(attoseconds) / 1e18
    }

    /// In whole milliseconds.
    var milliseconds: Int {
        let (seconds, attoseconds) = components
        return Int(seconds) * 1000 + Int(attoseconds / 1_000_000_000_000_000)
    }
}
