package import HTTPServing
package import ServingEngine
package import ServingJSON

/// Shapes an answer of `/v1/chat/completions`.
package struct ChatResponse: Sendable {
    private let identity: OpenAIIdentity
    private let logProbabilities: ChatLogProbabilities?
    private let includesUsage: Bool

    /// For the answer to one request.
    package init(_ request: ChatRequest, _ identity: OpenAIIdentity, texts: any TokenTexts) {
        self.identity = identity
        logProbabilities = request.logProbabilityCount.map { ChatLogProbabilities(count: $0, texts: texts) }
        includesUsage = request.sampling.includesUsage
    }

    /// A finished answer.
    ///
    /// - Throws: what the model or the engine failed with.
    package func json(_ output: GenerationOutput) throws(OpenAIError) -> JSONBytes {
        var json = JSONBytes(capacity: 1024)
        var usage = OpenAIUsage()
        json.openObject()
        identity.write("chat.completion", &json)
        json.key("choices")
        json.openArray()
        for sample in output.samples {
            guard let finish = sample.finish else { throw .server("The answer ended before its end") }
            let reason = try finish.reason.openAIName()
            usage.add(finish)
            json.openObject()
            json.member("index", sample.index)
            json.key("message")
            json.openObject()
            json.member("role", "assistant")
            json.member("content", sample.text)
            json.nullMember("refusal")
            json.closeObject()
            write(sample.tokens[...], &json)
            json.member("finish_reason", reason)
            json.closeObject()
        }
        json.closeArray()
        usage.write(&json)
        json.closeObject()
        return json
    }

    private func write(_ tokens: ArraySlice<GenerationEvent.Token>, _ json: inout JSONBytes) {
        json.key("logprobs")
        if let logProbabilities { logProbabilities.write(tokens, &json) } else { json.null() }
    }

    /// Shapes the events of one request, or of what is left of it; `usage` is what the rest has cost.
    package func stream(resuming resumed: ResumedAnswer? = nil, usage: OpenAIUsage = OpenAIUsage()) -> Stream {
        Stream(self, resumed, usage)
    }

    /// Chunks: the role first, then text as it comes, a reason at the end of each choice, perhaps the usage.
    package struct Stream: EventShaping {
        private let response: ChatResponse
        private let resumed: ResumedAnswer?
        private var usage: OpenAIUsage
        private var begun: Set<Int>
        /// Last tokens, until the engine says what text was held back: their chunk tells it too.
        private var last: [Int: GenerationEvent.Token] = [:]

        init(_ response: ChatResponse, _ resumed: ResumedAnswer?, _ usage: OpenAIUsage) {
            self.response = response
            self.resumed = resumed
            self.usage = usage
            begun = Set(resumed.map { Array($0.choices.keys) } ?? [])
        }

        /// The frames to send for an event.
        ///
        /// - Throws: an error that belongs into the stream, which ends with it.
        package mutating func frames(
            _ event: GenerationEvent, promptIndex: Int
        ) throws(OpenAIError) -> [StreamFrame] {
            switch event {
            case .started, .prompt, .embedding: return []
            case .token(let token):
                if token.isLast {
                    last[token.sampleIndex] = token
                    return begin(token.sampleIndex)
                }
                let bytes = isTold(token) ? chunk(token.sampleIndex, token.text, token: token) : []
                return begin(token.sampleIndex)
                    + [StreamFrame(bytes, choice: token.sampleIndex, tokens: [token.id])]
            case .finished(let finish):
                let index = finish.sampleIndex
                let reason = try finish.reason.openAIName()
                usage.add(resumed?.whole(finish, choice: index) ?? finish)
                var frames = begin(index)
                var end = StreamFrame(chunk(index, nil, reason: reason), choice: index, isFinished: true)
                // Without a last token of this run, the text was told by the run before.
                if let token = last.removeValue(forKey: index) {
                    let text = token.text + finish.text
                    if isTold(token) || !text.isEmpty {
                        let bytes = chunk(index, text, token: isTold(token) ? token : nil)
                        frames.append(StreamFrame(bytes, choice: index, tokens: [token.id]))
                    } else {
                        end.tokens = [token.id]
                    }
                }
                return frames + [end]
            }
        }

        /// The last frames: the usage, if wanted, and `[DONE]`.
        package func endFrames() -> [StreamFrame] {
            let isWanted = response.includesUsage
            return EventStream.end(
                response.identity, object: "chat.completion.chunk", usage: isWanted ? usage : nil)
        }

        private func isTold(_ token: GenerationEvent.Token) -> Bool {
            !token.text.isEmpty || response.logProbabilities?.tells(token) ?? false
        }

        private mutating func begin(_ index: Int) -> [StreamFrame] {
            begun.insert(index).inserted
                ? [StreamFrame(chunk(index, "", role: "assistant"), choice: index)] : []
        }

        private func chunk(
            _ index: Int, _ content: String?, role: String? = nil, token: GenerationEvent.Token? = nil,
            reason: String? = nil
        ) -> [UInt8] {
            EventStream.frame { json in
                json.openObject()
                response.identity.write("chat.completion.chunk", &json)
                json.key("choices")
                json.openArray()
                json.openObject()
                json.member("index", index)
                json.key("delta")
                json.openObject()
                if let role { json.member("role", role) }
                if let content { json.member("content", content) }
                json.closeObject()
                if let token { response.write([token], &json) } else { json.nullMember("logprobs") }
                json.member("finish_reason", reason)
                json.closeObject()
                json.closeArray()
                if response.includesUsage { json.nullMember("usage") }
                json.closeObject()
            }
        }
    }
}

/// `logprobs` of a chat: `{"content": [{"token", "logprob", "bytes", "top_logprobs"}], "refusal": null}`.
struct ChatLogProbabilities: Sendable {
    let count: Int
    let texts: any TokenTexts

    /// The token that ends an answer is not part of it.
    func tells(_ token: GenerationEvent.Token) -> Bool {
        !(token.isLast && token.text.isEmpty && texts.isSpecial(token.id))
    }

    func write(_ tokens: ArraySlice<GenerationEvent.Token>, _ json: inout JSONBytes) {
        json.openObject()
        json.key("content")
        json.openArray()
        for token in tokens where tells(token) {
            json.openObject()
            writeEntry(TokenLogProbability(id: token.id, logProbability: token.logProbability ?? .nan), &json)
            json.key("top_logprobs")
            json.openArray()
            for alternative in token.alternatives.prefix(count) {
                json.openObject()
                writeEntry(alternative, &json)
                json.closeObject()
            }
            json.closeArray()
            json.closeObject()
        }
        json.closeArray()
        json.nullMember("refusal")
        json.closeObject()
    }

    private func writeEntry(_ token: TokenLogProbability, _ json: inout JSONBytes) {
        json.member("token", texts.text(of: token.id))
        // OpenAI writes what is next to impossible as this number; null would break clients.
        json.member("logprob", max(token.logProbability, -9999))
        json.key("bytes")
        json.openArray()
        for byte in texts.bytes(of: token.id) { json.integer(byte) }
        json.closeArray()
    }
}
