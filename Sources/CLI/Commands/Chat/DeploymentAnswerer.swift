import ControlClient
import Deployments
import ServingEngine
import ServingJSON
import ServingTensors
import Synchronization

/// Answers with a deployment, over OpenAI's API. The server renders the conversation and counts its tokens.
struct DeploymentAnswerer: ChatAnswering {
    private let target: DeploymentTarget
    private let adapter: String?

    init(_ target: DeploymentTarget, adapter: String?) {
        self.target = target
        self.adapter = adapter
    }

    var name: String { target.name.text + (adapter.map { ":\($0)" } ?? "") }
    var contextLength: Int? { nil }
    var templateSource: String? { "(the deployment's own)" }

    var facts: [(name: String, value: String)] {
        [
            ("deployment", target.name.text), ("adapter", adapter ?? "none"), ("server", target.client.url),
        ]
    }

    func promptTokens(_ messages: [ChatMessage]) throws -> [TokenID] { [] }

    func answer(
        _ prompt: FittedPrompt, settings: ChatSettings, attempt: UInt64,
        onText: @escaping @Sendable (String) throws -> Void
    ) async throws -> ChatAnswer {
        let text = Mutex("")
        do {
            let call = CompletionCall(target: target, isRaw: false, body: body(prompt, settings, attempt))
            let result = try await call.run { choice, piece in
                guard choice == 0 else { return }
                text.withLock { $0 += piece }
                try onText(piece)
            }
            return ChatAnswer(
                text: text.withLock { $0 }, end: result.choices[0].finishReason == "length" ? .length : .complete,
                tokenCount: result.usage?["completion_tokens"]?.intValue ?? 0,
                statistics: DeploymentPrompt.statistics(result, choice: 0))
        } catch let error as ControlClientError where error.code == .cancelled {
            return ChatAnswer(text: text.withLock { $0 }, end: .interrupted, tokenCount: 0, statistics: nil)
        }
    }

    private func body(_ prompt: FittedPrompt, _ settings: ChatSettings, _ attempt: UInt64) -> JSONObject {
        var body = CompletionBody.adapter(adapter)
        var sampling = settings.sampling
        sampling.seed = sampling.seed.map { ($0 &+ attempt) & UInt64(Int64.max) }
        let chosen = CompletionBody.sampling(
            sampling, maxTokens: settings.maxTokenCount, stop: settings.stopStrings,
            ignoresEndOfGeneration: settings.ignoresEndOfGeneration)
        for (key, value) in chosen.members { body[key] = value }
        body["messages"] = .array(prompt.messages.map(\.json))
        return body
    }
}
