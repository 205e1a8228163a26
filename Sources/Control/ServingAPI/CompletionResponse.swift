package import HTTPServing
package import ServingEngine
package import ServingJSON
import ServingTensors

/// Shapes an answer of `/v1/completions`, which may be to several prompts.
package struct CompletionResponse: Sendable {
    private let request: CompletionRequest
    private let identity: OpenAIIdentity
    private let texts: any TokenTexts
    private let promptTexts: [String]

    /// For the answer to one request; `promptTexts` are its prompts as text, where they are echoed.
    package init(
        _ request: CompletionRequest, _ identity: OpenAIIdentity, promptTexts: [String], texts: any TokenTexts
    ) {
        self.request = request
        self.identity = identity
        self.promptTexts = promptTexts
        self.texts = texts
    }

    private var choiceCount: Int { request.sampling.choiceCount }

    private func prompt(_ index: Int) -> String {
        request.echoesPrompt && promptTexts.indices.contains(index) ? promptTexts[index] : ""
    }

    /// Finished answers, one output a prompt.
    ///
    /// - Throws: what the model or the engine failed with.
    package func json(_ outputs: [GenerationOutput]) throws(OpenAIError) -> JSONBytes {
        var json = JSONBytes(capacity: 1024)
        var usage = OpenAIUsage()
        json.openObject()
        identity.write("text_completion", &json)
        json.key("choices")
        json.openArray()
        for (promptIndex, output) in outputs.enumerated() {
            for case let finish? in output.samples.map(\.finish) { usage.add(finish) }
            for (choice, sample) in best(output.samples).enumerated() {
                guard let finish = sample.finish else { throw .server("The answer ended before its end") }
                let reason = try finish.reason.openAIName()
                let prompt = prompt(promptIndex)
                json.openObject()
                json.member("index", promptIndex * choiceCount + choice)
                json.member("text", prompt + sample.text)
                json.key("logprobs")
                if request.logProbabilityCount == nil {
                    json.null()
                } else {
                    var list = CompletionLogProbabilities(count: request.logProbabilityCount ?? 0, texts: texts)
                    for token in output.prompt { list.add(token) }
                    list.offset = prompt.unicodeScalars.count
                    for token in sample.tokens { list.add(token) }
                    list.write(&json)
                }
                json.member("finish_reason", reason)
                json.closeObject()
            }
        }
        json.closeArray()
        usage.write(&json)
        json.closeObject()
        return json
    }

    /// The samples with the highest mean log probability, best first; all of them, in order, where there is no choice.
    private func best(_ samples: [GenerationOutput.Sample]) -> [GenerationOutput.Sample] {
        guard samples.count > choiceCount else { return samples }
        func score(_ sample: GenerationOutput.Sample) -> Float {
            sample.tokens.isEmpty
                ? -.infinity
                : sample.tokens.reduce(0) { $0 + ($1.logProbability ?? 0) } / Float(sample.tokens.count)
        }
        return Array(samples.sorted { score($0) > score($1) }.prefix(choiceCount))
    }

    /// Shapes the events of a request, one for all its prompts, or of what is left of it; `usage` is what the rest has
    /// cost.
    package func stream(resuming resumed: ResumedAnswer? = nil, usage: OpenAIUsage = OpenAIUsage()) -> Stream {
        Stream(self, resumed, usage)
    }

    /// Chunks of the same shape as a finished answer, text as it comes.
    package struct Stream: EventShaping {
        private let response: CompletionResponse
        private let resumed: ResumedAnswer?
        private var usage: OpenAIUsage
        private var begun: Set<Int>
        private var offsets: [Int: Int] = [:]
        private var prompts: [Int: [PromptToken]] = [:]

        init(_ response: CompletionResponse, _ resumed: ResumedAnswer?, _ usage: OpenAIUsage) {
            self.response = response
            self.resumed = resumed
            self.usage = usage
            begun = Set(resumed.map { Array($0.choices.keys) } ?? [])
        }

        /// The frames to send for an event of a prompt.
        ///
        /// - Throws: an error that belongs into the stream, which ends with it.
        package mutating func frames(
            _ event: GenerationEvent, promptIndex: Int
        ) throws(OpenAIError) -> [StreamFrame] {
            switch event {
            case .embedding: return []
            case .started(let start):
                let index = promptIndex * response.choiceCount + start.firstSampleIndex
                if begun.contains(index) {
                    offsets[index] =
                        response.prompt(promptIndex).unicodeScalars.count + start.continuedText.unicodeScalars.count
                }
                return []
            case .prompt(let tokens):
                prompts[promptIndex] = tokens
                return []
            case .token(let token):
                let index = promptIndex * response.choiceCount + token.sampleIndex
                let start = begin(index, promptIndex)
                let isTold = !token.text.isEmpty || response.request.logProbabilityCount != nil
                let bytes = isTold ? chunk(index, token.text, token: token) : []
                return start + [StreamFrame(bytes, choice: index, tokens: [token.id])]
            case .finished(let finish):
                let reason = try finish.reason.openAIName()
                let index = promptIndex * response.choiceCount + finish.sampleIndex
                usage.add(resumed?.whole(finish, choice: index) ?? finish)
                return begin(index, promptIndex)
                    + [StreamFrame(chunk(index, finish.text, reason: reason), choice: index, isFinished: true)]
            }
        }

        /// The last frames: the usage, if wanted, and `[DONE]`.
        package func endFrames() -> [StreamFrame] {
            let isWanted = response.request.sampling.includesUsage
            return EventStream.end(response.identity, object: "text_completion", usage: isWanted ? usage : nil)
        }

        /// The echoed prompt, once a choice.
        private mutating func begin(_ index: Int, _ promptIndex: Int) -> [StreamFrame] {
            guard begun.insert(index).inserted, response.request.echoesPrompt else { return [] }
            var list: CompletionLogProbabilities?
            if let count = response.request.logProbabilityCount {
                list = CompletionLogProbabilities(count: count, texts: response.texts)
                for token in prompts[promptIndex] ?? [] { list?.add(token) }
            }
            let text = response.prompt(promptIndex)
            offsets[index] = text.unicodeScalars.count
            return [StreamFrame(write(index, text, list, nil), choice: index)]
        }

        private mutating func chunk(
            _ index: Int, _ text: String, token: GenerationEvent.Token? = nil, reason: String? = nil
        ) -> [UInt8] {
            var list: CompletionLogProbabilities?
            if let token, let count = response.request.logProbabilityCount {
                list = CompletionLogProbabilities(count: count, texts: response.texts)
                list?.offset = offsets[index, default: 0]
                list?.add(token)
            }
            offsets[index, default: 0] += text.unicodeScalars.count
            return write(index, text, list, reason)
        }

        private func write(
            _ index: Int, _ text: String, _ list: CompletionLogProbabilities?, _ reason: String?
        ) -> [UInt8] {
            EventStream.frame { json in
                json.openObject()
                response.identity.write("text_completion", &json)
                json.key("choices")
                json.openArray()
                json.openObject()
                json.member("index", index)
                json.member("text", text)
                json.key("logprobs")
                if let list { list.write(&json) } else { json.null() }
                json.member("finish_reason", reason)
                json.closeObject()
                json.closeArray()
                if response.request.sampling.includesUsage { json.nullMember("usage") }
                json.closeObject()
            }
        }
    }
}

