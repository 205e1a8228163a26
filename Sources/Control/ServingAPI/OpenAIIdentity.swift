import HTTPServing
package import ServingEngine
import ServingJSON

/// What all parts of one answer on OpenAI's routes have in common.
package struct OpenAIIdentity: Sendable, Equatable {
    /// `cmpl-...` or `chatcmpl-...`.
    package var id: String
    /// Seconds since 1970.
    package var created: Int
    /// The model as the client named it, or the base model's name.
    package var model: String
    /// Names the weights and the build.
    package var fingerprint: String

    /// An identity.
    package init(id: String, created: Int, model: String, fingerprint: String) {
        self.id = id
        self.created = created
        self.model = model
        self.fingerprint = fingerprint
    }

    func write(_ object: String, _ json: inout JSONBytes) {
        json.member("id", id)
        json.member("object", object)
        json.member("created", created)
        json.member("model", model)
        json.member("system_fingerprint", fingerprint)
    }
}

/// Tokens that a request took and made, over all its prompts and choices.
package struct OpenAIUsage: Sendable, Equatable {
    /// Tokens of the prompts.
    package var promptTokenCount = 0
    /// Those of them that were in the prefix cache.
    package var cachedTokenCount = 0
    /// Tokens generated.
    package var completionTokenCount = 0

    /// Nothing yet.
    package init() {}

    /// Counts the end of a sample; a prompt counts once, with its first sample.
    package mutating func add(_ finish: GenerationEvent.Finish) {
        completionTokenCount += finish.usage.completionTokenCount
        guard finish.sampleIndex == 0 else { return }
        promptTokenCount += finish.usage.promptTokenCount
        cachedTokenCount += finish.usage.cachedTokenCount
    }

    func write(_ json: inout JSONBytes) {
        json.key("usage")
        json.openObject()
        json.member("prompt_tokens", promptTokenCount)
        json.member("completion_tokens", completionTokenCount)
        json.member("total_tokens", promptTokenCount + completionTokenCount)
        json.key("prompt_tokens_details")
        json.openObject()
        json.member("cached_tokens", cachedTokenCount)
        json.closeObject()
        json.closeObject()
    }
}

extension FinishReason {
    /// OpenAI's word for it.
    ///
    /// - Throws: what failed, where the answer did not come to its end.
    func openAIName() throws(OpenAIError) -> String {
        switch self {
        case .stop, .stopSequence: return "stop"
        case .length: return "length"
        case .cancelled: throw .server("The request was cancelled before its end")
        case .failed(let message): throw .server(message)
        }
    }
}

extension EventStream {
    /// The last frames of a stream of OpenAI's: the usage, if wanted, in an event without choices, and `[DONE]`.
    static func end(_ identity: OpenAIIdentity, object: String, usage: OpenAIUsage?) -> [StreamFrame] {
        guard let usage else { return [StreamFrame(done)] }
        let told = StreamFrame(
            frame { json in
                json.openObject()
                identity.write(object, &json)
                json.key("choices")
                json.openArray()
                json.closeArray()
                usage.write(&json)
                json.closeObject()
            })
        return [told, StreamFrame(done)]
    }
}
