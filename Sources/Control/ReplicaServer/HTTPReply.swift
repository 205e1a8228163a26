import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import ServingAPI

/// An answer in bytes with its status and headers, before it becomes Hummingbird's.
struct HTTPReply: Sendable {
    var status: Int
    var headers: HTTPFields
    var body: [UInt8]

    init(_ status: Int, contentType: String? = nil, body: [UInt8] = []) {
        self.status = status
        self.body = body
        headers = HTTPFields()
        if let contentType { headers[.contentType] = contentType }
    }

    static func json(_ json: JSONBytes, status: Int = 200) -> HTTPReply {
        HTTPReply(status, contentType: "application/json", body: json.bytes)
    }

    static func text(_ text: String, status: Int) -> HTTPReply {
        HTTPReply(status, contentType: "text/plain; charset=utf-8", body: Array(text.utf8))
    }

    init(_ error: NativeError) {
        self = .json(error.json, status: error.status)
        retryLater()
    }

    init(_ error: OpenAIError) {
        self = .json(error.json, status: error.status)
        retryLater()
        if status == 401 { headers[.wwwAuthenticate] = "Bearer" }
    }

    private mutating func retryLater() {
        if status == 429 || status == 503 { headers[.retryAfter] = "1" }
    }

    var response: Response {
        Response(
            status: HTTPResponse.Status(code: status), headers: headers,
            body: body.isEmpty ? ResponseBody() : ResponseBody(byteBuffer: ByteBuffer(bytes: body)))
    }

    /// An answer that is written while it is made.
    static func events(
        _ headers: HTTPFields, _ write: @escaping @Sendable (inout EventWriter) async throws -> Void
    ) -> Response {
        var headers = headers
        headers[.contentType] = "text/event-stream"
        headers[.cacheControl] = "no-cache"
        headers[.accelBuffering] = "no"
        return Response(
            status: .ok, headers: headers,
            body: ResponseBody { body in
                var writer = EventWriter(body: body)
                try await write(&writer)
                try await writer.body.finish(nil)
            })
    }
}

/// Writes the bytes of events, each at once.
struct EventWriter {
    /// Only the task that answers the request has the writer, one call after the other; Hummingbird's own is Sendable.
    nonisolated(unsafe) var body: any ResponseBodyWriter

    mutating func write(_ bytes: [UInt8]) async throws {
        if !bytes.isEmpty { try await body.write(ByteBuffer(bytes: bytes)) }
    }
}

extension HTTPField.Name {
    /// Tells proxies not to hold events back. The name is a token, so that there is such a field.
    static let accelBuffering = custom("X-Accel-Buffering")

    static func custom(_ name: String) -> HTTPField.Name {
        guard let field = HTTPField.Name(name) else { preconditionFailure("\(name) is no name of a header field") }
        return field
    }
}
