import ControlPlane
import Gateway
package import HTTPServing
import HTTPTypes
package import Hummingbird
import ServingJSON

/// Leads requests to the gateway or to the control plane; answers what belongs to neither.
package struct ControlResponder: HTTPResponder {
    package typealias Context = ConnectionContext

    let gateway: GatewayRoutes
    let control: ControlRoutes
    let metrics: @Sendable () async -> String
    let apiKey: APIKey?

    package func respond(to request: Request, context: ConnectionContext) async throws -> Response {
        var response = await route(request, context)
        if request.method == .head { response = response.createHeadResponse() }
        return response
    }

    private func route(_ request: Request, _ context: ConnectionContext) async -> Response {
        // Browsers show no key with it.
        if let response = gateway.preflight(request) { return response }
        let path = request.uri.path
        let isOpen = path == "/health" && request.method != .post
        if let apiKey, !isOpen, !apiKey.matches(request.bearerToken ?? "") {
            return path.hasPrefix("/v1/")
                ? HTTPReply(OpenAIError.unauthorized).response : HTTPReply(NativeError.unauthorized).response
        }
        if let response = await gateway.respond(to: request, context: context) { return response }
        if path == "/metrics", request.method == .get || request.method == .head {
            return await withTaskExecutorPreference(globalConcurrentExecutor) {
                HTTPReply(
                    200, contentType: "text/plain; version=0.0.4; charset=utf-8", body: Array(await metrics().utf8)
                ).response
            }
        }
        if isForeign(request) {
            return Self.problem(
                403, "forbidden", "requests from other web sites may not change deployments")
        }
        // Lists may be long: not on the loop.
        let response = await withTaskExecutorPreference(globalConcurrentExecutor) {
            await control.respond(to: request, context: context)
        }
        if let response { return response }
        return Self.problem(404, "not_found", "\(request.method) \(path.prefix(200)): there is nothing here")
    }

    /// Whether a browser sends it for a page of another origin: without a key, being on this machine is all the proof
    /// there is of who asks.
    private func isForeign(_ request: Request) -> Bool {
        guard request.method != .get, request.method != .head, let origin = request.headers[.origin] else {
            return false
        }
        let host = request.head.authority ?? ""
        return origin != "http://\(host)" && origin != "https://\(host)"
    }

    private static func problem(_ status: Int, _ code: String, _ message: String) -> Response {
        let json: JSONValue = ["error": .string(message), "code": .string(code)]
        return HTTPReply(status, contentType: "application/json", body: Array(json.text().utf8)).response
    }
}
