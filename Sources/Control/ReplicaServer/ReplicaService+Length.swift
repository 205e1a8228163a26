import HTTPServing
import ServingAPI
import ServingEngine
import ServingJSON

extension ReplicaService {
    /// Bytes a token of the context that are looked at first. Text has four or five a token.
    private static let firstByteCount = 16

    /// Refuses a prompt that can't fit, as LoRAX does, before time is spent on all of it.
    func refuseFarTooLong(_ text: String) throws(NativeError) {
        guard let count = tokenCount(ofFarTooLong: text) else { return }
        throw .validation(
            "`inputs` must have less than \(limits.maxInputLength) tokens. Given: more than \(count)")
    }

    /// Refuses a conversation that can't fit, as OpenAI does. Templates may leave out what assistants said, and nothing
    /// else.
    func refuseFarTooLong(_ messages: [JSONValue]) throws(OpenAIError) {
        for message in messages where message["role"]?.stringValue != "assistant" {
            guard let text = message["content"]?.stringValue, let count = tokenCount(ofFarTooLong: text) else {
                continue
            }
            throw OpenAIError(
                .promptTooLong(promptTokenCount: count, contextLength: limits.maxTotalTokens), input: "messages")
        }
    }

    /// How many tokens the beginning of a text has, if these alone are twice what the context holds; nil for texts that
    /// may fit.
    ///
    /// Tokens of a beginning are those of the whole but for the last few, so twice as many leave no doubt. Looks at
    /// four times as much each time: a text costs no more than what it takes to be sure, and a third.
    func tokenCount(ofFarTooLong text: String) -> Int? {
        let text = text.utf8
        var byteCount = max(Self.firstByteCount * limits.maxTotalTokens, 1024)
        while byteCount < text.count {
            let beginning = String(Substring(text.prefix(byteCount)))
            let count = (try? model.promptTokens(beginning, addingSpecialTokens: false).count) ?? 0
            if count > 2 * limits.maxTotalTokens { return count }
            byteCount *= 4
        }
        return nil
    }
}
