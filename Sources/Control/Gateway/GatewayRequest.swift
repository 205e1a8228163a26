import NIOCore
import ServingJSON

/// A request's body, read once: what the gateway has to know of it, and what it takes to send it on with other words in
/// a few places.
struct GatewayRequest: Sendable {
    let endpoint: GatewayEndpoint
    /// `model` as the client wrote it; nil where there is none, and on LoRAX's routes.
    private(set) var model: String?
    /// The adapter that LoRAX's fields name.
    private(set) var nativeAdapter: String?
    let isStream: Bool
    /// Bytes of the prompt as the body spells it.
    let prompt: Range<Int>
    /// Tokens that it may take at most, by estimate.
    let tokenCount: Int
    /// The part of `tokenCount` that is the prompt.
    let promptTokenCount: Int
    private let bytes: ByteBuffer

    /// Tokens of an answer whose request gives no limit, by estimate.
    static let usualAnswerTokenCount = 256

    init(_ endpoint: GatewayEndpoint, _ bytes: ByteBuffer, _ json: JSONValue) throws(GatewayError) {
        guard json.objectValue != nil else { throw .invalid("the body must be a JSON object") }
        self.endpoint = endpoint
        self.bytes = bytes
        let parameters = json["parameters"]
        if endpoint.form == .openAI {
            if let value = json["model"], !value.isNull {
                guard let text = value.stringValue else { throw .invalid("model must be a string", param: "model") }
                model = text
            }
        } else if let ids = parameters?["merged_adapters"]?["ids"]?.arrayValue {
            nativeAdapter = ids.compactMap(\.stringValue).joined(separator: ",")
        } else if let id = parameters?["adapter_id"]?.stringValue, !id.isEmpty, id != ModelSelector.baseModelID {
            nativeAdapter = id
        }
        switch endpoint {
        case .generateStream: isStream = true
        case .chat, .completions, .compatible: isStream = json["stream"]?.boolValue ?? false
        default: isStream = false
        }
        let limit =
            endpoint.form == .openAI
            ? json["max_completion_tokens"] ?? json["max_tokens"] : parameters?["max_new_tokens"]
        prompt =
            bytes.withUnsafeReadableBytes { bytes in
                switch endpoint {
                case .chat: JSONMembers.firstValue("messages", in: bytes)
                case .completions: JSONMembers.firstValue("prompt", in: bytes)
                case .embeddings: JSONMembers.firstValue("input", in: bytes)
                default: JSONMembers.firstValue("inputs", in: bytes)
                }
            } ?? 0..<0
        // About four bytes of English text a token.
        promptTokenCount = prompt.count / 4 + 1
        let asked = limit?.intValue ?? (endpoint.generates ? Self.usualAnswerTokenCount : 0)
        tokenCount = promptTokenCount + min(max(asked, 0), 1 << 20)
    }

    /// What a request for this adapter has in common with others.
    func keys(adapter: String?) -> AffinityKeys {
        bytes.withUnsafeReadableBytes { bytes in
            AffinityKeys(adapter: adapter, prompt: UnsafeRawBufferPointer(rebasing: bytes[prompt]))
        }
    }

    /// The body for replicas, with another model where one is given.
    func body(model: String?) -> SplicedBody {
        guard let model else { return SplicedBody(bytes) }
        let ranges = bytes.withUnsafeReadableBytes { JSONMembers.values("model", in: $0) }
        var json = JSONBytes()
        json.string(model)
        return SplicedBody(bytes, replacing: ranges, with: json.bytes)
    }
}

/// The bytes of a JSON object that get a member more each time they are sent.
struct SplicedBody: Sendable {
    /// Up to the brace that closes the object.
    private let front: ByteBuffer
    private let hasMembers: Bool

    /// - Parameters:
    ///   - bytes: an object that a parser has taken.
    ///   - ranges: places of values in it, ascending, that `value` takes.
    init(_ bytes: ByteBuffer, replacing ranges: [Range<Int>] = [], with value: [UInt8] = []) {
        let (end, hasMembers) = bytes.withUnsafeReadableBytes { raw in
            var members = JSONMembers(raw)
            return (raw.lastIndex(of: UInt8(ascii: "}")) ?? raw.count, members.next() != nil)
        }
        self.hasMembers = hasMembers
        var front = ByteBuffer()
        var source = bytes
        if ranges.isEmpty {
            front = source.readSlice(length: end) ?? front
        } else {
            front.reserveCapacity(end + ranges.count * value.count)
            var offset = 0
            for range in ranges {
                if let kept = source.readSlice(length: range.lowerBound - offset) { front.writeImmutableBuffer(kept) }
                source.moveReaderIndex(forwardBy: range.count)
                front.writeBytes(value)
                offset = range.upperBound
            }
            if let kept = source.readSlice(length: end - offset) { front.writeImmutableBuffer(kept) }
        }
        self.front = front
    }

    /// The body with `"pbctl": extra` as its last member, which counts where the client sent one of that name.
    func bytes(pbctl extra: [UInt8]?) -> ByteBuffer {
        var result = ByteBuffer()
        result.reserveCapacity(front.readableBytes + (extra?.count ?? 0) + 12)
        result.writeImmutableBuffer(front)
        if let extra {
            result.writeStaticString(hasMembers ? ",\"pbctl\":" : "\"pbctl\":")
            result.writeBytes(extra)
        }
        result.writeStaticString("}")
        return result
    }
}
