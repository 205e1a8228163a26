package import HTTPTypes
package import Hummingbird
import HummingbirdCore
import NIOCore
package import ServingJSON

/// An answer in bytes with its status and headers, before it becomes Hummingbird's.
package struct HTTPReply: Sendable {
    package var status: Int
    package var headers: HTTPFields
    package var body: [UInt8]

    /// An answer.
    package init(_ status: Int, contentType: String? = nil, body: [UInt8] = []) {
        self.status = status
        self.body = body
        headers = HTTPFields()
        if let contentType { headers[.contentType] = contentType }
    }

    /// An answer in JSON.
    package static func json(_ json: JSONBytes, status: Int = 200) -> HTTPReply {
        HTTPReply(status, contentType: "application/json", body: json.bytes)
    }

    /// An answer in plain text.
    package static func text(_ text: String, status: Int) -> HTTPReply {
        HTTPReply(status, contentType: "text/plain; charset=utf-8", body: Array(text.utf8))
    }

    /// What health checks read while the model is loaded.
    package static func loading(percent: Int) -> HTTPReply {
        var json = JSONBytes()
        json.openObject()
        json.member("status", "loading")
        json.member("percent", percent)
        json.closeObject()
        var reply = HTTPReply.json(json, status: 503)
        reply.retryLater()
        return reply
    }

    /// What health checks read while the server finishes what it has; LoRAX's body and a word more.
    package static var draining: HTTPReply {
        let error = NativeError.unhealthy
        var json = JSONBytes()
        json.openObject()
        json.member("error", error.message)
        json.member("error_type", error.kind.rawValue)
        json.member("status", "draining")
        json.closeObject()
        var reply = HTTPReply.json(json, status: error.status)
        reply.retryLater()
        return reply
    }

    /// An error as LoRAX's routes tell it.
    package init(_ error: NativeError) {
        self = .json(error.json, status: error.status)
        retryLater()
    }

    /// An error as OpenAI's routes tell it.
    package init(_ error: OpenAIError) {
        self = .json(error.json, status: error.status)
        retryLater()
        if status == 401 { headers[.wwwAuthenticate] = "Bearer" }
    }

    private mutating func retryLater() {
        if status == 429 || status == 503 { headers[.retryAfter] = "1" }
    }

    /// The answer as Hummingbird sends it.
    package var response: Response {
        Response(
            status: HTTPResponse.Status(code: status), headers: headers,
            body: body.isEmpty ? ResponseBody() : ResponseBody(byteBuffer: ByteBuffer(bytes: body)))
    }

    /// An answer that is written while it is made.
    package static func events(
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

extension HTTPField.Name {
    /// Tells proxies not to hold events back. The name is a token, so that there is such a field.
    package static let accelBuffering = custom("X-Accel-Buffering")

    /// A field by its name, which must be a token.
    package static func custom(_ name: String) -> HTTPField.Name {
        guard let field = HTTPField.Name(name) else { preconditionFailure("\(name) is no name of a header field") }
        return field
    }
}
