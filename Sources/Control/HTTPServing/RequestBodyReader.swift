package import Hummingbird
import HummingbirdCore
package import NIOCore
package import ServingJSON

/// Reads a request's JSON as axum's `Json` extractor does.
package struct RequestBodyReader: Sendable {
    /// Why a body can't be read: status and text.
    package struct Failure: Error, Equatable {
        package var status: Int
        package var message: String

        /// A failure.
        package init(status: Int, message: String) {
            self.status = status
            self.message = message
        }

        /// As axum answers: plain text.
        package var native: HTTPReply { .text(message, status: status) }
        /// As OpenAI answers.
        package var openAI: HTTPReply { HTTPReply(OpenAIError(status, message, type: "invalid_request_error")) }
    }

    private let maxBytes: Int
    private let maxDepth: Int

    /// A reader of bodies up to so many bytes, with JSON nested so deep.
    package init(maxBytes: Int, maxDepth: Int) {
        self.maxBytes = maxBytes
        self.maxDepth = maxDepth
    }

    /// The body of a request.
    package func json(_ request: Request) async throws(Failure) -> JSONValue { try json(await bytes(request)) }

    /// The bytes of a request's body, which say of themselves that they are JSON.
    package func bytes(_ request: Request) async throws(Failure) -> ByteBuffer {
        let type = request.headers[.contentType]?.lowercased().prefix { $0 != ";" } ?? ""
        let name = type.trimmingSuffix { $0 == " " }
        guard name == "application/json" || name.hasPrefix("application/") && name.hasSuffix("+json") else {
            throw Failure(status: 415, message: "Expected request with `Content-Type: application/json`")
        }
        let tooLarge = Failure(
            status: 413, message: "Failed to buffer the request body: length limit exceeded (\(maxBytes) bytes)")
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > maxBytes { throw tooLarge }
        do {
            return try await request.body.collect(upTo: maxBytes)
        } catch is NIOTooManyBytesError {
            throw tooLarge
        } catch {
            throw Failure(status: 400, message: "Failed to buffer the request body: \(error)")
        }
    }

    /// Those bytes as JSON. What could mean two things, or would be altered by reading it, is refused: a key given
    /// twice, text that is not UTF-8, half a surrogate pair, numbers that are none.
    package func json(_ buffer: ByteBuffer) throws(Failure) -> JSONValue {
        let limits = JSONLimits(depth: maxDepth, allowsRepeatedKeys: false, isStrict: true)
        let result = buffer.withUnsafeReadableBytes { bytes in
            Result { () throws(JSONParseError) in try JSONValue(parsing: bytes, limits: limits) }
        }
        switch result {
        case .success(let value): return value
        case .failure(let error):
            throw Failure(status: 400, message: "Failed to parse the request body as JSON: \(error)")
        }
    }
}

extension Substring {
    fileprivate func trimmingSuffix(_ isDropped: (Character) -> Bool) -> Substring {
        var result = self
        while let last = result.last, isDropped(last) { result.removeLast() }
        return result
    }
}
