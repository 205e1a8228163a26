import ControlAPI
import ControlClient
import Deployments
import Glibc
import ServingJSON
import Synchronization
import Testing

@Suite struct ControlClientTests {
    private static let moment = Timestamp(milliseconds: 1_795_568_523_456)

    private static func view(_ status: DeploymentStatus = .ready) -> DeploymentView {
        DeploymentView(
            name: "demo", uuid: "u", status: status, model: "m", config: JSONObject([("baseModel", "m")]),
            createdAt: moment)
    }

    private static func text(_ object: JSONObject) -> String { JSONValue.object(object).text() }

    /// Makes a call of a client whose server gives one answer, and gives the request that came.
    private func request(
        answer: ScriptedServer.Answer = .json(text(view().json)),
        _ body: (ControlClient) async throws -> Void
    ) async throws -> ScriptedServer.Request {
        let server = try ScriptedServer { _ in answer }
        defer { server.stop() }
        try await body(try ControlClient(url: server.url + "/", apiKey: "secret"))
        return try #require(server.requests.last)
    }

    @Test func eachCallHasItsMethodPathAndBody() async throws {
        let name = try DeploymentName("demo")
        let create = try await request(answer: .json(Self.text(Self.view().json), status: 201)) {
            let request = DeploymentRequest(name: "demo", config: JSONObject([("baseModel", "m")]))
            let made = try await $0.create(request, isDryRun: true)
            #expect(made == Self.view())
        }
        #expect(create.method == "POST" && create.path == "/v2/deployments?dryRun=true")
        #expect(create.body == "{\"name\":\"demo\",\"config\":{\"baseModel\":\"m\"}}")
        #expect(create.head.contains("Authorization: Bearer secret"))
        #expect(create.head.contains("Content-Type: application/json"))

        let update = try await request {
            _ = try await $0.update(name, DeploymentRequest(description: "x"), ifGeneration: 7)
        }
        #expect(update.method == "PUT" && update.path == "/v2/deployments/demo" && update.head.contains("If-Match: 7"))

        let delete = try await request { _ = try await $0.delete(name) }
        #expect(delete.method == "DELETE" && delete.path == "/v2/deployments/demo" && delete.body.isEmpty)

        let scale = try await request { _ = try await $0.scale(name, .delta(-1)) }
        #expect(scale.path == "/api/v1/deployments/demo/scale" && scale.body == "{\"delta\":-1}")

        let back = try await request { _ = try await $0.rollBack(name, to: nil) }
        #expect(back.path == "/api/v1/deployments/demo/rollback" && back.body == "{}")

        let get = try await request(answer: .json(Self.text(Self.view().enveloped))) {
            let found = try await $0.deployment(name)
            #expect(found == Self.view())
        }
        #expect(get.method == "GET" && get.path == "/v2/deployments/demo")

        let metrics = try await request(answer: .json("{\"data\":[]}")) {
            let points = try await $0.metrics(of: name, since: .seconds(60), step: .seconds(5), adapter: "a/b c&")
            #expect(points.isEmpty)
        }
        #expect(metrics.path == "/api/v1/deployments/demo/metrics?since=60&step=5&adapter=a%2Fb%20c%26")

        let events = try await request(answer: .json("{\"data\":[]}")) {
            _ = try await $0.events(EventQuery(deployment: name, after: 3, limit: 10))
        }
        #expect(events.path == "/api/v1/events?deployment=demo&after=3&limit=10")

        let stop = try await request(answer: .json("", status: 202)) { try await $0.stopServer(stopsReplicas: true) }
        #expect(stop.method == "POST" && stop.path == "/api/v1/server/stop?replicas=stop")
    }

