package import ServingJSON

/// An error on OpenAI's routes: `{"error": {"message", "type", "param", "code"}}` with its status.
package struct OpenAIError: Error, Equatable, Sendable {
    /// HTTP status.
    package var status: Int
    /// What clients read.
    package var message: String
    /// OpenAI's class of errors.
    package var type: String
    /// The field at fault.
    package var param: String?
    /// OpenAI's code, where it has one.
    package var code: String?

    /// An error.
    package init(_ status: Int, _ message: String, type: String, param: String? = nil, code: String? = nil) {
        self.status = status
        self.message = message
        self.type = type
        self.param = param
        self.code = code
    }

    /// A request that can't be.
    package static func invalid(_ message: String, param: String? = nil, code: String? = nil) -> OpenAIError {
        OpenAIError(400, message, type: "invalid_request_error", param: param, code: code)
    }

    /// Something that this server does not do, in an otherwise proper request.
    package static func unsupported(_ message: String, param: String) -> OpenAIError {
        OpenAIError(422, message, type: "invalid_request_error", param: param, code: "unsupported_parameter")
    }

    /// A field of a wrong type, or none where one is needed.
    package init(_ error: WireDecodingError) {
        self = .invalid(error.description, param: error.path.isEmpty ? nil : error.path)
    }

    /// The server takes no more requests for now.
    package static let overloaded = OpenAIError(
        429, "Model is overloaded; try again later", type: "rate_limit_error", code: "rate_limit_exceeded")
    /// The server finishes what it has and takes nothing new.
    package static let shuttingDown = OpenAIError(
        503, "The server is shutting down; send the request to another replica", type: "server_error",
        code: "shutting_down")
    /// The server listens and has no model yet.
    package static func loading(percent: Int) -> OpenAIError {
        OpenAIError(503, "The model is loading (\(percent) %)", type: "server_error", code: "loading")
    }

    /// A wrong or missing API key.
    package static let unauthorized = OpenAIError(
        401, "The API key is missing or wrong; send it as Authorization: Bearer KEY", type: "authentication_error",
        code: "invalid_api_key")

    /// The server's own fault.
    package static func server(_ message: String) -> OpenAIError { OpenAIError(500, message, type: "server_error") }

    /// A path that leads nowhere.
    package static func notFound(_ path: String) -> OpenAIError {
        OpenAIError(404, "Unknown request URL: \(path)", type: "invalid_request_error", code: "unknown_url")
    }

    /// A model, or adapter, that is not here.
    package static func unknownModel(_ name: String, _ message: String) -> OpenAIError {
        OpenAIError(404, message, type: "invalid_request_error", param: "model", code: "model_not_found")
    }

    /// The body.
    package var json: JSONBytes {
        var json = JSONBytes()
        json.openObject()
        json.key("error")
        json.openObject()
        json.member("message", message)
        json.member("type", type)
        json.member("param", param)
        json.member("code", code)
        json.closeObject()
        json.closeObject()
        return json
    }
}
