import Testing

@testable import Commands

@Suite struct ChatFileTests {
    @Test func conversationComesBackAsItWas() throws {
        var conversation = Conversation(system: "Be \"brief\".\nOr not.")
        conversation.append(.user("e\u{301} \u{1F600} \u{2028} {\"role\"}"))
        conversation.append(ChatMessage(role: "assistant", content: "Half an ans", isInterrupted: true))
        conversation.append(.user(""))
        var settings = ChatSettings()
        try settings.set(.seed, to: "3")
        let file = ChatFile(conversation: conversation, settings: settings, model: "m")
        let read = try ChatFile(parsing: file.text)
        #expect(read.text == file.text && read.conversation == conversation)
        #expect(read.conversation.messages[1].isInterrupted)
        #expect(Array(read.conversation.messages[0].content.utf8) == Array(conversation.messages[0].content.utf8))
    }

    @Test func fileOfAnotherProgramNeedsNoSettings() throws {
        let text = """
            {"role":"user","content":"Hi","name":"ann"}\r

            {"role":"tool","content":"4"}
            """
        let file = try ChatFile(parsing: text)
        #expect(file.settings == nil && file.conversation.system == nil)
        #expect(file.conversation.messages.map(\.role) == ["user", "tool"])
    }

    @Test(arguments: [
        ("", "no messages"), ("\n \n", "no messages"), ("hello", "line 1"), ("[]", "line 1: expected an object"),
        ("{}", "line 1"), ("{\"role\":\"user\"}", "line 1"),
        ("{\"settings\":{}}\n{\"role\":\"user\",\"content\":1}", "line 2"),
        ("{\"role\":\"user\",\"content\":\"x\"}\n{\"settings\":{}}", "line 2"),
        ("{\"role\":\"\",\"content\":\"x\"}", "line 1"), (String(repeating: "[", count: 100_000), "line 1"),
    ])
    func badFileIsRefusedWithTheLine(_ text: String, _ reason: String) {
        do {
            _ = try ChatFile(parsing: text)
            Issue.record("was read: \(text.prefix(40))")
        } catch {
            #expect(error.description.contains(reason))
        }
    }
}
