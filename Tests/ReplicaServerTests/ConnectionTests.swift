import HTTPServing
import HTTPTypes
import Hummingbird
import HummingbirdCore
import HummingbirdTesting
import NIOCore
import NIOPosix
import Testing

@testable import ReplicaServer

/// A server on a port of this machine's own, with its service at hand.
private func withLiveServer(
    _ model: ScriptedModel, configure: (inout ReplicaConfiguration) -> Void = { _ in },
    _ test: @escaping @Sendable (Int, ReplicaService) async throws -> Void
) async throws {
    var configuration = ReplicaConfiguration()
    configure(&configuration)
    let service = ReplicaService(model, configuration)
    let timeouts = configuration.timeouts
    let application = Application(
        responder: ReplicaResponder(service),
        server: .http1(
            configuration: HTTP1Channel.Configuration(
                additionalChannelHandlers: [ConnectionHandler(timeouts: timeouts)])))
    try await application.test(.live) { client in
        guard let port = client.port else { throw CancellationError() }
        try await test(port, service)
    }
}

private func post(_ path: String, _ body: String) -> TestClient.Request {
    TestClient.Request(
        path, method: .post, authority: "localhost", headers: [.contentType: "application/json"],
        body: ByteBuffer(string: body))
}

@Suite("Connections", .timeLimit(.minutes(10))) struct ConnectionTests {
    @Test(
        "A client that hangs up ends its request, streamed or not",
        arguments: [
            ("/generate", #"{"inputs":"a"}"#), ("/generate_stream", #"{"inputs":"a"}"#),
            ("/v1/completions", #"{"prompt":["a","b"]}"#), ("/v1/completions", #"{"prompt":"a","stream":true}"#),
        ])
    func hangUp(path: String, body: String) async throws {
        let model = ScriptedModel(waits: true)
        try await withLiveServer(model) { port, service in
            let client = TestClient(
                host: "localhost", port: port, configuration: patient,
                eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup.singleton))
            client.connect()
            try await client.executeAndDontWaitForResponse(post(path, body))
            await model.waitForRunning(body.contains("[") ? 2 : 1)
            try await client.close(mode: .all)
            await model.waitForRunning(0)
            await service.admission.drain()
            #expect(service.admission.count == 0)
        }
    }

    @Test("A client that hangs up gives up its wait for an adapter", arguments: ["/generate", "/generate_stream"])
    func hangUpWhileLoading(path: String) async throws {
        let model = ScriptedModel()
        try await withLiveServer(model) { port, service in
            let client = TestClient(
                host: "localhost", port: port, configuration: patient,
                eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup.singleton))
            client.connect()
            try await client.executeAndDontWaitForResponse(
                post(path, #"{"inputs":"a","parameters":{"adapter_id":"slow"}}"#))
            await model.waitForAcquire()
            try await client.close(mode: .all)
            await model.waitForCancelledAcquire()
            await service.admission.drain()
        }
    }

    @Test("More requests than there may be are refused with 429 while others run")
    func overload() async throws {
        let model = ScriptedModel(waits: true)
        try await withLiveServer(model, configure: { $0.maxConcurrentRequests = 1 }) { port, _ in
            let first = TestClient(
                host: "localhost", port: port, configuration: patient,
                eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup.singleton))
            let second = TestClient(
                host: "localhost", port: port, configuration: patient,
                eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup.singleton))
            first.connect()
            second.connect()
            try await withThrowingTaskGroup(of: TestClient.Response.self) { group in
                group.addTask { try await first.execute(post("/generate", #"{"inputs":"a"}"#)) }
                await model.waitForRunning(1)
                let refused = try await second.execute(post("/generate", #"{"inputs":"a"}"#))
                #expect(refused.status == .tooManyRequests && refused.head.headerFields[.retryAfter] == "1")
                model.finishAll()
                for try await answer in group { #expect(answer.status == .ok) }
            }
            try await first.close(mode: .all)
            try await second.close(mode: .all)
        }
    }

    @Test("A draining server finishes what runs and refuses what is new")
    func drain() async throws {
        let model = ScriptedModel(waits: true)
        try await withLiveServer(model) { port, service in
            let first = TestClient(
                host: "localhost", port: port, configuration: patient,
                eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup.singleton))
            let second = TestClient(
                host: "localhost", port: port, configuration: patient,
                eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup.singleton))
            first.connect()
            second.connect()
            try await withThrowingTaskGroup(of: TestClient.Response.self) { group in
                group.addTask { try await first.execute(post("/generate", #"{"inputs":"a"}"#)) }
                await model.waitForRunning(1)
                service.admission.startDraining()
                #expect(try await second.execute(post("/generate", #"{"inputs":"a"}"#)).status == .serviceUnavailable)
                let health = TestClient.Request("/health", method: .get, authority: "localhost")
                #expect(try await second.execute(health).status == .serviceUnavailable)
                model.finishAll()
                for try await answer in group { #expect(answer.status == .ok) }
            }
            await service.admission.drain()
            try await first.close(mode: .all)
            try await second.close(mode: .all)
        }
    }

    @Test("Connections stay open from one request to the next")
    func keepAlive() async throws {
        try await withLiveServer(ScriptedModel()) { port, _ in
            let client = TestClient(
                host: "localhost", port: port, configuration: patient,
                eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup.singleton))
            client.connect()
            for path in ["/generate", "/generate_stream", "/generate"] {
                #expect(try await client.execute(post(path, #"{"inputs":"a"}"#)).status == .ok)
            }
            try await client.close(mode: .all)
        }
    }
}

/// A machine that builds and tests at the same time may take its time to answer.
private let patient = TestClient.Configuration(timeout: .seconds(120))
