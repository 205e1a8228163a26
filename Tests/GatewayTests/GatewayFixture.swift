import AsyncHTTPClient
import Deployments
import Glibc
import HTTPServing
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import ServingJSON

@testable import Gateway

struct WallClock: ControlClock {
    func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Timestamp(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }
}

/// What the gateway told the control plane.
struct Told: Sendable {
    var wakes: [String] = []
    var failures: [ReplicaID] = []
    var samples: [RequestSample] = []
}

struct HTTPAnswer: Sendable {
    var status: Int
    var headers: HTTPHeaders
    var body: String

    var json: JSONValue { (try? JSONValue(parsing: body)) ?? .null }
}

/// A gateway behind a server on a port of this machine, and a client.
struct GatewayFixture: Sendable {
    let gateway: Gateway
    let told: Watched<Told>
    let port: Int
    let client: HTTPClient

    var url: String { "http://127.0.0.1:\(port)" }

    func publish(
        _ name: String, _ status: DeploymentStatus, _ replicas: [ScriptedReplica] = [], message: String = "",
        allowsAdapters: Bool = true
    ) throws {
        gateway.table.publish(
            try route(name, status, replicas.map(\.routable), message: message, allowsAdapters: allowsAdapters))
    }

    func post(
        _ path: String, _ body: String, _ headers: [(String, String)] = []
    ) async throws -> HTTPAnswer {
        try await send(.POST, path, body, headers)
    }

    func get(_ path: String, _ headers: [(String, String)] = []) async throws -> HTTPAnswer {
        try await send(.GET, path, nil, headers)
    }

    func send(
        _ method: HTTPMethod, _ path: String, _ body: String?, _ headers: [(String, String)] = []
    ) async throws -> HTTPAnswer {
        let response = try await open(method, path, body, headers)
        let bytes = try await response.body.collect(upTo: 64 << 20)
        return HTTPAnswer(status: Int(response.status.code), headers: response.headers, body: String(buffer: bytes))
    }

    func open(
        _ method: HTTPMethod, _ path: String, _ body: String?, _ headers: [(String, String)] = []
    ) async throws -> HTTPClientResponse {
        var request = HTTPClientRequest(url: url + path)
        request.method = method
        request.headers = HTTPHeaders(headers)
        if let body {
            if !request.headers.contains(name: "content-type") {
                request.headers.add(name: "content-type", value: "application/json")
            }
            request.body = .bytes(ByteBuffer(string: body))
        }
        return try await client.execute(request, deadline: .distantFuture)
    }

    /// Returns when so many requests wait for a deployment.
    func waitForQueue(_ name: String, _ count: Int) async throws {
        let name = try DeploymentName(name)
        while gateway.load(of: name).queuedCount != count { try await Task.sleep(for: .milliseconds(1)) }
    }

    /// Returns when no replica has a request of the deployment any more.
    func waitUntilIdle(_ name: String) async throws {
        let name = try DeploymentName(name)
        while gateway.load(of: name).runningCount > 0 { try await Task.sleep(for: .milliseconds(1)) }
    }
}

func route(
    _ name: String, _ status: DeploymentStatus, _ replicas: [DeploymentRoute.RoutableReplica] = [],
    message: String = "", allowsAdapters: Bool = true
) throws -> DeploymentRoute {
    DeploymentRoute(
        name: try DeploymentName(name), deploymentID: "id-\(name)",
        condition: DeploymentCondition(status, reason: "Test", message: message), replicas: replicas,
        baseModel: "base-model", allowsAdapters: allowsAdapters)
}

func withGateway(
    configure: (inout GatewayConfiguration) -> Void = { _ in },
    timeouts: ConnectionTimeouts = ConnectionTimeouts(request: .seconds(600)),
    _ test: @escaping @Sendable (GatewayFixture) async throws -> Void
) async throws {
    var configuration = GatewayConfiguration()
    configuration.dispatch.avoidance = .milliseconds(20)
    // A busy machine must not look like a dead replica.
    configuration.connectTimeout = .seconds(60)
    configure(&configuration)
    let told = Watched(Told())
    let gateway = Gateway(
        configuration: configuration, clock: WallClock(), wake: { name in told.change { $0.wakes.append(name.text) } },
        replicaFailed: { id in told.change { $0.failures.append(id) } },
        sample: { sample in told.change { $0.samples.append(sample) } })
    let port = Watched(0)
    let routes = gateway.routes
    let application = Application(
        responder: FixtureResponder(routes: routes),
        server: .http1(configuration: timeouts.channelConfiguration),
        configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: 0), backlog: 2048),
        onServerRunning: { channel in port.change { $0 = channel.localAddress?.port ?? -1 } },
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    var settings = HTTPClient.Configuration()
    settings.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 4096
    settings.timeout.connect = .seconds(30)
    let client = HTTPClient(eventLoopGroup: HTTPClient.defaultEventLoopGroup, configuration: settings)
    let server = Task { try await application.run() }
    await port.wait { $0 != 0 }
    let result: Result<Void, any Error>
    do {
        try await test(GatewayFixture(gateway: gateway, told: told, port: port.value, client: client))
        result = .success(())
    } catch {
        result = .failure(error)
    }
    server.cancel()
    _ = await server.result
    await gateway.drain()
    try await client.shutdown()
    try result.get()
}

private struct FixtureResponder: HTTPResponder {
    let routes: GatewayRoutes

    func respond(to request: Request, context: ConnectionContext) async throws -> Response {
        await routes.respond(to: request, context: context) ?? Response(status: .notImplemented)
    }
}
