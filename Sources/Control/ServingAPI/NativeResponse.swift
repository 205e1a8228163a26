package import HTTPServing
package import ServingEngine
package import ServingJSON
import ServingTensors

/// Shapes an answer as LoRAX does.
package struct NativeResponse: Sendable {
    private let parameters: NativeParameters
    private let prompt: String
    private let texts: any TokenTexts

    /// For the answer to one request; `prompt` is its text.
    package init(_ parameters: NativeParameters, prompt: String, texts: any TokenTexts) {
        self.parameters = parameters
        self.prompt = prompt
        self.texts = texts
    }

    private var hasDetails: Bool { parameters.details || parameters.decoderInputDetails }

    /// A finished answer: `{"generated_text", "details"}`, the likeliest sample first.
    ///
    /// - Throws: `incomplete` where a sample did not come to its end, `generation` where the model failed.
    package func json(_ output: GenerationOutput) throws(NativeError) -> JSONBytes {
        for sample in output.samples { try Self.check(sample.finish) }
        guard let best = output.samples.max(by: { Self.score($0) < Self.score($1) }) else { throw .incomplete }
        var json = JSONBytes(capacity: 512 + best.tokens.count * (hasDetails ? 96 : 8))
        json.openObject()
        json.member("generated_text", fullText(best.text))
        if hasDetails {
            json.key("details")
            json.openObject()
            writeSample(best, output, &json)
            let others = output.samples.filter { $0.index != best.index }
            if !others.isEmpty {
                json.key("best_of_sequences")
                json.openArray()
                for other in others {
                    json.openObject()
                    json.member("generated_text", fullText(other.text))
                    writeSample(other, output, &json)
                    json.closeObject()
                }
                json.closeArray()
            }
            json.closeObject()
        }
        json.closeObject()
        return json
    }

    private func fullText(_ text: String) -> String { parameters.returnFullText ? prompt + text : text }

    /// Mean log probability of the tokens.
    private static func score(_ sample: GenerationOutput.Sample) -> Float {
        guard !sample.tokens.isEmpty else { return -.infinity }
        return sample.tokens.reduce(0) { $0 + ($1.logProbability ?? 0) } / Float(sample.tokens.count)
    }

    private static func check(_ finish: GenerationEvent.Finish?) throws(NativeError) {
        switch finish?.reason {
        case nil, .cancelled: throw .incomplete
        case .failed(let message): throw .generation(message)
        default: return
        }
    }

    private func writeSample(_ sample: GenerationOutput.Sample, _ output: GenerationOutput, _ json: inout JSONBytes) {
        guard let finish = sample.finish else { return }
        json.member("finish_reason", Self.name(finish.reason))
        json.member("prompt_tokens", finish.usage.promptTokenCount)
        json.member("generated_tokens", finish.usage.completionTokenCount)
        json.member("skipped_tokens", 0)
        writeSeed(output.start?.seed, &json)
        json.key("prefill")
        json.openArray()
        for token in output.prompt {
            json.openObject()
            json.member("id", token.id)
            json.member("text", texts.text(of: token.id))
            json.member("logprob", token.logProbability)
            json.closeObject()
        }
        json.closeArray()
        json.key("tokens")
        json.openArray()
        for (index, token) in sample.tokens.enumerated() {
            write(token, rest: index == sample.tokens.count - 1 ? finish.text : "", &json)
        }
        json.closeArray()
    }

    /// The seed is told where it had a part in the answer.
    private func writeSeed(_ seed: UInt64?, _ json: inout JSONBytes) {
        json.key("seed")
        if let seed, parameters.samples { json.integer(seed) } else { json.null() }
    }

    private func write(_ token: GenerationEvent.Token, rest: String, _ json: inout JSONBytes) {
        let isSpecial = texts.isSpecial(token.id)
        let text = token.text + rest
        json.openObject()
        json.member("id", token.id)
        json.member("text", text.isEmpty && isSpecial ? texts.text(of: token.id) : text)
        json.member("logprob", token.logProbability)
        json.member("special", isSpecial)
        if parameters.returnKAlternatives != nil {
            json.key("alternative_tokens")
            json.openArray()
            for alternative in token.alternatives {
                json.openObject()
                json.member("id", alternative.id)
                json.member("text", texts.text(of: alternative.id))
                json.member("logprob", alternative.logProbability)
                json.closeObject()
            }
            json.closeArray()
        }
        json.member("skipped", false)
        json.closeObject()
    }

    static func name(_ reason: FinishReason) -> String {
        switch reason {
        case .stop: "eos_token"
        case .stopSequence: "stop_sequence"
        default: "length"
        }
    }

    /// Shapes the events of one request for `/generate_stream`, or of what is left of it.
    package func stream(resuming resumed: ResumedAnswer? = nil) -> Stream { Stream(self, resumed) }

    /// One event a token; the last one carries the whole text. It is held back until the engine says how the answer
    /// ended, which it does together with the last token.
    package struct Stream: Sendable {
        private let response: NativeResponse
        private let resumed: ResumedAnswer?
        private var text = ""
        private var last: GenerationEvent.Token?
        private var seed: UInt64?

        init(_ response: NativeResponse, _ resumed: ResumedAnswer?) {
            self.response = response
            self.resumed = resumed
        }

        /// The bytes to send for an event; empty where there are none.
        ///
        /// - Throws: an error that belongs into the stream, which ends with it.
        package mutating func bytes(_ event: GenerationEvent) throws(NativeError) -> [UInt8] {
            try frame(event)?.bytes ?? []
        }

        /// The frame to send for an event, if there is one.
        ///
        /// - Throws: an error that belongs into the stream, which ends with it.
        package mutating func frame(_ event: GenerationEvent) throws(NativeError) -> StreamFrame? {
            switch event {
            case .started(let start):
                seed = start.seed
                text = start.continuedText
            case .prompt, .embedding: break
            case .token(let token):
                text += token.text
                if token.isLast {
                    last = token
                } else {
                    return StreamFrame(frame(token, nil), choice: 0, tokens: [token.id])
                }
            case .finished(let finish):
                try NativeResponse.check(finish)
                text += finish.text
                guard let last else { throw .incomplete }
                let whole = resumed?.whole(finish, choice: 0) ?? finish
                return StreamFrame(frame(last, whole), choice: 0, tokens: [last.id], isFinished: true)
            }
            return nil
        }

        private func frame(_ token: GenerationEvent.Token, _ finish: GenerationEvent.Finish?) -> [UInt8] {
            var json = JSONBytes()
            json.frame("data:")
            json.openObject()
            json.key("token")
            response.write(token, rest: finish?.text ?? "", &json)
            if let finish {
                json.member("generated_text", response.fullText(text))
                json.key("details")
                if response.parameters.details {
                    json.openObject()
                    json.member("finish_reason", NativeResponse.name(finish.reason))
                    json.member("prompt_tokens", finish.usage.promptTokenCount)
                    json.member("generated_tokens", finish.usage.completionTokenCount)
                    response.writeSeed(seed, &json)
                    json.closeObject()
                } else {
                    json.null()
                }
            } else {
                json.nullMember("generated_text")
                json.nullMember("details")
            }
            json.closeObject()
            json.frame("\n\n")
            return json.bytes
        }
    }
}
