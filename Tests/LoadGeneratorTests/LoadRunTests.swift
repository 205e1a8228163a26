import ServingJSON
import Testing

@testable import LoadGenerator

@Suite struct LoadRunTests {
    private static let token = "data:{\"token\":{\"id\":1,\"text\":\"a\"},\"generated_text\":null,\"details\":null}\n\n"
    private static let end =
        "data:{\"token\":{\"id\":2,\"text\":\"b\"},\"generated_text\":\"aab\",\"details\":{\"finish_reason\":\"length\","
        + "\"prompt_tokens\":11,\"generated_tokens\":3,\"seed\":null}}\n\n"

    private func load(
        _ url: String, api: LoadAPI = .lorax, adapters: [String] = [], timeout: Double = 20, outputTokens: Int = 3
    ) throws -> LoadRun {
        var workload = Workload(seed: 5)
        workload.adapterCount = adapters.count
        workload.outputTokens = .constant(outputTokens)
        workload.promptTokens = .constant(8)
        return LoadRun(
            target: try LoadTarget(url: url, timeoutSeconds: timeout),
            template: RequestTemplate(api: api, model: "base", adapterIDs: adapters), workload: workload,
            writer: PromptWriter(seed: 5))
    }

    private func report(
        _ load: LoadRun, count: Int = 1, concurrency: Int = 1
    ) async -> LoadReport {
        await load.run(LoadLimits(concurrency: concurrency, requestCount: count), stop: StopFlag()).report
    }

    /// The report of one request to a server that always answers so.
    private func report(
        _ answer: ScriptedServer.Answer, api: LoadAPI = .lorax, timeout: Double = 20, outputTokens: Int = 3
    ) async throws -> LoadReport {
        let server = try ScriptedServer { _ in answer }
        defer { server.stop() }
        return await report(try load(server.url, api: api, timeout: timeout, outputTokens: outputTokens))
    }

    @Test func wholeAnswersAreCountedAsTheServerCounts() async throws {
        let server = try ScriptedServer { _ in .stream([Self.token, Self.token, Self.end]) }
        defer { server.stop() }
        let report = await report(try load(server.url, adapters: ["x", "y", "z"]), count: 10, concurrency: 4)
        #expect(report.successCount == 10 && report.failureCount == 0 && report.shortCount == 0)
        #expect(report.promptTokens == 110 && report.outputTokens == 30)
        #expect(report.timeToFirstToken?.count == 10 && report.interTokenLatency?.count == 20)
        #expect(report.adapters.map(\.id) == ["x", "y", "z"])
        #expect(report.adapters.map(\.requestCount) == [4, 3, 3])
        #expect(server.requests.count == 10)
    }

    @Test func requestsSayWhatWasAsked() async throws {
        let server = try ScriptedServer { _ in .stream([Self.end]) }
        defer { server.stop() }
        _ = await report(try load(server.url, adapters: ["x"]))
        let request = try #require(server.requests.first)
        #expect(request.path == "/generate_stream")
        let body = try JSONValue(parsing: request.body)
        #expect(body["inputs"]?.stringValue?.split(separator: " ").count == 8)
        #expect(body["parameters"]?["max_new_tokens"] == 3)
        #expect(body["parameters"]?["ignore_eos_token"] == true)
        #expect(body["parameters"]?["adapter_id"] == "x")
    }

    @Test func openAIStreamsAreCountedByTheirUsage() async throws {
        let events = [
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n",
            "data: {\"choices\":[{\"index\":0,\"delta\":{ \"content\": \"b\"}}]}\n\n",
            "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}]}\n\n",
            "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3,\"total_tokens\":12}}\n\n",
            "data: [DONE]\n\n",
        ]
        let report = try await report(.stream(events), api: .chat)
        #expect(report.successCount == 1)
        // Two events bring text; the server says that they were three tokens.
        #expect(report.outputTokens == 3 && report.promptTokens == 9 && report.interTokenLatency?.count == 1)
    }

    @Test func llamaGetsAdapterNumbers() async throws {
        let server = try ScriptedServer { _ in .stream(["data: {\"choices\":[{\"text\":\"a\"}]}\n\ndata: [DONE]\n\n"]) }
        defer { server.stop() }
        let report = await report(try load(server.url, api: .llama, adapters: ["", ""], outputTokens: 1), count: 2)
        #expect(report.successCount == 2)
        let adapters = try server.requests.map { try JSONValue(parsing: $0.body)["lora"]?[0]?["id"] }
        #expect(adapters == [0, 1])
    }

