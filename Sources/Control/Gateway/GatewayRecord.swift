import Deployments
import HTTPServing
import Synchronization

/// One request on its way through the gateway: its times, its tokens, its end. Whoever answers the request holds it;
/// one that nobody holds any more without an end was dropped by its client.
final class GatewayRecord: Sendable {
    private struct State {
        var waited = Duration.zero
        /// Time between the request and its first sending, less waiting.
        var before: Duration?
        /// Time between a replica's answer and its passing on.
        var after = Duration.zero
        var firstToken: ContinuousClock.Instant?
        var lastToken: ContinuousClock.Instant?
        var tokenCount = 0
        var replicaQueue = Duration.zero
        var inference: Duration?
        var promptTokenCount = 0
        var generatedTokenCount: Int?
        var hasEnded = false
    }

    let deployment: DeploymentName
    let adapter: String?
    private let startedAt: ContinuousClock.Instant
    private let labels: [String]
    private let metrics: GatewayMetrics
    private let clock: any ControlClock
    private let sink: @Sendable (RequestSample) -> Void
    private let ticket: Admission.Ticket
    private let state = Mutex(State())

    init(
        _ deployment: DeploymentName, adapter: String?, startedAt: ContinuousClock.Instant, ticket: Admission.Ticket,
        metrics: GatewayMetrics, clock: any ControlClock, sink: @escaping @Sendable (RequestSample) -> Void
    ) {
        self.deployment = deployment
        self.adapter = adapter
        self.startedAt = startedAt
        self.ticket = ticket
        self.metrics = metrics
        self.clock = clock
        self.sink = sink
        labels = metrics.labels(deployment, adapter)
        metrics.begin(labels)
    }

    deinit { end(.dropped, failure: "dropped") }

    /// It waited for a replica.
    func wait(_ duration: Duration) { state.withLock { $0.waited += duration } }

    /// It is about to be sent.
    func send() {
        let passed = ContinuousClock.now - startedAt
        state.withLock { if $0.before == nil { $0.before = passed - $0.waited } }
    }

    /// The answer was held up by the gateway for so long.
    func hold(_ duration: Duration) { state.withLock { $0.after += duration } }

    /// Tokens came.
    func tokens(_ count: Int) {
        guard count > 0 else { return }
        let now = ContinuousClock.now
        state.withLock { state in
            if state.firstToken == nil { state.firstToken = now }
            state.lastToken = now
            state.tokenCount += count
        }
    }

    /// The replica told how it spent its time.
    func time(queue: Duration, inference: Duration, promptTokenCount: Int, generatedTokenCount: Int) {
        state.withLock { state in
            state.replicaQueue = queue
            state.inference = inference
            state.promptTokenCount = promptTokenCount
            state.generatedTokenCount = generatedTokenCount
        }
    }

    /// It has ended. Only the first call counts.
    func end(_ outcome: RequestSample.Outcome, failure: String? = nil) {
        let now = ContinuousClock.now
        let final = state.withLock { state -> State? in
            guard !state.hasEnded else { return nil }
            state.hasEnded = true
            return state
        }
        guard let final else { return }
        var sample = RequestSample(deployment: deployment, adapter: adapter, endedAt: clock.now(), outcome: outcome)
        sample.totalDuration = now - startedAt
        sample.queueDuration = final.waited + final.replicaQueue
        let begun = final.before.map { startedAt + final.waited + $0 }
        sample.inferenceDuration = final.inference ?? begun.map { max(.zero, now - $0 - final.replicaQueue) } ?? .zero
        sample.promptTokenCount = final.promptTokenCount
        sample.generatedTokenCount = final.generatedTokenCount ?? final.tokenCount
        if let first = final.firstToken {
            sample.timeToFirstToken = first - startedAt
            if let last = final.lastToken, final.tokenCount > 1 {
                sample.interTokenDuration = (last - first) / (final.tokenCount - 1)
            }
        }
        metrics.end(
            sample, labels, failure: failure, waited: final.waited, added: final.before.map { $0 + final.after })
        sink(sample)
    }

    /// It has ended with an error of the gateway's.
    func end(_ error: GatewayError) {
        switch error.status {
        case 429: end(.overloaded, failure: "overloaded")
        case 504: end(.overloaded, failure: "timeout")
        case 499: end(.dropped, failure: "dropped")
        case ..<500: end(.rejected, failure: "validation")
        default: end(.failed, failure: error.code ?? "generation")
        }
    }

    /// It has ended with an answer of a replica's.
    func end(status: Int) {
        switch status {
        case ..<400: end(.success)
        case 424: end(.failed, failure: "generation")
        case 429: end(.overloaded, failure: "overloaded")
        case ..<500: end(.rejected, failure: "validation")
        default: end(.failed, failure: "generation")
        }
    }
}
