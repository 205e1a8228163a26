public import ServingEngine

/// What all parts of one answer on OpenAI's routes have in common.
public struct OpenAIIdentity: Sendable, Equatable {
    /// `cmpl-...` or `chatcmpl-...`.
    public var id: String
    /// Seconds since 1970.
    public var created: Int
    /// The model as the client named it, or the base model's name.
    public var model: String
    /// Names the weights and the build.
    public var fingerprint: String

    /// An identity.
    public init(id: String, created: Int, model: String, fingerprint: String) {
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
public struct OpenAIUsage: Sendable, Equatable {
    /// Tokens of the prompts.
    public var promptTokenCount = 0
    /// Those of them that were in the prefix cache.
    public var cachedTokenCount = 0
    /// Tokens generated.
    public var completionTokenCount = 0

    /// Nothing yet.
    public init() {}

    /// Counts the end of a sample; a prompt counts once, with its first sample.
    public mutating func add(_ finish: GenerationEvent.Finish) {
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

/// Turns the events of a request into server-sent events.
public protocol EventShaping: Sendable {
    /// The bytes to send for an event of a prompt; empty where there are none.
    ///
    /// - Throws: an error that belongs into the stream, which ends with it.
    mutating func bytes(_ event: GenerationEvent, promptIndex: Int) throws(OpenAIError) -> [UInt8]
    /// The last events.
    func end() -> [UInt8]
}

/// The frame of server-sent events.
public enum EventStream {
    /// Ends a stream of OpenAI's.
    public static let done = Array("data: [DONE]\n\n".utf8)

    /// The last events of a stream of OpenAI's: the usage, if wanted, in an event without choices, and `[DONE]`.
    static func end(_ identity: OpenAIIdentity, object: String, usage: OpenAIUsage?) -> [UInt8] {
        guard let usage else { return done }
        return frame { json in
            json.openObject()
            identity.write(object, &json)
            json.key("choices")
            json.openArray()
            json.closeArray()
            usage.write(&json)
            json.closeObject()
        } + done
    }

    /// An error as an event.
    public static func frame(_ error: OpenAIError) -> [UInt8] { frame { $0.raw(error.json.bytes) } }

    static func frame(_ write: (inout JSONBytes) -> Void) -> [UInt8] {
        var json = JSONBytes()
        json.frame("data: ")
        write(&json)
        json.frame("\n\n")
        return json.bytes
    }
}
