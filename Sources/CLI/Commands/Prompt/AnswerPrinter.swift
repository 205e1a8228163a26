import ServingEngine
import ServingJSON
import ServingRuntime
import ServingTokenizers
import Terminal

/// Writes one request's answers in the form asked for: text as it comes, an object at the end, or a line a token.
struct AnswerPrinter: Sendable {
    let format: PromptCommand.Format
    let tokenizer: Tokenizer?
    let sampleCount: Int

    private var output: TextOutput { .standard }
    /// Several texts can't be streamed into one another; they follow one another at the end.
    private var streamsText: Bool { format == .text && sampleCount == 1 }

    /// Takes events until the request ends.
    func print(_ events: AsyncStream<GenerationEvent>) async throws -> GenerationOutput {
        var result = GenerationOutput()
        for await event in events {
            result.add(event)
            switch event {
            case .token(let token):
                if streamsText, !token.text.isEmpty { try output.write(token.text) }
                if format == .jsonl { try output.writeLine(line(token).text()) }
                // Whoever reads a pipe wants tokens as they come, too.
                try output.flush()
            case .finished(let finish):
                if streamsText, !finish.text.isEmpty { try output.write(finish.text) }
            case .started, .prompt, .embedding: break
            }
        }
        return result
    }

    private func line(_ token: GenerationEvent.Token) -> JSONValue {
        var object: JSONObject = JSONObject([("text", .string(token.text)), ("id", .integer(Int64(token.id)))])
        if sampleCount > 1 { object["index"] = .integer(Int64(token.sampleIndex)) }
        if let value = token.logProbability { object["logprob"] = .number(Double(value)) }
        return .object(object)
    }

    /// Writes what is to be written once all is there.
    func finish(_ answers: [Answer], model: LocalModel) throws {
        switch format {
        case .text:
            if !streamsText {
                for (index, answer) in answers.enumerated() {
                    if index > 0 { try output.writeLine("---") }
                    try output.writeLine(answer.sample.text)
                }
            } else if answers.first?.sample.text.hasSuffix("\n") != true {
                try output.writeLine()
            }
        case .json, .jsonl:
            var objects = answers.map { $0.json(tokenizer: tokenizer) }
            for index in objects.indices {
                if format == .jsonl { objects[index]["output_ids"] = nil }
                if sampleCount > 1 { objects[index]["index"] = .integer(Int64(answers[index].sample.index)) }
            }
            var head = JSONObject([("model", .string(model.name))])
            head["load_seconds"] = .number(model.loadDuration.inSeconds)
            if sampleCount == 1, let only = objects.first {
                for (key, value) in only.members { head[key] = value }
            } else {
                head["samples"] = .array(objects.map { .object($0) })
            }
            try output.writeLine(JSONValue.object(head).text())
        }
    }
}
