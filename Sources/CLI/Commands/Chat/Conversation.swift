import ServingTensors

/// A system message and what was said since.
///
/// Called by ``ChatSession``. A turn is a question with all that follows it up to the next question.
struct Conversation: Sendable, Equatable {
    /// Stands before all messages and is never left out of a prompt.
    var system: String?
    /// Questions and answers, oldest first.
    private(set) var messages: [ChatMessage] = []

    init(system: String? = nil, messages: [ChatMessage] = []) {
        self.system = system
        self.messages = messages
    }

    /// Adds a message at the end.
    mutating func append(_ message: ChatMessage) { messages.append(message) }

    /// Forgets what was said, not the system message.
    mutating func clear() { messages = [] }

    /// The latest question.
    var lastQuestion: String? { lastQuestionIndex.map { messages[$0].content } }

    /// How many questions there are.
    var questionCount: Int { questionCount(before: messages.count) }

    /// How many of the questions stand before a message.
    func questionCount(before index: Int) -> Int { messages[..<index].count(where: \.isQuestion) }

    private var lastQuestionIndex: Int? { messages.lastIndex(where: \.isQuestion) }

    /// Forgets the last turn. Gives its question, or nil where there is none and nothing changed.
    mutating func undo() -> String? {
        guard let index = lastQuestionIndex else { return nil }
        defer { messages.removeSubrange(index...) }
        return messages[index].content
    }

    /// Forgets what followed the last question, so that it can be answered again.
    /// - Returns: whether there is a question.
    mutating func dropLastAnswer() -> Bool {
        guard let index = lastQuestionIndex else { return false }
        messages.removeSubrange((index + 1)...)
        return true
    }

    /// The messages of a prompt that leaves out the first so many.
    func promptMessages(omitting count: Int = 0) -> [ChatMessage] {
        (system.map { [.system($0)] } ?? []) + messages[min(count, messages.count)...]
    }
}

/// How much of a context a prompt may take.
struct ContextBudget: Sendable, Equatable {
    /// Tokens of prompt and answer together.
    let contextLength: Int
    /// Tokens that are kept for the answer.
    let answerReserve: Int

    /// Keeps room for the answer asked for, but at most a quarter of the context.
    init(contextLength: Int, maxTokenCount: Int?) {
        self.contextLength = contextLength
        answerReserve = max(1, min(maxTokenCount ?? 256, contextLength / 4))
    }

    /// Most tokens of a prompt that leaves nothing out.
    var limit: Int { contextLength - answerReserve }
    /// Most tokens of a prompt once something has to go. Less than ``limit``, so that the next turns need not leave out
    /// more: whatever changes at the front of a prompt has to be computed anew.
    var target: Int { contextLength - max(answerReserve, contextLength / 4) }
}

/// A conversation as a prompt that fits.
struct FittedPrompt: Sendable, Equatable {
    /// What is asked: the system message, if any, and the messages that are not left out.
    let messages: [ChatMessage]
    /// The same as tokens; empty where the server makes them.
    let tokenIDs: [TokenID]
    /// How many of the oldest messages are left out.
    let omittedMessageCount: Int
    /// Tokens that the prompt had before more was left out, or nil where nothing more was.
    let overflowTokenCount: Int?
}

extension Conversation {
    /// The conversation as a prompt, without the oldest turns where it is too long.
    /// - Parameters:
    ///   - omitted: how many of the oldest messages were left out the last time; they stay out.
    ///   - render: makes tokens of messages.
    /// - Throws: what `render` throws, and a failure with the numbers where the last question alone is too long.
    func fitted(
        _ budget: ContextBudget, omitting omitted: Int = 0, render: ([ChatMessage]) throws -> [TokenID]
    ) throws -> FittedPrompt {
        let whole = try render(promptMessages(omitting: omitted))
        guard whole.count > budget.limit else {
            return FittedPrompt(
                messages: promptMessages(omitting: omitted), tokenIDs: whole, omittedMessageCount: omitted,
                overflowTokenCount: nil)
        }
        // Prompts that leave out more are shorter, so the place to cut is found by halving.
        let cuts = messages.indices.filter { $0 > omitted && messages[$0].isQuestion }
        var range = cuts.indices
        var best: FittedPrompt?
        while !range.isEmpty {
            let middle = (range.lowerBound + range.upperBound) / 2
            let tokenIDs = try render(promptMessages(omitting: cuts[middle]))
            if tokenIDs.count <= budget.target || (cuts[middle] == cuts.last && tokenIDs.count < budget.contextLength) {
                best = FittedPrompt(
                    messages: promptMessages(omitting: cuts[middle]), tokenIDs: tokenIDs,
                    omittedMessageCount: cuts[middle], overflowTokenCount: whole.count)
            }
            if tokenIDs.count <= budget.target {
                range = range.lowerBound..<middle
            } else {
                range = (middle + 1)..<range.upperBound
            }
        }
        if let best { return best }
        // Nothing to leave out: a short answer is better than none.
        if cuts.isEmpty, whole.count < budget.contextLength {
            return FittedPrompt(
                messages: promptMessages(omitting: omitted), tokenIDs: whole, omittedMessageCount: omitted,
                overflowTokenCount: nil)
        }
        let last = try render(promptMessages(omitting: cuts.last ?? omitted)).count
        throw CommandFailure(
            "the message\(system == nil ? "" : ", with the system message,") is a prompt of \(last) tokens; with an "
                + "answer it must fit a context of \(budget.contextLength)",
            hint: "shorten it, or start with a larger --context if the model allows more")
    }
}
