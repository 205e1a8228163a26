import ServingEngine
import ServingJSON
import ServingTensors
import ServingTokenizers

/// One finished sample in its forms for people and for scripts.
struct Answer {
    let sample: GenerationOutput.Sample
    let start: GenerationEvent.Start?

    /// All samples of a request.
    static func all(of output: GenerationOutput) -> [Answer] {
        output.samples.map { Answer(sample: $0, start: output.start) }
    }

    private var finish: GenerationEvent.Finish? { sample.finish }

    /// The message of a sample that failed.
    var failure: String? { if case .failed(let message) = finish?.reason { message } else { nil } }

    /// The answer's fields, in OpenAI's words where it has them; times in seconds.
    func json(tokenizer: Tokenizer?) -> JSONObject {
        var object = JSONObject()
        object["text"] = .string(sample.text)
        object["output_ids"] = .array(sample.tokenIDs.map { .integer(Int64($0)) })
        guard let finish else { return object }
        object["finish_reason"] = .string(finish.reason.name)
        switch finish.reason {
        case .stopSequence(let stop): object["stop"] = .string(stop)
        case .failed(let message): object["error"] = .string(message)
        default: break
        }
        let scored = sample.tokens.filter { $0.logProbability != nil }
        if !scored.isEmpty { object["logprobs"] = Self.logProbabilities(scored, tokenizer) }
        object["usage"] = finish.usage.json
        object["timings"] = finish.timings.json
        if let start { object["seed"] = .integer(Int64(bitPattern: start.seed)) }
        return object
    }

    private static func logProbabilities(
        _ tokens: [GenerationEvent.Token], _ tokenizer: Tokenizer?
    ) -> JSONValue {
        func entry(_ id: TokenID, _ logProbability: Float?) -> JSONObject {
            var entry = JSONObject()
            entry["id"] = .integer(Int64(id))
            if let text = tokenizer?.decode([id], skippingSpecialTokens: false) { entry["token"] = .string(text) }
            entry["logprob"] = logProbability.map { .number(Double($0)) } ?? .null
            return entry
        }
        return .array(
            tokens.map { token in
                var object = entry(token.id, token.logProbability)
                if !token.alternatives.isEmpty {
                    object["top"] = .array(token.alternatives.map { .object(entry($0.id, $0.logProbability)) })
                }
                return .object(object)
            })
    }

    /// One line on how long it took.
    var statistics: String {
        guard let finish else { return "no answer" }
        let (usage, timings) = (finish.usage, finish.timings)
        let count = usage.completionTokenCount
        var parts = [count == 1 ? "1 token" : "\(count) tokens"]
        if usage.completionTokenCount > 1, timings.decode > .zero {
            let rate = Double(usage.completionTokenCount - 1) / timings.decode.inSeconds
            parts.append("\(rate.formatted(decimals: 1)) tok/s")
        }
        if let first = timings.timeToFirstToken {
            parts.append("first token \((first.inSeconds * 1000).formatted(decimals: 0)) ms")
        }
        var prompt = "prompt \(usage.promptTokenCount) tokens"
        if usage.cachedTokenCount > 0 { prompt += " (\(usage.cachedTokenCount) cached)" }
        let computed = usage.promptTokenCount - usage.cachedTokenCount
        if timings.prefill > .zero {
            prompt += " at \((Double(computed) / timings.prefill.inSeconds).formatted(decimals: 0)) tok/s"
        }
        return (parts + [prompt, finish.reason.name]).joined(separator: " · ")
    }
}

extension GenerationEvent.Usage {
    var json: JSONValue {
        [
            "prompt_tokens": .integer(Int64(promptTokenCount)),
            "completion_tokens": .integer(Int64(completionTokenCount)),
            "total_tokens": .integer(Int64(promptTokenCount + completionTokenCount)),
            "cached_tokens": .integer(Int64(cachedTokenCount)),
        ]
    }
}

extension GenerationEvent.Timings {
    var json: JSONValue {
        [
            "queue": .number(queue.inSeconds), "prefill": .number(prefill.inSeconds),
            "decode": .number(decode.inSeconds),
            "time_to_first_token": timeToFirstToken.map { .number($0.inSeconds) } ?? .null,
        ]
    }
}

extension FinishReason {
    /// OpenAI's word for it, or ours where it has none.
    var name: String {
        switch self {
        case .stop, .stopSequence: "stop"
        case .length: "length"
        case .cancelled: "cancelled"
        case .failed: "error"
        }
    }
}

extension Duration {
    /// The duration as a number of seconds, to the microsecond.
    var inSeconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) + Double(attoseconds / 1_000_000_000_000) / 1e6
    }
}

extension Double {
    /// The number with so many digits after the point.
    func formatted(decimals: Int) -> String {
        guard isFinite else { return "\(self)" }
        var scale = 1.0
        for _ in 0..<decimals { scale *= 10 }
        let rounded = (magnitude * scale).rounded()
        guard rounded < 1e15 else { return "\(self)" }
        let whole = Int(rounded)
        var digits = String(whole)
        guard decimals > 0 else { return (self < 0 && whole > 0 ? "-" : "") + digits }
        while digits.count <= decimals { digits = "0" + digits }
        return (self < 0 && whole > 0 ? "-" : "") + digits.dropLast(decimals) + "." + digits.suffix(decimals)
    }
}
