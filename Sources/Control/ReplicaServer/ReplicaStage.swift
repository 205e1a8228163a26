import HTTPServing
import Hummingbird
import Synchronization

/// Where a replica stands: loading its model, or answering with it. The load tells how far it is, every request asks.
final class ReplicaStage: Sendable {
    private enum State: Sendable {
        /// The share of the load that is done, 0...1.
        case loading(Double)
        case serving(ReplicaResponder, kept: (any Sendable)?)
    }

    private let state = Mutex(State.loading(0))

    /// The routes; nil until the model is loaded.
    var responder: ReplicaResponder? {
        state.withLock { if case .serving(let responder, _) = $0 { responder } else { nil } }
    }

    /// How far the load is; 100 only when the routes answer.
    var percent: Int {
        state.withLock { state in
            guard case .loading(let share) = state else { return 100 }
            return min(99, Int(share * 100))
        }
    }

    /// The load is so far, 0...1. What is less than was told before changes nothing.
    func advance(to share: Double) {
        state.withLock { state in
            guard case .loading(let before) = state, share > before else { return }
            state = .loading(min(share, 1))
        }
    }

    /// The model is loaded; `hold` stays alive for as long as it answers.
    func serve(_ responder: ReplicaResponder, keeping hold: (any Sendable)?) {
        state.withLock { $0 = .serving(responder, kept: hold) }
    }
}

/// Answers for a replica from the moment it listens: until the model is loaded it says so, then the routes answer.
struct StagedResponder: HTTPResponder {
    typealias Context = ConnectionContext

    let stage: ReplicaStage
    let apiKey: APIKey?

    func respond(to request: Request, context: ConnectionContext) async throws -> Response {
        if let responder = stage.responder { return try await responder.respond(to: request, context: context) }
        if let response = CrossOrigin.preflight(request) { return response }
        return CrossOrigin.opened(reply(request).response, to: request)
    }

    private func reply(_ request: Request) -> HTTPReply {
        if let refusal = ReplicaResponder.refusal(request, apiKey) { return refusal }
        let percent = stage.percent
        if ReplicaResponder.isHealthCheck(request) { return .loading(percent: percent) }
        return request.uri.path.hasPrefix("/v1/")
            ? HTTPReply(OpenAIError.loading(percent: percent)) : HTTPReply(NativeError.loading(percent: percent))
    }
}