    @Test func aRefusalSaysWhatTheServerSays() async throws {
        let problem = APIProblem(
            "2 fields can't be", code: "badConfig", hint: "see the manual",
            faults: [FaultView(field: "minReplicas", value: "-1", expected: "0 to 1000")])
        let server = try ScriptedServer { request in
            switch request.path {
            case "/v2/deployments": .json(Self.text(problem.json), status: 422)
            case "/v2/deployments/demo": .json("{\"error\":\"ending\"}", status: 503, fields: ["Retry-After: 3"])
            case "/health": .json("<html>", status: 200)
            case "/api/v1/server": .json("{\"version\":1}", status: 200)
            default: .json("not here", status: 404)
            }
        }
        defer { server.stop() }
        let client = try ControlClient(url: server.url)
        let refused = await failure { _ = try await client.create(DeploymentRequest(name: "demo")) }
        #expect(refused?.code == .refused && refused?.status == 422 && refused?.hint == "see the manual")
        #expect(refused?.message == "2 fields can't be: minReplicas -1: 0 to 1000")
        #expect(refused?.problem == problem && refused?.isRetryable == false)
        let name = try DeploymentName("demo")
        let busy = await failure { _ = try await client.deployment(name) }
        #expect(busy?.isRetryable == true && busy?.hint == "try again in 3 s" && busy?.message == "ending")
        var owned = try #require(busy)
        owned.problem?.code = "deployment_stopped"
        #expect(!owned.isRetryable)
        let noJSON = await failure { try await client.checkHealth() }
        #expect(noJSON?.code == .badAnswer)
        let wrongType = await failure { _ = try await client.server() }
        #expect(wrongType?.code == .badAnswer && wrongType?.message.contains("server.version: expected text") == true)
        let other = await failure { _ = try await client.revisions(of: name) }
        #expect(other?.status == 404 && other?.hint == "is it a pbctl server?")
    }

    private func failure(_ body: () async throws -> Void) async -> ControlClientError? {
        do { try await body() } catch { return error as? ControlClientError }
        return nil
    }

    @Test func whereNobodyListensOrTheConnectionBreaksItIsUnreachable() async throws {
        let server = try ScriptedServer { _ in .close }
        let client = try ControlClient(url: server.url)
        let broken = await failure { try await client.checkHealth() }
        #expect(broken?.code == .unreachable)
        server.stop()
        let gone = try ScriptedServer { _ in .close }
        let url = gone.url
        gone.stop()
        let refused = try ControlClient(url: url)
        // The listener is closed by another thread; until then it closes connections, which is unreachable as well.
        let error = await failure { try await refused.checkHealth() }
        #expect(error?.code == .unreachable && error?.message.contains(url) == true)
        for bad in ["", "127.0.0.1:80", "ftp://x", "http://", "http://a b", "http://h/?q=1", "http://h#f"] {
            #expect(throws: ControlClientError.self, "\(bad)") { try ControlClient(url: bad) }
        }
        #expect(throws: ControlClientError.self) { try ControlClient(url: url, apiKey: "a\r\nX: y") }
    }

    @Test func aSilentServerIsGivenUpAndACancelledCallEndsAtOnce() async throws {
        let server = try ScriptedServer { _ in .hang }
        defer { server.stop() }
        let client = try ControlClient(url: server.url)
        let late = await failure { try await client.checkHealth(timeout: .milliseconds(100)) }
        #expect(late?.code == .unreachable)
        let task = Task { await failure { _ = try await client.deployments() } }
        while server.requests.count < 2 { await Task.yield() }
        task.cancel()
        #expect(await task.value?.code == .cancelled)
    }

    @Test func watchingGivesEachChangeUntilTheTakerHasEnough() async throws {
        let frames = [DeploymentStatus.pending, .initializing, .ready].map {
            "data: \(Self.text(Self.view($0).json))\n\n"
        }
        let server = try ScriptedServer { _ in
            // Cut in the middle of a frame, and with comments that keep the connection alive between.
            .stream(
                [":\n", String(frames[0].prefix(20)), String(frames[0].dropFirst(20)), frames[1] + frames[2]],
                end: .held)
        }
        defer { server.stop() }
        let client = try ControlClient(url: server.url)
        let name = try DeploymentName("demo")
        let seen = Mutex<[DeploymentStatus]>([])
        try await client.watch(name) { view in
            seen.withLock { $0.append(view.status) }
            return view.status != .ready
        }
        #expect(seen.withLock { $0 } == [.pending, .initializing, .ready])
        #expect(server.requests.last?.path == "/api/v1/deployments/demo/watch")
    }

