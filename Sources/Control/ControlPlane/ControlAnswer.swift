import ControlAPI
import Deployments
import HTTPServing
import HTTPTypes
import Hummingbird
import ServingJSON

/// An answer of the control plane's routes.
struct ControlAnswer: Sendable {
    let response: Response

    /// An answer in one piece.
    static func json(_ value: JSONValue, status: Int = 200) -> ControlAnswer {
        ControlAnswer(reply(value, status).response)
    }

    /// An answer `{"data": [..]}` whose elements are written as they are made.
    static func elements(_ write: @escaping @Sendable (inout ElementWriter) async throws -> Void) -> ControlAnswer {
        ControlAnswer(
            Response(
                status: .ok, headers: [.contentType: "application/json"],
                body: ResponseBody { body in
                    var writer = ElementWriter(body)
                    // Not on the connection's loop: making a long list takes a while.
                    try await withTaskExecutorPreference(globalConcurrentExecutor) {
                        try await write(&writer)
                        try await writer.finish()
                    }
                }))
    }

    /// An answer whose body is events, written as they come. `write` ends when its task is cancelled.
    static func stream(
        _ streams: OpenStreams, _ presence: ClientPresence,
        _ write: @escaping @Sendable (inout EventWriter) async throws -> Void
    ) -> ControlAnswer {
        ControlAnswer(
            HTTPReply.events(HTTPFields()) { writer in
                let first = writer
                try await streams.run(presence) {
                    var writer = first
                    try await write(&writer)
                }
            })
    }

    /// An error with its status.
    init(_ error: ControlError) {
        let faults = error.faults.map {
            FaultView(field: $0.field, value: $0.value.map { ConfigFault.excerpt($0) } ?? "", expected: $0.expected)
        }
        let problem = APIProblem(error.message, code: error.code.rawValue, hint: error.hint, faults: faults)
        var reply = Self.reply(.object(problem.json), error.status)
        if error.status == 503 { reply.headers[.retryAfter] = "1" }
        response = reply.response
    }

    private init(_ response: Response) { self.response = response }

    private static func reply(_ value: JSONValue, _ status: Int) -> HTTPReply {
        HTTPReply(status, contentType: "application/json", body: Array(value.text().utf8))
    }
}
