package import ControlAPI
package import Deployments
import ServingJSON

/// Calls the control plane of one server: typed values in, typed values out.
///
/// Made by commands, which get the address from ``ServerAddress``; talks to the server's routes over HTTP.
package struct ControlClient: Sendable {
    let connection: HTTPConnection

    /// - Parameters:
    ///   - url: scheme, host, port and maybe a path.
    ///   - apiKey: sent with every call, if given.
    package init(
        url: String, apiKey: String? = nil, userAgent: String = "pbctl", connectTimeout: Duration = .seconds(10)
    ) throws(ControlClientError) {
        connection = try HTTPConnection(
            url: url, apiKey: apiKey, userAgent: userAgent, connectTimeout: connectTimeout)
    }

    /// Where the server is.
    package var url: String { connection.url }

    // MARK: - The server

    /// Throws unless the server answers and says that it is well.
    package func checkHealth(timeout: Duration = .seconds(5)) async throws(ControlClientError) {
        _ = try await json(HTTPCall(.get, "/health", timeout: timeout))
    }

    /// What the server says about itself.
    package func server(timeout: Duration = .seconds(10)) async throws(ControlClientError) -> ServerView {
        try await view(HTTPCall(.get, "/api/v1/server", timeout: timeout))
    }

    /// Asks the server to finish what runs and end. Replicas go on, unless `stopsReplicas`.
    package func stopServer(stopsReplicas: Bool) async throws(ControlClientError) {
        let path = HTTPCall.path("/api/v1/server/stop", [("replicas", stopsReplicas ? "stop" : nil)])
        _ = try await json(HTTPCall(.post, path, body: Array("{}".utf8)))
    }

    // MARK: - Deployments

    package func deployments(includingDeleted: Bool = false) async throws(ControlClientError) -> [DeploymentView] {
        try await list(HTTPCall(.get, HTTPCall.path("/v2/deployments", [("deleted", includingDeleted ? "true" : nil)])))
    }

    package func deployment(_ name: DeploymentName) async throws(ControlClientError) -> DeploymentView {
        let answer = try await json(HTTPCall(.get, "/v2/deployments/\(name)"))
        return try read { () throws(WireFault) in try DeploymentView.enveloped(answer) }
    }

    /// With `isDryRun` the server says what it would make, and makes nothing.
    package func create(
        _ request: DeploymentRequest, isDryRun: Bool = false
    ) async throws(ControlClientError) -> DeploymentView {
        let path = HTTPCall.path("/v2/deployments", [("dryRun", isDryRun ? "true" : nil)])
        return try await view(HTTPCall(.post, path, body: Self.bytes(request)))
    }

    /// Changes what the request holds. With a generation, only a deployment that is at it.
    package func update(
        _ name: DeploymentName, _ request: DeploymentRequest, ifGeneration generation: Int? = nil,
        isDryRun: Bool = false
    ) async throws(ControlClientError) -> DeploymentView {
        let path = HTTPCall.path("/v2/deployments/\(name)", [("dryRun", isDryRun ? "true" : nil)])
        var call = HTTPCall(.put, path, body: Self.bytes(request))
        if let generation { call.fields.append("If-Match: \(generation)") }
        return try await view(call)
    }

    package func delete(_ name: DeploymentName) async throws(ControlClientError) -> DeploymentView {
        try await view(HTTPCall(.delete, "/v2/deployments/\(name)"))
    }

    package func start(_ name: DeploymentName) async throws(ControlClientError) -> DeploymentView {
        try await view(post(name, "start"))
    }

    package func stop(_ name: DeploymentName) async throws(ControlClientError) -> DeploymentView {
        try await view(post(name, "stop"))
    }

    package func restart(_ name: DeploymentName) async throws(ControlClientError) -> DeploymentView {
        try await view(post(name, "restart"))
    }

    package func scale(
        _ name: DeploymentName, _ request: ScaleRequest
    ) async throws(ControlClientError) -> DeploymentView {
        try await view(post(name, "scale", request.json))
    }

    /// Goes back to a revision; nil takes the one before this one.
    package func rollBack(
        _ name: DeploymentName, to revision: Int?
    ) async throws(ControlClientError) -> DeploymentView {
        try await view(
            post(name, "rollback", JSONObject(revision.map { [("revision", JSONValue($0))] } ?? [])))
    }

    package func revisions(of name: DeploymentName) async throws(ControlClientError) -> [RevisionView] {
        try await list(HTTPCall(.get, "/api/v1/deployments/\(name)/revisions"))
    }

    package func autoscale(_ name: DeploymentName) async throws(ControlClientError) -> AutoscaleView {
        try await view(HTTPCall(.get, "/api/v1/deployments/\(name)/autoscale"))
    }

    /// Figures of the last `since`, a point every `step` (nil: the server chooses), of one adapter or of all.
    package func metrics(
        of name: DeploymentName, since: Duration, step: Duration? = nil, adapter: String? = nil
    ) async throws(ControlClientError) -> [MetricsPointView] {
        let path = HTTPCall.path(
            "/api/v1/deployments/\(name)/metrics",
            [
                ("since", "\(max(1, since.components.seconds))"),
                ("step", step.map { "\(max(1, $0.components.seconds))" }), ("adapter", adapter),
            ])
        return try await list(HTTPCall(.get, path))
    }

    /// Events after a number, oldest first.
    package func events(_ query: EventQuery) async throws(ControlClientError) -> [EventView] {
        try await list(HTTPCall(.get, query.path(follow: false)))
    }
}