    @Test func aStreamThatGoesWrongIsAnError() async throws {
        let line = Self.text(LogLineView(replica: "r", at: nil, text: "x").json)
        let name = try DeploymentName("demo")
        for (answer, code) in [
            (.stream(["data: {\"error\":\"replica lost\"}\n\n"]), .refused),
            (.stream(["data: {]\n\n"]), .badAnswer), (.stream(["data: {\"text\":1}\n\n"]), .badAnswer),
            (.stream(["data: \(line)\n\n"], end: .cut), .unreachable),
            (.json("{\"error\":\"no demo\"}", status: 404), .refused),
        ] as [(ScriptedServer.Answer, ControlClientError.Code)] {
            let server = try ScriptedServer { _ in answer }
            defer { server.stop() }
            let client = try ControlClient(url: server.url)
            let error = await failure { try await client.logs(of: name, LogQuery()) { _ in true } }
            #expect(error?.code == code, "\(answer)")
        }
    }

    @Test func linesComeInOrderAndAThrowingTakerEndsTheStream() async throws {
        struct Enough: Error {}
        let lines = (0..<500).map { "data: \(Self.text(LogLineView(replica: "r", at: nil, text: "\($0)").json))\n\n" }
        let server = try ScriptedServer { _ in .stream(lines) }
        defer { server.stop() }
        let client = try ControlClient(url: server.url)
        let name = try DeploymentName("demo")
        let texts = Mutex<[String]>([])
        let query = LogQuery(replica: "r", tail: 500, since: Self.moment, follows: true)
        try await client.logs(of: name, query) { line in
            texts.withLock { $0.append(line.text) }
            return true
        }
        #expect(texts.withLock { $0 } == (0..<500).map { "\($0)" })
        let path = server.requests.last?.path
        #expect(
            path == "/api/v1/deployments/demo/logs?replica=r&tail=500&since=2026-11-25T01%3A02%3A03.456Z&follow=true")
        await #expect(throws: Enough.self) {
            try await client.logs(of: name, query) { _ in throw Enough() }
        }
    }

    @Test func aPostGivesAStreamOrOnePlainAnswer() async throws {
        let server = try ScriptedServer { request in
            request.body.contains("true")
                ? .stream([": {\"waiting\":{}}\ndata: {\"a\":1}\n\n", "data: [DONE]\n\n"]) : .json("{\"a\": 2}")
        }
        defer { server.stop() }
        let client = try ControlClient(url: server.url)
        let frames = Mutex<[StreamFrame]>([])
        for isStream in [true, false] {
            try await client.post("/v1/x", ["stream": .bool(isStream)], fields: ["x-pbctl-progress: 1"]) { frame in
                frames.withLock { $0.append(frame) }
                return true
            }
        }
        let all = frames.withLock { $0 }
        #expect(all == [.comment("{\"waiting\":{}}"), .data("{\"a\":1}"), .data("[DONE]"), .data("{\"a\": 2}")])
        #expect(server.requests.first?.head.contains("x-pbctl-progress: 1") == true)
    }

    @Test func cancellingAStreamLetsTheServerGo() async throws {
        let server = try ScriptedServer { _ in .stream(["data: {}\n\n"], end: .held) }
        defer { server.stop() }
        let client = try ControlClient(url: server.url)
        let task = Task { await failure { try await client.post("/x", [:]) { _ in true } } }
        while server.requests.isEmpty { await Task.yield() }
        task.cancel()
        #expect(await task.value?.code == .cancelled)
        while server.goneCount == 0 { await Task.yield() }
    }
}
