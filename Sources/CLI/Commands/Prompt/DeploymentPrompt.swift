import Deployments
import ServingJSON
import Terminal

/// One prompt to a deployment, its answer printed as it comes.
struct DeploymentPrompt: Sendable {
    let target: DeploymentTarget
    let format: PromptCommand.Format
    let adapter: String?
    let sampleCount: Int

    /// Sends a body and prints the answer.
    /// - Returns: a line on how long it took, and whether Ctrl-C ended it.
    func run(_ body: JSONObject, isRaw: Bool) async throws -> (statistics: [String], wasInterrupted: Bool) {
        let call = CompletionCall(target: target, isRaw: isRaw, body: body)
        let (format, sampleCount) = (format, sampleCount)
        let (result, wasInterrupted) = await InterruptMonitor.run { () async throws -> CompletionCall.Result in
            try await call.run { choice, text in
                let output = TextOutput.standard
                switch format {
                case .text where sampleCount == 1:
                    try output.write(ChatConsole.displayable(text, isTerminal: output.isTerminal))
                case .jsonl: try output.writeLine(Self.piece(choice, text, sampleCount: sampleCount).text())
                case .text, .json: break
                }
                // Whoever reads a pipe wants text as it comes, too.
                try output.flush()
            }
        }
        try TextOutput.standard.flush()
        if wasInterrupted { return ([], true) }
        let answer = try result.get()
        try write(answer)
        return (answer.choices.indices.map { Self.statistics(answer, choice: $0) }, false)
    }

    private static func piece(_ choice: Int, _ text: String, sampleCount: Int) -> JSONValue {
        var object = JSONObject([("text", .string(text))])
        if sampleCount > 1 { object["index"] = .integer(Int64(choice)) }
        return .object(object)
    }

    private func write(_ answer: CompletionCall.Result) throws {
        let output = TextOutput.standard
        switch format {
        case .text where sampleCount == 1:
            if answer.choices.first?.text.hasSuffix("\n") != true { try output.writeLine() }
        case .text:
            for (index, choice) in answer.choices.enumerated() {
                if index > 0 { try output.writeLine("---") }
                try output.writeLine(choice.text)
            }
        case .json, .jsonl: try output.writeLine(JSONValue.object(json(answer)).text())
        }
        try output.flush()
    }

    /// The answer in the form of a local prompt's.
    func json(_ answer: CompletionCall.Result) -> JSONObject {
        var object = JSONObject([("deployment", .string(target.name.text))])
        if let adapter { object["adapter"] = .string(adapter) }
        let choices = answer.choices.enumerated().map { index, choice in
            var entry = JSONObject([("text", .string(choice.text))])
            entry["finish_reason"] = choice.finishReason.map { .string($0) } ?? .null
            if !choice.logprobs.isEmpty { entry["logprobs"] = .array(choice.logprobs) }
            if sampleCount > 1 { entry["index"] = .integer(Int64(index)) }
            return entry
        }
        if sampleCount == 1, let only = choices.first {
            for (key, value) in only.members { object[key] = value }
        } else {
            object["samples"] = .array(choices.map { .object($0) })
        }
        object["usage"] = answer.usage ?? .null
        object["timings"] = [
            "time_to_first_token": answer.firstTextSeconds.map { .number($0) } ?? .null,
            "total": .number(answer.totalSeconds),
        ]
        return object
    }

    /// One line on how long it took, as the client saw it.
    static func statistics(_ answer: CompletionCall.Result, choice: Int) -> String {
        var parts: [String] = []
        if let count = answer.usage?["completion_tokens"]?.intValue {
            parts.append(count == 1 ? "1 token" : "\(count) tokens")
            if let first = answer.firstTextSeconds, count > 1, answer.totalSeconds > first {
                parts.append("\((Double(count - 1) / (answer.totalSeconds - first)).formatted(decimals: 1)) tok/s")
            }
        }
        if let first = answer.firstTextSeconds { parts.append("first token \(Figures.seconds(first))") }
        if let count = answer.usage?["prompt_tokens"]?.intValue { parts.append("prompt \(count) tokens") }
        parts.append("\(Figures.seconds(answer.totalSeconds)) in all")
        if let reason = answer.choices[choice].finishReason { parts.append(reason) }
        return parts.joined(separator: " · ")
    }
}
