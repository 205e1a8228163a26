import ServingTensors
import Testing

@testable import Commands

@Suite struct ChatConversationTests {
    private func talk(_ turns: Int, words: Int = 1, system: String? = nil) -> Conversation {
        var conversation = Conversation(system: system)
        for turn in 0..<turns {
            let text = Array(repeating: "word\(turn)", count: words).joined(separator: " ")
            conversation.append(.user(text))
            conversation.append(.assistant(text))
        }
        return conversation
    }

    @Test func undoForgetsTheLastQuestionAndAllAfterIt() {
        var conversation = talk(2, system: "S")
        #expect(conversation.undo() == "word1")
        #expect(conversation == talk(1, system: "S"))
        #expect(conversation.undo() == "word0")
        #expect(conversation.undo() == nil)
        #expect(conversation.system == "S")
    }

    @Test func droppingTheAnswerKeepsTheQuestion() {
        var conversation = talk(2)
        let dropped = conversation.dropLastAnswer()
        #expect(dropped && conversation.messages.count == 3 && conversation.lastQuestion == "word1")
        var empty = Conversation(messages: [.assistant("Hello")])
        let nothing = empty.dropLastAnswer()
        #expect(!nothing && empty.messages.count == 1)
    }

    @Test func systemMessageStandsFirst() {
        #expect(talk(1, system: "S").promptMessages().map(\.role) == ["system", "user", "assistant"])
        #expect(talk(2, system: "S").promptMessages(omitting: 2).map(\.content) == ["S", "word1", "word1"])
    }

    @Test func budgetKeepsRoomForTheAnswerWithinReason() {
        #expect(ContextBudget(contextLength: 8192, maxTokenCount: nil).answerReserve == 256)
        #expect(ContextBudget(contextLength: 8192, maxTokenCount: 1000).answerReserve == 1000)
        #expect(ContextBudget(contextLength: 100, maxTokenCount: 1000).limit == 75)
        #expect(ContextBudget(contextLength: 2, maxTokenCount: nil).limit == 1)
    }

    private let budget = ContextBudget(contextLength: 100, maxTokenCount: 10)

    @Test func promptThatFitsIsWhole() throws {
        let prompt = try talk(9, words: 5).fitted(budget, render: FakeAnswerer.tokens)
        #expect(prompt.tokenIDs.count == 90)
        #expect(prompt.omittedMessageCount == 0 && prompt.overflowTokenCount == nil)
    }

    @Test func oldestTurnsGoUntilAQuarterIsFree() throws {
        var conversation = talk(9, words: 5, system: "S")
        conversation.append(.user("last one"))
        // 1 + 9 * 10 + 2 tokens; 1 + 7 * 10 + 2 are at most 75.
        let prompt = try conversation.fitted(budget, render: FakeAnswerer.tokens)
        #expect(prompt.overflowTokenCount == 93 && prompt.omittedMessageCount == 4 && prompt.tokenIDs.count == 73)
        // What was left out stays out, so that the prompt only grows at its end.
        conversation.append(.assistant("yes"))
        conversation.append(.user("next"))
        let next = try conversation.fitted(budget, omitting: 4, render: FakeAnswerer.tokens)
        #expect(next.omittedMessageCount == 4 && next.overflowTokenCount == nil)
        #expect(next.tokenIDs.starts(with: prompt.tokenIDs))
    }

    @Test(arguments: 1...40) func cutIsTheFirstThatReachesTheTarget(_ words: Int) throws {
        var conversation = talk(30, words: words)
        conversation.append(.user("q"))
        let prompt = try conversation.fitted(budget, render: FakeAnswerer.tokens)
        guard prompt.omittedMessageCount > 0 else { return }
        #expect(conversation.messages[prompt.omittedMessageCount].isQuestion)
        #expect(prompt.tokenIDs.count <= 75)
        #expect(prompt.tokenIDs.count + 2 * words > 75)
    }

    @Test func lastQuestionMayUseTheReserve() throws {
        var conversation = talk(2, words: 20)
        conversation.append(.user(Array(repeating: "w", count: 95).joined(separator: " ")))
        let prompt = try conversation.fitted(budget, render: FakeAnswerer.tokens)
        #expect(prompt.omittedMessageCount == 4 && prompt.tokenIDs.count == 95)
        let alone = Conversation(messages: [.user(Array(repeating: "w", count: 99).joined(separator: " "))])
        #expect(try alone.fitted(budget, render: FakeAnswerer.tokens).overflowTokenCount == nil)
    }

    @Test(arguments: [0, 3]) func messageThatFillsTheContextIsRefusedWithTheNumbers(_ turns: Int) {
        var conversation = talk(turns)
        conversation.append(.user(Array(repeating: "w", count: 100).joined(separator: " ")))
        #expect {
            try conversation.fitted(budget, render: FakeAnswerer.tokens)
        } throws: { error in
            "\(error)".contains("100 tokens") && "\(error)".contains("context of 100")
        }
    }
}
