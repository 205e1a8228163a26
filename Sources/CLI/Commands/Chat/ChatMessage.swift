import ServingJSON

/// One message of a conversation.
struct ChatMessage: Sendable, Equatable {
    /// Who speaks, in the chat template's words: system, user, assistant, or another that a loaded file holds.
    var role: String
    /// What is said.
    var content: String
    /// Whether the answer was stopped before its end.
    var isInterrupted = false

    static func system(_ text: String) -> ChatMessage { ChatMessage(role: "system", content: text) }
    static func user(_ text: String) -> ChatMessage { ChatMessage(role: "user", content: text) }
    static func assistant(_ text: String) -> ChatMessage { ChatMessage(role: "assistant", content: text) }

    var isQuestion: Bool { role == "user" }

    /// The message as chat templates and OpenAI's API have it.
    var json: JSONValue { ["role": .string(role), "content": .string(content)] }
}
