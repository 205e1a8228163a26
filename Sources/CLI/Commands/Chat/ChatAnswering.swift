import ServingTensors

/// What a conversation needs of a model. ``LocalAnswerer`` is one in this process, ``DeploymentAnswerer`` one on a
/// server.
protocol ChatAnswering: Sendable {
    /// Short name of the model.
    var name: String { get }
    /// Most tokens of prompt and answer together; nil where only the model's server can tell, and counts them itself.
    var contextLength: Int? { get }
    /// What there is to say about the model, for `/show info`.
    var facts: [(name: String, value: String)] { get }
    /// The chat template, or nil where the model has none and text is continued.
    var templateSource: String? { get }

    /// Tokens of a conversation up to where the answer begins. Not called where ``contextLength`` is nil.
    func promptTokens(_ messages: [ChatMessage]) throws -> [TokenID]

    /// Answers a prompt. Cancelling the calling task ends the answer, which is then returned as far as it came.
    /// - Parameters:
    ///   - attempt: 0 for the first answer to a question, one more for each other answer: varies a fixed seed.
    ///   - onText: takes the answer as it comes. What it throws ends the answer.
    func answer(
        _ prompt: FittedPrompt, settings: ChatSettings, attempt: UInt64,
        onText: @escaping @Sendable (String) throws -> Void
    ) async throws -> ChatAnswer
}

/// One answer of a model.
struct ChatAnswer: Sendable, Equatable {
    /// Why it ended.
    enum End: Sendable, Equatable {
        /// The model had said all.
        case complete
        /// As many tokens as allowed, or as the context holds.
        case length
        /// The user stopped it.
        case interrupted
        /// The model failed, and how.
        case failed(String)
    }

    var text: String
    var end: End
    /// Tokens generated.
    var tokenCount: Int
    /// One line on how long it took, or nil where that is not known.
    var statistics: String?
}
