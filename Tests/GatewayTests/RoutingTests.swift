import Deployments
import NIOCore
import NIOHTTP1
import ServingJSON
import Testing

@testable import Gateway

@Suite("Requests that are led to replicas", .timeLimit(.minutes(10))) struct RoutingTests {
    /// Answers with what it was asked.
    private static let echo: ScriptedReplica.Script = { request in
        let model = request.json["model"]?.text() ?? "null"
        let path = JSONValue.string(request.path).text()
        return ReplicaStep.json(
            #"{"id":"x","model":\#(model),"path":\#(path),"n":"model"}"#,
            headers: [
                ("x-queue-time", "5"), ("x-inference-time", "40"), ("x-prompt-tokens", "3"),
                ("x-generated-tokens", "4"),
                ("x-model-id", "base"), ("connection", "keep-alive"), ("server", "replica"),
            ])
    }

    @Test(
        "The model is split, rewritten for the replica, and given back as it came",
        arguments: [
            ("/v1/chat/completions", #""chat""#, #""""#), ("/v1/completions", #""chat:org/a:1""#, #""org/a:1""#),
            ("/v1/embeddings", #""chat:a""#, #""a""#), ("/deployments/chat/v1/completions", #""base-model""#, #""""#),
            ("/deployments/chat/v1/completions", #""a/1""#, #""a/1""#),
            ("/t/deployments/v2/llms/chat/v1/chat/completions", #""chat:a \"q\"""#, #""a \"q\"""#),
        ])
    func models(path: String, model: String, sent: String) async throws {
        try await withGateway { fixture in
            let replica = try await ScriptedReplica("r", script: Self.echo)
            try fixture.publish("chat", .ready, [replica])
            let answer = try await fixture.post(path, #"{"prompt":"p","model":\#(model),"messages":[]}"#)
            #expect(answer.status == 200)
            #expect(answer.json["model"]?.text() == model)
            #expect(answer.json["n"] == "model")
            let received = try #require(replica.counts.value.received.first)
            #expect(received.json["model"]?.text() == sent)
            #expect(received.json["prompt"] == "p")
            await replica.stop()
        }
    }

    @Test("A replica that counts in nonsense has its answer passed on", arguments: ["nan", "1e300", "-inf", "x"])
    func nonsense(count: String) async throws {
        try await withGateway { fixture in
            let replica = try await ScriptedReplica("r") { _ in
                ReplicaStep.json(
                    #"{"id":"x"}"#,
                    headers: [
                        ("x-queue-time", count), ("x-inference-time", "40"), ("x-prompt-tokens", count),
                        ("x-generated-tokens", count),
                    ])
            }
            try fixture.publish("chat", .ready, [replica])
            #expect(try await fixture.post("/deployments/chat/generate", #"{"inputs":"x"}"#).status == 200)
            await replica.stop()
        }
    }

    @Test(
        "All bases lead to the replica's routes, and the bare base to its compatible one",
        arguments: [
            ("/deployments/chat", "/"), ("/deployments/chat/generate", "/generate"),
            ("/deployments/ch%61t/embed", "/embed"),
            ("/t0/deployments/v2/llms/chat", "/"), ("/my%20t/deployments/v2/llms/chat/tokenize", "/tokenize"),
            ("/t0/deployments/v2/llms/chat/invocations", "/"), ("/deployments/chat/classify", "/classify"),
        ])
    func paths(path: String, sent: String) async throws {
        try await withGateway { fixture in
            let replica = try await ScriptedReplica("r", script: Self.echo)
            try fixture.publish("chat", .ready, [replica])
            let answer = try await fixture.post(path, #"{"inputs":"x"}"#)
            #expect(answer.status == 200 && answer.json["path"]?.stringValue == sent)
            await replica.stop()
        }
    }

    @Test("Header fields of one connection stay on it, ids go through, and samples carry the replica's times")
    func headers() async throws {
        try await withGateway { fixture in
            let replica = try await ScriptedReplica("r", script: Self.echo)
            try fixture.publish("chat", .ready, [replica])
            let answer = try await fixture.post(
                "/deployments/chat/generate", #"{"inputs":"x","parameters":{"adapter_id":"ad"}}"#,
                [
                    ("x-request-id", "abc-1"), ("authorization", "Bearer hf"), ("x-own", "1"), ("te", "trailers"),
                    ("connection", "x-hop"), ("x-hop", "1"), ("x-pbctl-gateway", "0"),
                ])
            #expect(answer.headers["x-request-id"] == ["abc-1"])
            #expect(answer.headers["x-model-id"] == ["base"] && answer.headers["server"] != ["replica"])
            let received = try #require(replica.counts.value.received.first?.headers)
            #expect(received["authorization"] == ["Bearer hf"] && received["x-own"] == ["1"])
            #expect(received["x-hop"].isEmpty && received["te"].isEmpty && received["x-request-id"] == ["abc-1"])
            #expect(received["x-pbctl-gateway"] == ["1"])
            await fixture.told.wait { $0.samples.count == 1 }
            let sample = try #require(fixture.told.value.samples.first)
            #expect(sample.outcome == .success && sample.adapter == "ad" && sample.generatedTokenCount == 4)
            #expect(sample.inferenceDuration == .milliseconds(40) && sample.queueDuration >= .milliseconds(5))
            let made = try await fixture.post("/deployments/chat/generate", #"{"inputs":"x"}"#, [("x-request-id", "")])
            #expect(made.headers.first(name: "x-request-id")?.count == 24)
            await replica.stop()
        }
    }

    @Test("A gateway that has a key of its own keeps it")
    func keepsKey() async throws {
        try await withGateway(configure: { $0.passesAuthorization = false }) { fixture in
            let replica = try await ScriptedReplica("r", script: Self.echo)
            try fixture.publish("chat", .ready, [replica])
            _ = try await fixture.post("/deployments/chat", #"{"inputs":"x"}"#, [("authorization", "Bearer key")])
            #expect(replica.counts.value.received.first?.headers["authorization"] == [])
            await replica.stop()
        }
    }

    @Test("Unknown deployments are 404 in the form of the route, with names that are near")
    func unknown() async throws {
        try await withGateway { fixture in
            try fixture.publish("chat", .ready)
            try fixture.publish("gone", .deleted)
            let openAI = try await fixture.post("/v1/completions", #"{"model":"chap:x","prompt":""}"#)
            #expect(openAI.status == 404 && openAI.json["error"]?["code"] == "model_not_found")
            #expect(openAI.json["error"]?["message"]?.stringValue?.contains("\"chat\"") ?? false)
            let native = try await fixture.post("/deployments/chta/generate", "{}")
            #expect(native.status == 404 && native.json["error_type"] == "not_found")
            #expect(try await fixture.post("/deployments/gone", "{}").status == 404)
            #expect(try await fixture.post("/deployments/%C3%A9/generate", "{}").status == 404)
            let missing = try await fixture.post("/v1/completions", #"{"prompt":""}"#)
            #expect(missing.status == 400 && missing.json["error"]?["param"] == "model")
            let below = try await fixture.get("/deployments/chat/v1/nonsense")
            #expect(below.status == 404 && below.json["error"]?["code"] == "unknown_url")
            #expect(try await fixture.get("/not/ours").status == 501)
        }
    }

    @Test("Wrong methods are 405, bodies that can't be are refused before a replica hears of them")
    func refusals() async throws {
        try await withGateway(configure: { $0.maxBodyBytes = 1000 }) { fixture in
            let replica = try await ScriptedReplica("r", script: Self.echo)
            try fixture.publish("chat", .ready, [replica])
            let get = try await fixture.get("/v1/chat/completions")
            #expect(get.status == 405 && get.headers["allow"] == ["POST"])
            #expect(try await fixture.send(.DELETE, "/deployments/chat/info", nil).status == 405)
            #expect(try await fixture.post("/deployments/chat/metrics", "{}").headers["allow"] == ["GET"])
            let big = #"{"model":"chat","prompt":"\#(String(repeating: "x", count: 2000))"}"#
            let tooLarge = try await fixture.post("/v1/completions", big)
            #expect(tooLarge.status == 413 && tooLarge.json["error"]?["message"] != nil)
            #expect(try await fixture.post("/deployments/chat/generate", big).json["error_type"] != nil)
            #expect(try await fixture.post("/v1/completions", "{").status == 400)
            #expect(try await fixture.post("/v1/completions", "[]").status == 400)
            #expect(try await fixture.post("/v1/completions", #"{"model":7}"#).status == 400)
            #expect(try await fixture.post("/v1/completions", "{}", [("content-type", "text/plain")]).status == 415)
            #expect(
                try await fixture.post("/deployments/chat", "{}", [("x-pbctl-queue-timeout", "soon")]).status == 400)
            #expect(replica.counts.value.received.isEmpty)
            await replica.stop()
        }
    }

    @Test("A deployment without adapters refuses them")
    func adaptersDisabled() async throws {
        try await withGateway { fixture in
            let replica = try await ScriptedReplica("r", script: Self.echo)
            try fixture.publish("chat", .ready, [replica], allowsAdapters: false)
            #expect(try await fixture.post("/v1/completions", #"{"model":"chat:a"}"#).status == 400)
            let native = #"{"inputs":"x","parameters":{"adapter_id":"a"}}"#
            #expect(try await fixture.post("/deployments/chat/generate", native).status == 400)
            #expect(try await fixture.post("/v1/completions", #"{"model":"chat"}"#).status == 200)
            await replica.stop()
        }
    }

    @Test("A replica's own errors reach the client as they are")
    func replicaErrors() async throws {
        try await withGateway { fixture in
            let error = #"{"error":{"message":"no","code":"adapter_unavailable"}}"#
            let replica = try await ScriptedReplica("r") { request in
                ReplicaStep.json(
                    error, status: request.json["model"] == "a" ? 503 : 422, headers: [("retry-after", "9")])
            }
            try fixture.publish("chat", .ready, [replica])
            for (model, status) in [("chat", 422), ("chat:a", 503)] {
                let answer = try await fixture.post("/v1/completions", #"{"model":"\#(model)","stream":true}"#)
                #expect(answer.status == status && answer.body == error && answer.headers["retry-after"] == ["9"])
            }
            #expect(replica.counts.value.received.count == 2 && fixture.told.value.failures.isEmpty)
            await fixture.told.wait { $0.samples.count == 2 }
            #expect(fixture.told.value.samples.map(\.outcome) == [.rejected, .failed])
            await replica.stop()
        }
    }

    @Test("Models are deployments and the adapters of those with replicas; nothing is woken to tell")
    func listsModels() async throws {
        try await withGateway { fixture in
            let replica = try await ScriptedReplica("r") { _ in
                ReplicaStep.json(#"{"data":[{"id":"base","parent":null},{"id":"org/a","parent":"base"}]}"#)
            }
            try fixture.publish("chat", .ready, [replica])
            try fixture.publish("asleep", .standby)
            try fixture.publish("gone", .deleted)
            func ids(_ answer: HTTPAnswer) -> [String] {
                answer.json["data"]?.arrayValue?.compactMap { $0["id"]?.stringValue } ?? []
            }
            #expect(ids(try await fixture.get("/v1/models")) == ["asleep", "chat", "chat:org/a"])
            #expect(ids(try await fixture.get("/deployments/chat/v1/models")) == ["chat", "chat:org/a"])
            #expect(replica.counts.value.received.count == 1)
            #expect(try await fixture.get("/v1/models/chat:org%2Fa").json["parent"] == "chat")
            #expect(try await fixture.get("/deployments/chat/v1/models/org/a").json["id"] == "chat:org/a")
            #expect(try await fixture.get("/v1/models/chat:other").status == 404)
            #expect(try await fixture.get("/v1/models/nobody").status == 404)
            #expect(fixture.told.value.wakes.isEmpty)
            await replica.stop()
        }
    }

    @Test("Health, info and metrics tell of one deployment and wake none")
    func information() async throws {
        try await withGateway { fixture in
            let replica = try await ScriptedReplica("r", script: Self.echo)
            try fixture.publish("chat", .ready, [replica])
            try fixture.publish("asleep", .standby, message: "no load")
            #expect(try await fixture.get("/t/deployments/v2/llms/chat").status == 200)
            #expect(try await fixture.get("/deployments/chat/health").body == "")
            let asleep = try await fixture.get("/deployments/asleep/health")
            #expect(
                asleep.status == 503 && asleep.json["error_type"] == "healthcheck" && asleep.body.contains("no load"))
            #expect(try await fixture.get("/deployments/asleep/info").status == 503)
            #expect(try await fixture.get("/deployments/chat/info").json["path"] == "/info")
            _ = try await fixture.post("/deployments/chat/generate", #"{"inputs":"x"}"#)
            await fixture.told.wait { $0.samples.count == 1 }
            let text = try await fixture.get("/deployments/chat/metrics").body
            #expect(text.contains(#"lorax_request_success{deployment="chat",adapter=""} 1.0"#))
            #expect(text.contains(#"pbctl_gateway_wait_seconds_count{deployment="chat"} 1.0"#))
            #expect(try await !fixture.get("/deployments/asleep/metrics").body.contains("chat"))
            let json = try await fixture.get("/deployments/chat/metrics", [("accept", "application/json")]).json
            #expect(json["lorax_request_count"]?["data"]?[0]?["value"]?.doubleValue == 1)
            #expect(fixture.told.value.wakes.isEmpty)
            await replica.stop()
        }
    }

    @Test("Labels of adapters are bounded")
    func labels() throws {
        let metrics = GatewayMetrics()
        let name = try DeploymentName("chat")
        for index in 0..<GatewayMetrics.adapterLabelLimit {
            #expect(metrics.labels(name, "a\(index)")[1] == "a\(index)")
        }
        #expect(metrics.labels(name, "one more") == ["chat", "other"])
        #expect(metrics.labels(name, "a5") == ["chat", "a5"] && metrics.labels(name, nil) == ["chat", ""])
    }
}
