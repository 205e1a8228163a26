import ControlClient
import Deployments
import ServingJSON
import Synchronization
import Terminal

/// One request to a deployment over OpenAI's API, its answer taken as it comes.
struct CompletionCall: Sendable {
    let target: DeploymentTarget
    /// Whether text is continued (`completions`) or a conversation answered (`chat/completions`).
    let isRaw: Bool
    let body: JSONObject

    /// The whole of an answer.
    struct Result: Sendable, Equatable {
        struct Choice: Sendable, Equatable {
            var text = ""
            var finishReason: String?
            /// As the server gave it, piece by piece.
            var logprobs: [JSONValue] = []
        }

        var choices: [Choice] = [Choice()]
        var usage: JSONValue?
        /// Seconds until the first piece of text, and until the end.
        var firstTextSeconds: Double?
        var totalSeconds = 0.0
    }

    /// Makes the request. Cancelling the calling task ends it, also at the server.
    /// - Parameter onText: takes each piece with the choice that it is of.
    func run(onText: @escaping @Sendable (Int, String) throws -> Void) async throws -> Result {
        var body = body
        body["stream"] = true
        body["stream_options"] = ["include_usage": true]
        let reception = Mutex(CompletionReception(name: target.name.text))
        let tellsProgress = TextOutput.error.isTerminal
        defer { reception.withLock { $0.line.clear() } }
        try await target.client.post(
            "/deployments/\(target.name)/v1/\(isRaw ? "" : "chat/")completions", .object(body),
            // The head then comes at once, and errors as events, which is for people who watch.
            fields: tellsProgress ? ["x-pbctl-progress: 1"] : []
        ) { frame in
            for (choice, text) in try reception.withLock({ try $0.take(frame) }) { try onText(choice, text) }
            return true
        }
        return try reception.withLock { try $0.finish() }
    }
}

/// What has come of an answer.
struct CompletionReception {
    let name: String
    var line = StatusLine(isVerbose: false)
    private var result = CompletionCall.Result()
    private let start = ContinuousClock.now
    private var isWhole = false

    init(name: String) { self.name = name }

    /// Takes a frame; gives the pieces of text in it.
    mutating func take(_ frame: StreamFrame) throws -> [(Int, String)] {
        switch frame {
        case .comment(let text):
            if let waiting = (try? JSONValue(parsing: text))?["waiting"] { line.show(Self.sentence(waiting, name)) }
            return []
        case .data("[DONE]"):
            isWhole = true
            return []
        case .data(let text):
            line.clear()
            guard let json = try? JSONValue(parsing: text), json.objectValue != nil else {
                throw CommandFailure("deployment \"\(name)\" answers with what is no JSON")
            }
            if let error = json["error"] { throw Self.failure(error, name) }
            return take(json)
        }
    }

    private mutating func take(_ json: JSONValue) -> [(Int, String)] {
        if let usage = json["usage"], !usage.isNull { result.usage = usage }
        var pieces: [(Int, String)] = []
        for choice in json["choices"]?.arrayValue ?? [] {
            let index = choice["index"]?.intValue ?? 0
            guard (0..<1024).contains(index) else { continue }
            while result.choices.count <= index { result.choices.append(CompletionCall.Result.Choice()) }
            if let reason = choice["finish_reason"]?.stringValue { result.choices[index].finishReason = reason }
            if let logprobs = choice["logprobs"], !logprobs.isNull { result.choices[index].logprobs.append(logprobs) }
            let delta = choice["delta"]?["content"] ?? choice["text"] ?? choice["message"]?["content"]
            guard let text = delta?.stringValue, !text.isEmpty else { continue }
            if result.firstTextSeconds == nil { result.firstTextSeconds = (ContinuousClock.now - start).inSeconds }
            result.choices[index].text += text
            pieces.append((index, text))
        }
        return pieces
    }

    mutating func finish() throws -> CompletionCall.Result {
        guard isWhole || result.choices.allSatisfy({ $0.finishReason != nil }) else {
            throw CommandFailure(
                "deployment \"\(name)\": the answer broke off", hint: "'pbctl status \(name)' may say why",
                status: ExitStatus.tryAgain)
        }
        result.totalSeconds = (ContinuousClock.now - start).inSeconds
        return result
    }

    /// `waking demo: loading the model, 40 %`.
    static func sentence(_ waiting: JSONValue, _ name: String) -> String {
        let message = waiting["message"]?.stringValue ?? waiting["status"]?.stringValue ?? ""
        let position = waiting["position"]?.intValue ?? 0
        let place = position > 1 ? " (number \(position) in the queue)" : ""
        let verb = waiting["status"]?.stringValue == "ready" ? "waiting for" : "waking"
        return "\(verb) \(name)\(message.isEmpty ? "" : ": \(message)")\(place)"
    }

    private static let passing: Set<String> = [
        "rate_limit_exceeded", "timeout", "shutting_down", "replica_unavailable", "replica_lost",
    ]

    private static func failure(_ error: JSONValue, _ name: String) -> CommandFailure {
        let message = error["message"]?.stringValue ?? error.stringValue ?? error.text()
        let isPassing = error["code"]?.stringValue.map { passing.contains($0) } ?? false
        return CommandFailure(message, status: isPassing ? ExitStatus.tryAgain : ExitStatus.failed)
    }
}
