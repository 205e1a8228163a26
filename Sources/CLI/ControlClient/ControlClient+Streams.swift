package import ControlAPI
package import Deployments
package import ServingJSON
import Synchronization

/// Which part of a deployment's logs is wanted.
package struct LogQuery: Sendable, Hashable {
    /// One replica; nil for all.
    package var replica: String?
    /// Only so many of the last lines; nil for all there are.
    package var tail: Int?
    package var since: Timestamp?
    /// Whether to go on with what is yet to be written.
    package var follows: Bool

    package init(replica: String? = nil, tail: Int? = nil, since: Timestamp? = nil, follows: Bool = false) {
        self.replica = replica
        self.tail = tail
        self.since = since
        self.follows = follows
    }
}

/// Streams: each gives what arrives to a closure, in the transfer's thread and one after another, so that a slow taker
/// slows the server and nothing piles up. A closure that gives false ends its stream.
extension ControlClient {
    /// A deployment now and at each change, until it is deleted.
    package func watch(
        _ name: DeploymentName, onChange: @escaping @Sendable (DeploymentView) throws -> Bool
    ) async throws {
        try await views(HTTPCall(.get, "/api/v1/deployments/\(name)/watch", timeout: nil), onChange)
    }

    /// Events after a number and then each as it happens.
    package func followEvents(
        _ query: EventQuery, onEvent: @escaping @Sendable (EventView) throws -> Bool
    ) async throws {
        try await views(HTTPCall(.get, query.path(follow: true), timeout: nil), onEvent)
    }

    /// Lines of a deployment's replicas.
    package func logs(
        of name: DeploymentName, _ query: LogQuery, onLine: @escaping @Sendable (LogLineView) throws -> Bool
    ) async throws {
        let path = HTTPCall.path(
            "/api/v1/deployments/\(name)/logs",
            [
                ("replica", query.replica), ("tail", query.tail.map { "\($0)" }), ("since", query.since?.iso8601),
                ("follow", query.follows ? "true" : nil),
            ])
        try await views(HTTPCall(.get, path, timeout: nil), onLine)
    }

    private func views<View: WireView>(
        _ call: HTTPCall, _ take: @escaping @Sendable (View) throws -> Bool
    ) async throws {
        try await frames(call) { frame in
            guard case .data(let text) = frame, text != "[DONE]" else { return true }
            return try take(self.view(text))
        }
    }

    /// A value out of an event; `{"error": ...}` in its place ends a stream that went wrong.
    private func view<View: WireView>(_ text: String) throws -> View {
        guard let json = try? JSONValue(parsing: text) else {
            throw ControlClientError(.badAnswer, "\(url) streams what is no JSON")
        }
        if json["error"] != nil, let problem = try? APIProblem(json) { throw ControlClientError(problem, status: 500) }
        return try read { () throws(WireFault) in try View(json) }
    }

    /// Posts JSON and gives the frames of the stream that answers. An answer that is no stream comes as one `.data`.
    package func post(
        _ path: String, _ body: JSONValue, fields: [String] = [],
        onFrame: @escaping @Sendable (StreamFrame) throws -> Bool
    ) async throws {
        var call = HTTPCall(.post, path, body: Array(body.text().utf8), timeout: nil)
        call.fields = fields
        try await frames(call, onFrame)
    }

    private func frames(_ call: HTTPCall, _ take: @escaping @Sendable (StreamFrame) throws -> Bool) async throws {
        let reception = StreamReception(take)
        let head = try await connection.perform(call) { head, bytes in reception.receive(head, bytes) }
        if let error = reception.failure { throw error }
        guard head.isSuccess else { throw refusal(head, reception.refusal) }
        try reception.finish()
    }
}

/// What has come of a stream. Used by the transfer's thread, and by the caller once that has ended.
private final class StreamReception: Sendable {
    private struct State {
        var reader = EventStreamReader()
        var refusal: [UInt8] = []
        var plain: [UInt8] = []
        /// Whether the body is a stream; nil before its first byte.
        var isStream: Bool?
        var hasEnded = false
        var failure: (any Error)?
    }

    private let state = Mutex(State())
    private let take: @Sendable (StreamFrame) throws -> Bool

    init(_ take: @escaping @Sendable (StreamFrame) throws -> Bool) { self.take = take }

    var failure: (any Error)? { state.withLock { $0.failure } }
    var refusal: [UInt8] { state.withLock { $0.refusal } }

    func receive(_ head: HTTPHead, _ bytes: [UInt8]) -> Bool {
        guard head.isSuccess else {
            return state.withLock { state in
                state.refusal.append(contentsOf: bytes)
                return state.refusal.count <= 1 << 20
            }
        }
        let frames = state.withLock { state -> [StreamFrame]? in
            // Events begin with a field's name or a colon, JSON with a brace.
            if state.isStream == nil { state.isStream = bytes.first != UInt8(ascii: "{") && bytes.first != 0x5B }
            guard state.isStream == true else {
                state.plain.append(contentsOf: bytes)
                return state.plain.count <= HTTPConnection.answerLimit ? [] : nil
            }
            return state.reader.feed(bytes)
        }
        guard let frames else { return end(ControlClientError(.badAnswer, "the server's answer is too long")) }
        // Outside of the lock: whoever takes a frame may be slow.
        return give(frames)
    }

    /// Gives what the end of the stream completes.
    func finish() throws {
        let (rest, hasEnded) = state.withLock { state -> ([StreamFrame], Bool) in
            guard !state.hasEnded else { return ([], true) }
            if state.isStream == false { return ([.data(String(decoding: state.plain, as: UTF8.self))], false) }
            return (state.reader.finish(), false)
        }
        if !hasEnded { _ = give(rest) }
        if let failure { throw failure }
    }

    private func give(_ frames: [StreamFrame]) -> Bool {
        do {
            for frame in frames where try !take(frame) { return end(nil) }
            return true
        } catch {
            return end(error)
        }
    }

    private func end(_ failure: (any Error)?) -> Bool {
        state.withLock { state in
            state.hasEnded = true
            state.failure = failure
        }
        return false
    }
}