    @Test func shortAnswersAreTold() async throws {
        let report = try await report(.stream([Self.token, Self.token, Self.end]), outputTokens: 5)
        #expect(report.successCount == 1 && report.shortCount == 1)
    }

    @Test(arguments: [
        (ScriptedServer.Answer.stream([token], isCut: true), "closed", "partial"),
        (.unframed(token), "closed", "ended before"),
        (.close, "closed", ""),
        (.status(429, #"{"error":"Model is overloaded","error_type":"overloaded"}"#), "http 429", "overloaded"),
        (.status(400, #"{"error":{"message":"no such model","type":"x"}}"#), "http 400", "no such model"),
        (.status(500, "oops"), "http 500", "oops"),
        (.status(200, "{\"generated_text\":\"x\"}"), "malformed", "no event stream"),
        (.status(200, ""), "malformed", "empty"),
        (
            .stream([#"data:{"error":"no adapter q","error_type":"generation"}"# + "\n\n"]),
            "stream error: generation", "no adapter q"
        ),
        (
            .stream([token, #"data:{"error":"broke","error_type":"incomplete_generation"}"# + "\n\n"]),
            "stream error: incomplete_generation", "broke"
        ),
    ])
    func failuresAreCountedByKind(_ answer: ScriptedServer.Answer, _ kind: String, _ message: String) async throws {
        let report = try await report(answer)
        #expect(report.successCount == 0 && report.outputTokens == 0)
        let failure = try #require(report.failures.first)
        #expect(failure.kind == kind && failure.count == 1)
        #expect(message.isEmpty || failure.example.message.contains(message), "\(failure.example.message)")
    }

    @Test func aServerThatHangsIsGivenUp() async throws {
        let report = try await report(.hang, timeout: 0.2)
        #expect(report.failures.map(\.kind) == ["timeout"])
    }

    @Test func nobodyThereIsUnreachable() async throws {
        let server = try ScriptedServer { _ in .close }
        let url = server.url
        // A port that was just given up: connections to it are refused once nobody listens.
        server.stop()
        let report = await report(try load(url, timeout: 5))
        #expect(report.failures.map(\.kind) == ["unreachable"])
    }

    @Test func stopDropsWhatIsInFlight() async throws {
        let stop = StopFlag()
        // The second request raises the flag and hangs.
        let server = try ScriptedServer { request in
            guard request.body.contains("\"adapter_id\":\"second\"") else { return .stream([Self.end]) }
            stop.raise()
            return .hang
        }
        defer { server.stop() }
        let limits = LoadLimits(concurrency: 1, requestCount: 1000)
        let (report, wasStopped) = await (try load(server.url, adapters: ["first", "second"])).run(limits, stop: stop)
        #expect(wasStopped && report.successCount == 1 && report.failureCount == 0)
    }

    @Test func warmUpReportsItsFailure() async throws {
        let server = try ScriptedServer { _ in .status(424, #"{"error":"no","error_type":"generation"}"#) }
        defer { server.stop() }
        let failure = await (try load(server.url)).warmUp(count: 2, concurrency: 2, stop: StopFlag())
        #expect(failure == .status(424, "no"))
    }

    @Test func openLoopSendsAllAndCountsFromTheirDueTime() async throws {
        let server = try ScriptedServer { _ in .stream([Self.token, Self.end]) }
        defer { server.stop() }
        var workload = Workload(seed: 5)
        workload.rate = 2000
        let load = LoadRun(
            target: try LoadTarget(url: server.url), template: RequestTemplate(api: .lorax, model: ""),
            workload: workload, writer: PromptWriter(seed: 5))
        let report = await report(load, count: 40, concurrency: 2)
        #expect(report.successCount == 40)
        // The last was due after this long; no request can be measured before it is due.
        var plan = WorkloadPlan(workload)
        let due = (0..<40).map { _ in plan.next().arrival }.last ?? 0
        #expect(report.wallSeconds >= due)
    }

    @Test func serverListsItsAdapters() async throws {
        let server = try ScriptedServer { _ in
            .status(
                200,
                #"{"data":[{"id":"base","owned_by":"pbctl"},{"id":"b","owned_by":"adapter"},"#
                    + #"{"id":"a","parent":"base"}]}"#)
        }
        defer { server.stop() }
        let models = try await ServerProbe(LoadTarget(url: server.url)).models()
        #expect(models.base == ["base"] && models.adapters == ["b", "a"])
    }

    @Test(arguments: ["", "x", "ftp://a", "http://", "http://a b", "http://a?x=1"])
    func otherURLsAreRefused(_ url: String) {
        #expect(throws: LoadGeneratorError.self) { try LoadTarget(url: url) }
    }
}
