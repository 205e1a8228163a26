package import HTTPServing
package import ServingEngine
package import ServingJSON

/// The body of `/v1/chat/completions`.
package struct ChatRequest: Sendable, Equatable {
    /// What it shares with completions.
    package var sampling: OpenAISampling
    /// The conversation as chat templates take it: objects with `role` and a string as `content`.
    package var messages: [JSONValue]
    /// `chat_template_kwargs`, as vLLM takes them: more variables for the template.
    package var templateVariables: JSONObject
    /// `max_completion_tokens`, else `max_tokens`; nil for the rest of the context.
    package var maxTokenCount: Int?
    /// How many alternatives are told; nil for no log probabilities at all.
    package var logProbabilityCount: Int?

    /// Most alternatives a token.
    package static let logProbabilityLimit = 20

    /// Reads a body.
    package init(_ body: JSONValue) throws(OpenAIError) {
        let fields: WireObject
        let wantsLogProbabilities: Bool
        let alternativeCount: Int64?
        do throws(WireDecodingError) {
            fields = try WireObject(body, named: "ChatCompletionRequest")
            wantsLogProbabilities = try fields.bool("logprobs") ?? false
            alternativeCount = try fields.integer("top_logprobs", "u32")
            templateVariables =
                try fields.object("chat_template_kwargs", named: "map")?.object ?? JSONObject()
        } catch {
            throw OpenAIError(error)
        }
        sampling = try OpenAISampling(fields)
        messages = try Self.messages(fields)
        let newer = try OpenAISampling.tokenCount("max_completion_tokens", fields, least: 1)
        let older = try OpenAISampling.tokenCount("max_tokens", fields, least: 1)
        maxTokenCount = newer ?? older
        logProbabilityCount = wantsLogProbabilities ? Int(clamping: alternativeCount ?? 0) : nil
        guard let alternativeCount else { return }
        guard (0...Int64(Self.logProbabilityLimit)).contains(alternativeCount) else {
            throw .invalid(
                "top_logprobs must be in 0...\(Self.logProbabilityLimit), not \(alternativeCount)",
                param: "top_logprobs")
        }
        guard wantsLogProbabilities || alternativeCount == 0 else {
            throw .invalid("top_logprobs needs logprobs to be true", param: "top_logprobs")
        }
    }

    private static let roles: Set<String> = ["system", "developer", "user", "assistant", "tool", "function"]

    private static func messages(_ fields: WireObject) throws(OpenAIError) -> [JSONValue] {
        guard let messages = fields["messages"]?.arrayValue, !messages.isEmpty else {
            throw .invalid("messages must be a list with at least one message", param: "messages")
        }
        var result: [JSONValue] = []
        result.reserveCapacity(messages.count)
        for (index, message) in messages.enumerated() {
            result.append(try Self.message(message, path: "messages[\(index)]"))
        }
        return result
    }

    private static func message(_ value: JSONValue, path: String) throws(OpenAIError) -> JSONValue {
        guard var message = value.objectValue else { throw .invalid("\(path) must be an object", param: path) }
        guard let role = message["role"]?.stringValue, roles.contains(role) else {
            throw .invalid(
                "\(path).role must be one of \(roles.sorted().joined(separator: ", "))", param: "\(path).role")
        }
        // The newer name of the same thing, which templates don't know.
        if role == "developer" { message["role"] = "system" }
        switch message["content"] {
        case nil, .null:
            guard role == "assistant" else {
                throw .invalid("\(path).content must be a string or a list of parts", param: "\(path).content")
            }
            message["content"] = ""
        case .string: break
        case .array(let parts): message["content"] = .string(try text(of: parts, path: "\(path).content"))
        default: throw .invalid("\(path).content must be a string or a list of parts", param: "\(path).content")
        }
        return .object(message)
    }

    private static func text(of parts: [JSONValue], path: String) throws(OpenAIError) -> String {
        var texts: [String] = []
        for (index, part) in parts.enumerated() {
            let path = "\(path)[\(index)]"
            switch part["type"]?.stringValue {
            case "text", "refusal":
                guard let text = (part["text"] ?? part["refusal"])?.stringValue else {
                    throw .invalid("\(path).text must be a string", param: path)
                }
                texts.append(text)
            case let type?:
                throw .invalid("\(path): this model reads text only, not \(type.prefix(40))", param: path)
            case nil: throw .invalid("\(path) must have a type", param: path)
            }
        }
        return texts.joined(separator: "\n")
    }

    /// Puts everything but the prompt into a request.
    package func apply(to request: inout GenerationRequest) {
        sampling.apply(to: &request)
        request.maxTokenCount = maxTokenCount
        request.logProbabilityCount = logProbabilityCount
    }
}
