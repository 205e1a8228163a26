import HTTPServing
import HTTPTypes
import Hummingbird
import ServingAPI
import ServingJSON

/// Writes the events of a streamed answer, for a gateway with comments that say how far the answer is with each.
struct AnswerWriter {
    private var writer: EventWriter
    private let isAnnotated: Bool

    init(_ writer: EventWriter, isAnnotated: Bool) {
        self.writer = writer
        self.isAnnotated = isAnnotated
    }

    /// Sends frames in one piece; `record` is told before the last of them, where they end the answer.
    mutating func write(_ frames: [StreamFrame], ending record: RequestRecord? = nil) async throws {
        var bytes: [UInt8] = []
        for (index, frame) in frames.enumerated() {
            let isLast = index == frames.count - 1
            bytes += isAnnotated ? frame.annotated(isLast ? record?.timing : nil) : frame.bytes
        }
        try await writer.write(bytes)
    }

    /// Sends an error as an event.
    mutating func write(_ error: OpenAIError) async throws { try await writer.write(EventStream.frame(error)) }

    /// Sends an error as an event.
    mutating func write(_ error: NativeError) async throws { try await writer.write(EventStream.frame(error)) }
}

extension RequestRecord {
    /// Where the request's time went, for a gateway: `{"timing": {...}}`, in ms.
    fileprivate var timing: JSONBytes {
        var json = JSONBytes()
        func member(_ name: String, _ duration: Duration) {
            json.key(name)
            json.number((duration.seconds * 1e6).rounded() / 1e3)
        }
        json.openObject()
        json.key("timing")
        json.openObject()
        member("queue_ms", queue)
        member("inference_ms", inference)
        member("adapter_load_ms", adapterLoad)
        json.member("prompt_tokens", promptTokenCount)
        json.member("generated_tokens", generatedTokenCount)
        json.closeObject()
        json.closeObject()
        return json
    }
}

extension Request {
    /// Whether it comes from a gateway, which may add fields of its own and reads comments in streams.
    var isFromGateway: Bool { headers[.pbctlGateway] == "1" }
}

extension HTTPField.Name {
    /// What gateways send along. The name is a token, so that there is such a field.
    static let pbctlGateway = custom("x-pbctl-gateway")
}
