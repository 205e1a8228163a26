import ReplicaServer
import ServingAPI
import ServingAdapters
import ServingTensors
import Synchronization

@testable import ServingEngine
@testable import ServingRuntime

/// A model that answers every prompt with the same words, or waits until it is told to go on.
final class ScriptedModel: ReplicaModel {
    struct Texts: TokenTexts {
        func text(of id: TokenID) -> String { id == 0 ? "</s>" : "w\(id) " }
        func bytes(of id: TokenID) -> [UInt8] { Array(text(of: id).utf8) }
        func isSpecial(_ id: TokenID) -> Bool { id == 0 }
    }

    final class Lease: LeasedAdapter {
        let name: String
        let loadDuration = Duration.milliseconds(5)
        init(name: String) { self.name = name }
        func apply(to request: inout GenerationRequest) { request.adapterKey = AdapterKey(name) }
    }

    private struct State {
        var running: [String: AsyncStream<GenerationEvent>.Continuation] = [:]
        var requests: [GenerationRequest] = []
        var changes: [CheckedContinuation<Void, Never>] = []
        var isCancelled = false
        var acquireCount = 0
        var longestText = 0
    }

    let name = "base"
    let deviceType = "cpu"
    let elementTypeName = "torch.float32"
    let limits = ModelLimits(
        vocabularyCount: 100, contextLength: 64, blockCount: 16, positionsPerBlock: 16, maxBatchedTokens: 64)
    let texts: (any TokenTexts)? = Texts()
    /// Tokens of each answer, after which it ends with token 0.
    let answer: [TokenID]
    /// Whether requests stay unfinished until ``finishAll()``.
    let waits: Bool
    /// Most requests at a time.
    let limit: Int
    /// What its GPU tells.
    let usage: GPUUsage?
    private let state = Mutex(State())

    init(answer: [TokenID] = [1, 2], waits: Bool = false, limit: Int = .max, usage: GPUUsage? = nil) {
        self.usage = usage
        self.answer = answer
        self.waits = waits
        self.limit = limit
    }

    func gpuUsage() -> GPUUsage? { usage }
    /// Bytes of the longest text that was tokenized.
    var longestText: Int { state.withLock { $0.longestText } }
    var requests: [GenerationRequest] { state.withLock { $0.requests } }
    var runningCount: Int { state.withLock { $0.running.count } }

    /// One token a word, after token 50 in front.
    func promptTokens(_ text: String, addingSpecialTokens: Bool) throws -> [TokenID] {
        state.withLock { $0.longestText = max($0.longestText, text.utf8.count) }
        return (addingSpecialTokens ? [50] : []) + text.split(separator: " ").map { TokenID($0.utf8.count % 40 + 10) }
    }

    func promptTokens(chat: ChatPrompt) throws -> [TokenID] {
        guard chat.messages.count < 10 else { throw RuntimeError(.chatTemplate, "too many messages") }
        return chat.messages.map { _ in 60 }
    }

    func vocabularyEntry(of id: TokenID) -> String { "<\(id)>" }
    func text(of ids: [TokenID]) -> String { ids.map { Texts().text(of: $0) }.joined() }

    func acquire(_ selection: AdapterSelection) async throws(AdapterError) -> any LeasedAdapter {
        state.withLock { $0.acquireCount += 1 }
        guard case .single(let id) = selection.choice else { return Lease(name: "merge") }
        switch id {
        case "missing": throw AdapterError(.notFound, "no adapter \"missing\"")
        case "slow":
            while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) }
            state.withLock { $0.isCancelled = true }
            changed()
            throw AdapterError(.cancelled, "the wait was given up")
        default: return Lease(name: id)
        }
    }

    func request(id: String, promptTokenIDs: [TokenID]) -> GenerationRequest {
        var request = GenerationRequest(id: id, promptTokenIDs: promptTokenIDs)
        request.endOfGenerationTokenIDs = [0]
        return request
    }

    func submit(_ request: GenerationRequest) throws(SubmissionError) -> AsyncStream<GenerationEvent> {
        try request.validate(limits: limits)
        if runningCount >= limit { throw .queueFull(limit: limit) }
        let (stream, continuation) = AsyncStream.makeStream(of: GenerationEvent.self)
        continuation.onTermination = { [weak self] _ in self?.end(request.id) }
        state.withLock { state in
            state.requests.append(request)
            state.running[request.id] = continuation
        }
        changed()
        continuation.yield(
            .started(
                .init(
                    seed: 7, promptTokenCount: request.promptTokenIDs.count, cachedTokenCount: 0, queueDuration: .zero))
        )
        if !waits { finish(request) }
        return stream
    }

    private func finish(_ request: GenerationRequest) {
        guard let continuation = state.withLock({ $0.running[request.id] }) else { return }
        let count = min(answer.count + 1, request.maxTokenCount ?? .max)
        let tokens = (answer + [0]).prefix(count)
        for sample in 0..<request.sampleCount {
            for (index, id) in tokens.enumerated() {
                continuation.yield(
                    .token(
                        .init(
                            sampleIndex: sample, id: id, text: id == 0 ? "" : Texts().text(of: id),
                            logProbability: request.logProbabilityCount == nil ? nil : -0.5, alternatives: [],
                            isLast: index == count - 1)))
            }
            continuation.yield(
                .finished(
                    .init(
                        sampleIndex: sample, reason: tokens.last == 0 ? .stop(0) : .length, text: "",
                        usage: .init(
                            promptTokenCount: request.promptTokenIDs.count, cachedTokenCount: 0,
                            completionTokenCount: count), timings: .init())))
        }
        continuation.finish()
    }

    /// Lets every request that waits come to its end.
    func finishAll() { for request in requests { finish(request) } }

    func cancel(_ id: String) { state.withLock { $0.running[id] }?.finish() }

    private func end(_ id: String) {
        state.withLock { _ = $0.running.removeValue(forKey: id) }
        changed()
    }

    func embedding(of tokens: [TokenID], adapter: (any LeasedAdapter)?) async throws -> [Float] {
        [Float(tokens.count), adapter == nil ? 0 : 1]
    }

    func statistics() -> EngineStatistics {
        var statistics = EngineStatistics()
        statistics.runningCount = runningCount
        return statistics
    }

    func adapterStatistics() -> AdapterStatistics { AdapterStatistics() }

    // MARK: Waiting for the script to get somewhere

    private func changed() {
        let waiting = state.withLock { state in
            defer { state.changes = [] }
            return state.changes
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Returns when so many requests run.
    func waitForRunning(_ count: Int) async { await wait { $0.running.count == count } }
    /// How often an adapter was asked for.
    var acquireCount: Int { state.withLock { $0.acquireCount } }
    /// Returns when somebody waits for an adapter.
    func waitForAcquire() async { while state.withLock({ $0.acquireCount }) == 0 { await Task.yield() } }
    /// Returns when the wait for the slow adapter was given up.
    func waitForCancelledAcquire() async { await wait { $0.isCancelled } }

    private func wait(_ holds: (State) -> Bool) async {
        while true {
            var isDone = false
            await withCheckedContinuation { continuation in
                isDone = state.withLock { state in
                    if holds(state) { return true }
                    state.changes.append(continuation)
                    return false
                }
                if isDone { continuation.resume() }
            }
            if isDone { return }
        }
    }
}
