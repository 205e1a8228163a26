import ServingEngine
import ServingModels
import ServingRuntime
import ServingTensors

/// Answers with a model in this process.
///
/// Each question goes to the same engine with the whole conversation as its prompt. As long as the chat template only
/// adds at the end, the engine has the keys and values of all but the last turn in its prefix cache.
///
/// Without a chat template a conversation is text that the model continues:
/// ```
/// <system message>
///
/// User: <question>
/// Assistant: <answer>
/// User: <question>
/// Assistant:
/// ```
/// and an answer ends where the model would begin the next `User:` line.
struct LocalAnswerer: ChatAnswering {
    private let model: LocalModel
    private let codec: TextCodec
    private let adapter: AdapterLease?

    /// - Throws: an error where the model has no tokenizer.
    init(_ model: LocalModel, adapter: AdapterLease? = nil) throws {
        self.model = model
        self.adapter = adapter
        codec = try model.requireCodec()
    }

    var name: String { model.name }
    var templateSource: String? { codec.chatTemplateSource }

    var contextLength: Int? { positionCount }

    private var positionCount: Int {
        let limits = model.engine.limits
        let (positions, overflow) = limits.blockCount.multipliedReportingOverflow(by: limits.positionsPerBlock)
        return overflow ? limits.contextLength : min(limits.contextLength, positions)
    }

    var facts: [(name: String, value: String)] {
        let config = model.config
        return [
            ("model", model.name),
            ("path", model.path),
            ("architecture", config.architecture),
            ("layers", "\(config.layerCount)"),
            ("vocabulary", "\(config.vocabularyCount) tokens"),
            ("context", "\(positionCount) tokens"),
            ("chat template", templateSource == nil ? "none" : "yes (/show template)"),
            ("loaded in", "\(model.loadDuration.inSeconds.formatted(decimals: 2)) s"),
        ]
    }

    func promptTokens(_ messages: [ChatMessage]) throws -> [TokenID] {
        guard codec.hasChatTemplate else { return codec.promptTokens(Self.plainPrompt(messages)) }
        return try codec.promptTokens(chat: ChatPrompt(messages: messages.map(\.json)))
    }

    func answer(
        _ prompt: FittedPrompt, settings: ChatSettings, attempt: UInt64,
        onText: @escaping @Sendable (String) throws -> Void
    ) async throws -> ChatAnswer {
        let events = try submit(request(prompt.tokenIDs, settings, attempt))
        var output = GenerationOutput()
        var text = ""
        // In the plain form the space after "Assistant:" is no part of the answer.
        var skipsSpace = !codec.hasChatTemplate
        func take(_ piece: String) throws {
            let piece = skipsSpace ? String(piece.drop(while: \.isWhitespace)) : piece
            guard !piece.isEmpty else { return }
            skipsSpace = false
            text += piece
            try onText(piece)
        }
        for await event in events {
            output.add(event)
            switch event {
            case .token(let token): try take(token.text)
            case .finished(let finish): try take(finish.text)
            case .started, .prompt, .embedding: break
            }
        }
        let answer = Answer.all(of: output).first
        return ChatAnswer(
            text: text, end: Self.end(answer?.sample.finish?.reason), tokenCount: answer?.sample.tokens.count ?? 0,
            statistics: answer?.sample.finish == nil ? nil : answer?.statistics)
    }

    private func request(
        _ promptTokenIDs: [TokenID], _ settings: ChatSettings, _ attempt: UInt64
    ) -> GenerationRequest {
        var sampling = settings.sampling
        sampling.seed = sampling.seed.map { $0 &+ attempt }
        // An answer that was stopped may not have ended in the engine yet, so that one id will not do for all.
        let id = "chat-\(UInt64.random(in: 0 ... .max))"
        var request = model.request(id: id, promptTokenIDs: promptTokenIDs, sampling: sampling)
        request.maxTokenCount = settings.maxTokenCount
        request.stopStrings = settings.stopStrings
        if !codec.hasChatTemplate, request.stopStrings.count < GenerationRequest.stopStringLimit {
            request.stopStrings.append("\nUser:")
        }
        request.stopTokenIDs = settings.stopTokenIDs
        request.ignoresEndOfGeneration = settings.ignoresEndOfGeneration
        adapter?.apply(to: &request)
        return request
    }

    private func submit(_ request: GenerationRequest) throws -> AsyncStream<GenerationEvent> {
        do throws(SubmissionError) { return try model.engine.submit(request) } catch {
            throw PromptCommand.failure(for: error)
        }
    }

    private static func end(_ reason: FinishReason?) -> ChatAnswer.End {
        switch reason {
        case .stop, .stopSequence: .complete
        case .length: .length
        case .failed(let message): .failed(message)
        case .cancelled, nil: .interrupted
        }
    }

    /// A conversation for a model without a chat template.
    static func plainPrompt(_ messages: [ChatMessage]) -> String {
        var text = ""
        for message in messages {
            switch message.role {
            case "system": text += message.content + "\n\n"
            case "assistant": text += "Assistant: \(message.content)\n"
            case "user": text += "User: \(message.content)\n"
            case let role: text += "\(role): \(message.content)\n"
            }
        }
        return text + "Assistant:"
    }
}