/// Which events are wanted.
package struct EventQuery: Sendable, Hashable {
    /// Of one deployment; nil for all.
    package var deployment: DeploymentName?
    /// Only those after this number.
    package var after: Int64?
    package var limit: Int?

    package init(deployment: DeploymentName? = nil, after: Int64? = nil, limit: Int? = nil) {
        self.deployment = deployment
        self.after = after
        self.limit = limit
    }

    func path(follow: Bool) -> String {
        HTTPCall.path(
            "/api/v1/events",
            [
                ("deployment", deployment?.text), ("after", after.map { "\($0)" }), ("limit", limit.map { "\($0)" }),
                ("follow", follow ? "true" : nil),
            ])
    }
}

// MARK: - Answers

extension ControlClient {
    private func post(_ name: DeploymentName, _ verb: String, _ body: JSONObject = JSONObject()) -> HTTPCall {
        HTTPCall(.post, "/api/v1/deployments/\(name)/\(verb)", body: Array(JSONValue.object(body).text().utf8))
    }

    private static func bytes(_ view: some WireView) -> [UInt8] { Array(JSONValue.object(view.json).text().utf8) }

    private func view<View: WireView>(_ call: HTTPCall) async throws(ControlClientError) -> View {
        let answer = try await json(call)
        return try read { () throws(WireFault) in try View(answer) }
    }

    private func list<View: WireView>(_ call: HTTPCall) async throws(ControlClientError) -> [View] {
        let answer = try await json(call)
        return try read { () throws(WireFault) in try View.list(answer) }
    }

    /// Reads a value of an answer; what can't be read is the server's fault.
    func read<Value>(_ body: () throws(WireFault) -> Value) throws(ControlClientError) -> Value {
        do throws(WireFault) { return try body() } catch {
            throw ControlClientError(
                .badAnswer, "\(url) answers with what this pbctl can't read: \(error)",
                hint: "is it a pbctl server of about this version?")
        }
    }

    private func json(_ call: HTTPCall) async throws(ControlClientError) -> JSONValue {
        let (head, body) = try await connection.answer(call)
        guard head.isSuccess else { throw refusal(head, body) }
        if body.isEmpty { return .object(JSONObject()) }
        do throws(JSONParseError) { return try JSONValue(parsing: body) } catch {
            throw ControlClientError(
                .badAnswer, "\(url)\(call.path) answers with no JSON: \(error)", hint: "is it a pbctl server?")
        }
    }

    /// What a server's answer other than a success means.
    func refusal(_ head: HTTPHead, _ body: [UInt8]) -> ControlClientError {
        var error: ControlClientError
        if let json = try? JSONValue(parsing: body), let problem = try? APIProblem(json) {
            error = ControlClientError(problem, status: head.status)
        } else {
            error = ControlClientError(.badAnswer, "\(url) answers with status \(head.status)")
            error.status = head.status
            if (300..<500).contains(head.status), head.status != 429 { error.hint = "is it a pbctl server?" }
        }
        if head.status == 401, error.hint == nil { error.hint = "set PBCTL_API_KEY to the server's key" }
        if error.isRetryable, error.hint == nil, let seconds = head.retryAfter {
            error.hint = "try again in \(seconds) s"
        }
        return error
    }
}