/// `logprobs` of a completion: lists of tokens, of their log probabilities, of alternatives, and of offsets in the
/// text, counted in code points.
struct CompletionLogProbabilities {
    private struct Entry {
        var token: String
        var logProbability: Float?
        var alternatives: [TokenLogProbability]
        var offset: Int
    }

    let count: Int
    let texts: any TokenTexts
    /// Where the next token's text begins.
    var offset = 0
    private var entries: [Entry] = []

    init(count: Int, texts: any TokenTexts) {
        self.count = count
        self.texts = texts
    }

    mutating func add(_ token: PromptToken) {
        let text = texts.text(of: token.id)
        append(token.id, text, token.logProbability, token.alternatives)
    }

    /// The token that ends an answer is not part of its text.
    mutating func add(_ token: GenerationEvent.Token) {
        if token.isLast, token.text.isEmpty, texts.isSpecial(token.id) { return }
        append(token.id, token.text, token.logProbability, token.alternatives)
    }

    private mutating func append(
        _ id: TokenID, _ text: String, _ logProbability: Float?, _ alternatives: [TokenLogProbability]
    ) {
        entries.append(
            Entry(
                token: name(id), logProbability: logProbability.map { max($0, -9999) },
                alternatives: Array(alternatives.prefix(count)), offset: offset))
        offset += text.unicodeScalars.count
        guard let logProbability, !entries[entries.count - 1].alternatives.contains(where: { $0.id == id }) else {
            return
        }
        entries[entries.count - 1].alternatives.append(TokenLogProbability(id: id, logProbability: logProbability))
    }

    /// OpenAI writes tokens that are no whole characters as their bytes.
    private func name(_ id: TokenID) -> String {
        let text = texts.text(of: id)
        guard text.unicodeScalars.contains("\u{FFFD}") else { return text }
        return "bytes:"
            + texts.bytes(of: id).map { byte in
                let digits = String(byte, radix: 16)
                return "\\x" + (digits.count == 1 ? "0" : "") + digits
            }.joined()
    }

    func write(_ json: inout JSONBytes) {
        json.openObject()
        json.key("tokens")
        json.openArray()
        for entry in entries { json.string(entry.token) }
        json.closeArray()
        json.key("token_logprobs")
        json.openArray()
        for entry in entries { if let value = entry.logProbability { json.number(value) } else { json.null() } }
        json.closeArray()
        json.key("top_logprobs")
        json.openArray()
        for entry in entries {
            guard entry.logProbability != nil else {
                json.null()
                continue
            }
            json.openObject()
            var told: Set<String> = []
            for alternative in entry.alternatives {
                let name = name(alternative.id)
                if told.insert(name).inserted { json.member(name, max(alternative.logProbability, -9999)) }
            }
            json.closeObject()
        }
        json.closeArray()
        json.key("text_offset")
        json.openArray()
        for entry in entries { json.integer(entry.offset) }
        json.closeArray()
        json.closeObject()
    }
}
