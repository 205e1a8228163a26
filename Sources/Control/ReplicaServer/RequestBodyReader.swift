import Hummingbird
import HummingbirdCore
import NIOCore
import ServingAPI
import ServingJSON

/// Reads a request's JSON as axum's `Json` extractor does.
struct RequestBodyReader: Sendable {
    /// Why a body can't be read: status and text.
    struct Failure: Error, Equatable {
        var status: Int
        var message: String

        /// As axum answers: plain text.
        var native: HTTPReply { .text(message, status: status) }
        /// As OpenAI answers.
        var openAI: HTTPReply { HTTPReply(OpenAIError(status, message, type: "invalid_request_error")) }
    }

    let maxBytes: Int
    let maxDepth: Int

    /// The body of a request.
    func json(_ request: Request) async throws(Failure) -> JSONValue {
        let type = request.headers[.contentType]?.lowercased().prefix { $0 != ";" } ?? ""
        let name = type.trimmingSuffix { $0 == " " }
        guard name == "application/json" || name.hasPrefix("application/") && name.hasSuffix("+json") else {
            throw Failure(status: 415, message: "Expected request with `Content-Type: application/json`")
        }
        let tooLarge = Failure(
            status: 413, message: "Failed to buffer the request body: length limit exceeded (\(maxBytes) bytes)")
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > maxBytes { throw tooLarge }
        let buffer: ByteBuffer
        do {
            buffer = try await request.body.collect(upTo: maxBytes)
        } catch is NIOTooManyBytesError {
            throw tooLarge
        } catch {
            throw Failure(status: 400, message: "Failed to buffer the request body: \(error)")
        }
        let limits = JSONLimits(depth: maxDepth)
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
