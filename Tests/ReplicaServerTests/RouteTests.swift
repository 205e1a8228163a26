import HTTPServing
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import ServingEngine
import ServingJSON
import ServingRuntime
import Testing

@testable import ReplicaServer

private func withServer(
    _ model: ScriptedModel = ScriptedModel(), key: String? = nil,
    configure: (inout ReplicaConfiguration) -> Void = { _ in },
    _ test: @escaping @Sendable (any TestClientProtocol) async throws -> Void
) async throws {
    var configuration = ReplicaConfiguration(apiKey: key.flatMap { APIKey($0) })
    configure(&configuration)
    let application = Application(responder: ReplicaResponder(model: model, configuration: configuration))
    try await application.test(.router) { client in try await test(client) }
}

extension TestClientProtocol {
    fileprivate func post(
        _ path: String, _ body: String, headers: HTTPFields = [:]
    ) async throws -> (status: Int, text: String, headers: HTTPFields) {
        var headers = headers
        if headers[.contentType] == nil { headers[.contentType] = "application/json" }
        return try await execute(uri: path, method: .post, headers: headers, body: ByteBuffer(string: body)) {
            ($0.status.code, String(buffer: $0.body), $0.headers)
        }
    }
    fileprivate func get(_ path: String, headers: HTTPFields = [:]) async throws -> (
        status: Int, text: String, headers: HTTPFields
    ) {
        try await execute(uri: path, method: .get, headers: headers) {
            ($0.status.code, String(buffer: $0.body), $0.headers)
        }
    }
}

@Suite("Routes") struct RouteTests {
    @Test("LoRAX's generate answers an object, its root a list of one, both with its headers")
    func generate() async throws {
        try await withServer { client in
            let answer = try await client.post("/generate", #"{"inputs":"a b"}"#)
            #expect(answer.status == 200 && answer.text == #"{"generated_text":"w1 w2 "}"#)
            let root = try await client.post("/", #"{"inputs":"a b"}"#)
            #expect(root.text == #"[{"generated_text":"w1 w2 "}]"#)
            for name in [
                "x-compute-type", "x-compute-time", "x-compute-characters", "x-total-time", "x-prompt-tokens",
                "x-generated-tokens", "x-skipped-tokens", "x-total-tokens", "x-validation-time", "x-queue-time",
                "x-inference-time", "x-time-per-token", "x-time-to-first-token", "x-time-per-output-token",
                "x-model-id",
            ] {
                #expect(answer.headers[.custom(name)] != nil, "\(name)")
            }
            #expect(answer.headers[.custom("x-prompt-tokens")] == "3")
            #expect(answer.headers[.custom("x-adapter-id")] == nil)
        }
    }

    @Test("LoRAX's stream is framed exactly, without [DONE]")
    func stream() async throws {
        try await withServer { client in
            let answer = try await client.post("/generate_stream", #"{"inputs":"a","parameters":{"max_new_tokens":2}}"#)
            #expect(answer.headers[.contentType] == "text/event-stream")
            #expect(answer.headers[.cacheControl] == "no-cache" && answer.headers[.accelBuffering] == "no")
            let first = #"{"id":1,"text":"w1 ","logprob":-0.5,"special":false,"skipped":false}"#
            let second = #"{"id":2,"text":"w2 ","logprob":-0.5,"special":false,"skipped":false}"#
            #expect(
                answer.text == "data:{\"token\":\(first),\"generated_text\":null,\"details\":null}\n\n"
                    + "data:{\"token\":\(second),\"generated_text\":\"w1 w2 \",\"details\":null}\n\n")
        }
    }

    @Test("A gateway's stream says before each event which tokens it stands for, and at the end where the time went")
    func gatewayStream() async throws {
        try await withServer { client in
            let headers: HTTPFields = [.pbctlGateway: "1"]
            let body = #"{"inputs":"a","parameters":{"max_new_tokens":2}}"#
            let native = try await client.post("/generate_stream", body, headers: headers).text
            let events = native.split(separator: "\n\n")
            #expect(events.count == 2)
            #expect(events[0].hasPrefix(": {\"choice\":0,\"tokens\":[1]}\ndata:{\"token\":"))
            #expect(
                events[1].hasPrefix(
                    ": {\"choice\":0,\"tokens\":[2],\"finished\":true}\n: {\"timing\":{\"queue_ms\":0.0,"
                        + "\"inference_ms\":0.0,\"adapter_load_ms\":0.0,\"prompt_tokens\":2,\"generated_tokens\":2}}\ndata:"
                ))
            let chat = try await client.post(
                "/v1/chat/completions", #"{"messages":[{"role":"user","content":"x"}],"stream":true}"#,
                headers: headers
            ).text.split(separator: "\n\n").map { $0.prefix { $0 != "\n" } }
            #expect(
                chat.prefix(4) == [
                    #": {"choice":0,"tokens":[]}"#, #": {"choice":0,"tokens":[1]}"#, #": {"choice":0,"tokens":[2]}"#,
                    #": {"choice":0,"tokens":[0],"finished":true}"#,
                ])
            #expect(chat.count == 5 && chat[4].hasPrefix(#": {"timing":"#))
        }
    }

    @Test("Errors of a stream are events with status 200")
    func streamErrors() async throws {
        try await withServer { client in
            let answer = try await client.post("/", #"{"inputs":"","stream":true}"#)
            #expect(answer.status == 200)
            #expect(
                answer.text
                    == #"data:{"error":"Input validation error: `inputs` cannot be empty","error_type":"validation"}"#
                    + "\n\n")
        }
    }

    @Test(
        "Bodies that would be altered by reading them are refused",
        arguments: [
            #"{"inputs":"a","parameters":{"adapter_id":"x","adapter_id":"y"}}"#, #"{"inputs":"\ud800"}"#,
            #"{"inputs":"a","parameters":{"temperature":NaN}}"#, #"{"inputs":"a","parameters":{"temperature":1e999}}"#,
        ])
    func altered(body: String) async throws {
        try await withServer { client in
            for path in ["/generate", "/v1/completions"] {
                let answer1 = try await client.post(path, body)
                #expect(answer1.status == 400)
            }
        }
    }

    @Test("Seeds go up to the greatest number of 64 bits")
    func greatSeeds() async throws {
        let model = ScriptedModel()
        try await withServer(model) { client in
            let seed = #""seed":18446744073709551615"#
            let native = #"{"inputs":"a","parameters":{\#(seed),"do_sample":true}}"#
            let answer2 = try await client.post("/generate", native)
            #expect(answer2.status == 200)
            let answer3 = try await client.post("/v1/completions", #"{"prompt":"a",\#(seed)}"#)
            #expect(answer3.status == 200)
            #expect(model.requests.map(\.sampling.seed) == [.max, .max])
            let beyond = native.replacing("615", with: "615000")
            let answer4 = try await client.post("/generate", beyond)
            #expect(answer4.status == 422)
        }
    }

    @Test("Prompts far beyond the context are refused from their beginning")
    func farTooLong() async throws {
        let model = ScriptedModel()
        try await withServer(model) { client in
            let text = String(repeating: "word ", count: 20_000)
            let native = try await client.post("/generate", #"{"inputs":"\#(text)"}"#)
            #expect(native.status == 422 && native.text.contains("must have less than 63 tokens. Given: more than"))
            let openAI = try await client.post("/v1/completions", #"{"prompt":"\#(text)"}"#)
            #expect(openAI.status == 400 && openAI.text.contains("context_length_exceeded"))
            let chat = #"{"messages":[{"role":"user","content":"\#(text)"}]}"#
            #expect(try await client.post("/v1/chat/completions", chat).text.contains("context_length_exceeded"))
            #expect(model.longestText < text.utf8.count / 10)
            // Few tokens may be much text.
            let sparse = "a" + String(repeating: " ", count: 20_000)
            let answer5 = try await client.post("/generate", #"{"inputs":"\#(sparse)"}"#)
            #expect(answer5.status == 200)
        }
    }

    @Test("Parameters that the engine refuses are named as the client named them")
    func names() async throws {
        try await withServer { client in
            let answer = try await client.post(
                "/generate", #"{"inputs":"a","parameters":{"details":true,"return_k_alternatives":1000}}"#)
            #expect(answer.status == 422 && answer.text.contains("`return_k_alternatives` must be"))
        }
    }

    @Test("Bodies that can't be read have axum's statuses")
    func bodies() async throws {
        try await withServer(configure: { $0.maxBodyBytes = 1000 }) { client in
            let syntax = try await client.post("/generate", #"{"inputs":"#)
            #expect(syntax.status == 400 && syntax.headers[.contentType]?.hasPrefix("text/plain") == true)
            let type = try await client.post("/generate", #"{"inputs":5}"#)
            #expect(type.status == 422)
            #expect(
                type.text
                    == "Failed to deserialize the JSON body into the target type: inputs: invalid type: integer `5`, expected a string"
            )
            let media = try await client.post("/generate", "{}", headers: [.contentType: "text/plain"])
            #expect(media.status == 415)
            let large = try await client.post("/generate", #"{"inputs":"\#(String(repeating: "a", count: 2000))"}"#)
            #expect(large.status == 413)
            let deep = try await client.post("/generate", String(repeating: "[", count: 900))
            #expect(deep.status == 400 && deep.text.contains("nested too deeply"))
            let openAI = try await client.post("/v1/chat/completions", "{")
            #expect(openAI.status == 400 && openAI.text.contains(#""type":"invalid_request_error""#))
        }
    }

    @Test("An adapter that is not here is 424 for LoRAX and 404 for OpenAI")
    func missingAdapter() async throws {
        try await withServer { client in
            let native = try await client.post("/generate", #"{"inputs":"a","parameters":{"adapter_id":"missing"}}"#)
            #expect(native.status == 424)
            #expect(
                native.text
                    == #"{"error":"Request failed during generation: Server error: no adapter \"missing\"","error_type":"generation"}"#
            )
            let chat = try await client.post(
                "/v1/chat/completions", #"{"model":"missing","messages":[{"role":"user","content":"x"}],"stream":true}"#
            )
            #expect(chat.status == 404 && chat.text.contains(#""code":"model_not_found""#))
            let metrics = try await client.get("/metrics").text
            #expect(metrics.contains(#"lorax_request_failure{err="download_adapter"} 2.0"#))
            #expect(metrics.contains(#"lorax_batch_inference_count{method="decode"} 0.0"#))
        }
    }

    @Test("Metrics tell how busy the GPU is, where there is one that tells")
    func gpuMetrics() async throws {
        let usage = GPUUsage(device: "cuda:1", utilization: 0.25, usedBytes: 1 << 20)
        try await withServer(ScriptedModel(usage: usage)) { client in
            let metrics = try await client.get("/metrics").text
            #expect(metrics.contains("\npbctl_gpu_utilization_ratio{device=\"cuda:1\"} 0.25\n"))
            #expect(metrics.contains("\npbctl_gpu_memory_used_bytes{device=\"cuda:1\"} 1048576.0\n"))
            #expect(!metrics.contains("pbctl_gpu_memory_total_bytes"))
        }
        try await withServer { client in
            let metrics = try await client.get("/metrics").text
            #expect(!metrics.contains("pbctl_gpu_"))
        }
    }

    @Test("A request with an adapter runs with it and says so")
    func adapter() async throws {
        let model = ScriptedModel()
        try await withServer(model) { client in
            let answer = try await client.post("/generate", #"{"inputs":"a","parameters":{"adapter_id":"x/1"}}"#)
            #expect(answer.headers[.custom("x-adapter-id")] == "x/1")
            #expect(answer.headers[.custom("x-adapter-source")] == "local")
            _ = try await client.post("/v1/completions", #"{"model":"y","prompt":["a","b"]}"#)
            let metrics = try await client.get("/metrics").text
            #expect(metrics.contains(#"pbctl_generated_tokens_total{adapter="x/1"} 3.0"#))
            #expect(metrics.contains(#"pbctl_requests_total{adapter="y",outcome="success"} 1.0"#))
        }
        #expect(model.requests.map { $0.adapterKey?.name } == ["x/1", "y", "y"])
    }

    @Test("A chat's whole answer and its defaults: temperature 1, the rest of the context")
    func chat() async throws {
        let model = ScriptedModel()
        try await withServer(model) { client in
            let answer = try await client.post(
                "/v1/chat/completions", #"{"model":"base","messages":[{"role":"user","content":"x"}]}"#)
            let body = try JSONValue(parsing: answer.text)
            #expect(body["id"]?.stringValue?.hasPrefix("chatcmpl-") == true && body["model"] == "base")
            #expect(body["choices"]?[0]?["message"]?["content"] == "w1 w2 ")
            #expect(body["usage"]?["total_tokens"] == 4)
        }
        #expect(model.requests[0].sampling.temperature == 1 && model.requests[0].maxTokenCount == nil)
    }

    @Test("Completions of several prompts stream their choices and end with [DONE]")
    func completions() async throws {
        try await withServer { client in
            let answer = try await client.post("/v1/completions", #"{"prompt":["a","b"],"stream":true,"max_tokens":1}"#)
            let lines = answer.text.split(separator: "\n").filter { $0.hasPrefix("data: {") }
            let chunks = try lines.map { try JSONValue(parsing: $0.dropFirst(6)) }
            let texts = chunks.compactMap { $0["choices"]?[0] }.filter { $0["text"] != "" }
            #expect(Set(texts.compactMap { $0["index"]?.intValue }) == [0, 1])
            #expect(answer.text.hasSuffix("data: [DONE]\n\n"))
        }
    }

    @Test("Embeddings come as LoRAX and as OpenAI write them")
    func embeddings() async throws {
        try await withServer { client in
            #expect(try await client.post("/embed", #"{"inputs":"a b"}"#).text == #"{"embeddings":[3.0,0.0]}"#)
            let body = try await JSONValue(
                parsing: client.post("/v1/embeddings", #"{"model":"x","input":["a","a b"]}"#).text)
            #expect(body["data"]?[1]?["embedding"] == [3.0, 1.0] && body["usage"]?["prompt_tokens"] == 5)
        }
    }

    @Test(
        "A HEAD request gets the head of the answer and no body", arguments: ["/info", "/v1/models", "/health", "/no"])
    func head(path: String) async throws {
        try await withServer { client in
            let full = try await client.execute(uri: path, method: .get)
            let head = try await client.execute(uri: path, method: .head)
            #expect(head.status == full.status)
            #expect(head.body.readableBytes == 0)
        }
    }

    @Test("A request that can't be makes no room for its adapter")
    func validatesBeforeLoading() async throws {
        let model = ScriptedModel()
        try await withServer(model) { client in
            let answer = try await client.post(
                "/v1/completions", #"{"model":"a","prompt":[5],"logit_bias":{"7000":1}}"#)
            #expect(answer.status == 400)
            #expect(model.acquireCount == 0)
        }
    }

    @Test("A model beside merged adapters is one adapter too many")
    func modelBesideMerge() async throws {
        try await withServer { client in
            let merge = #""merged_adapters":{"ids":["b"],"weights":[1]}"#
            for (model, status) in [("a", 400), ("base", 200)] {
                let answer = try await client.post(
                    "/v1/completions", #"{"model":"\#(model)","prompt":"x",\#(merge)}"#)
                #expect(answer.status == status, "\(model): \(answer.text)")
            }
        }
    }

    @Test("Tokens after one that a normalizer changed are found again")
    func placesAfterNormalization() {
        var places = TokenPlaces("cafe\u{301} noir")
        #expect(places.next(Array("caf".utf8)) == 0..<3)
        #expect(places.next(Array("\u{E9}".utf8)) == 3..<3)
        #expect(places.next(Array(" noir".utf8)) == 5..<10)
    }

    @Test("Places of tokens are counted in characters")
    func tokenize() async throws {
        var places = TokenPlaces("é a")
        #expect(places.next(Array("<s>".utf8)) == 0..<0)
        #expect(places.next(Array(" é".utf8)) == 0..<1)
        #expect(places.next(Array(" a".utf8)) == 1..<3)
        try await withServer { client in
            let answer = try await client.post("/tokenize", #"{"inputs":"a","add_special_tokens":false}"#)
            #expect(answer.text == #"[{"id":11,"text":"<11>","start":0,"stop":0}]"#)
        }
    }

    @Test("Health, info, models and methods")
    func information() async throws {
        try await withServer(configure: { $0.adapterIDs = { ["x/1"] } }) { client in
            for path in ["/", "/health", "/ping", "/startup"] {
                let answer = try await client.get(path)
                #expect(answer.status == 200 && answer.text.isEmpty, "\(path)")
            }
            let info = try await JSONValue(parsing: client.get("/info").text)
            #expect(info["model_id"] == "base" && info["max_total_tokens"] == 64 && info["max_input_length"] == 63)
            let models = try await JSONValue(parsing: client.get("/v1/models").text)
            #expect(models["data"]?.arrayValue?.compactMap { $0["id"]?.stringValue } == ["base", "x/1"])
            let answer6 = try await client.get("/v1/models/x%2F1")
            #expect(answer6.status == 200)
            let answer7 = try await client.get("/v1/models/nope")
            #expect(answer7.status == 404)
            let answer8 = try await client.get("/generate")
            #expect(answer8.status == 405)
            let answer9 = try await client.post("/info", "{}")
            #expect(answer9.status == 405)
            let answer10 = try await client.get("/nowhere")
            #expect(answer10.status == 404)
            let answer11 = try await client.post("/classify", #"{"inputs":"x"}"#)
            #expect(answer11.status == 501)
            let metrics = try await client.get("/metrics", headers: [.accept: "application/json"])
            #expect(try JSONValue(parsing: metrics.text)["lorax_request_count"]?["type"] == "counter")
        }
    }

    @Test("With a key, only health is open")
    func keys() async throws {
        try await withServer(key: "secret") { client in
            let answer12 = try await client.get("/health")
            #expect(answer12.status == 200)
            let answer13 = try await client.get("/metrics")
            #expect(answer13.status == 401)
            let answer14 = try await client.post("/generate", #"{"inputs":"a"}"#)
            #expect(answer14.status == 401)
            let wrong = try await client.post("/v1/completions", "{}", headers: [.authorization: "Bearer secre"])
            #expect(wrong.status == 401 && wrong.text.contains(#""code":"invalid_api_key""#))
            let right = try await client.post(
                "/generate", #"{"inputs":"a"}"#, headers: [.authorization: "bearer secret"])
            #expect(right.status == 200)
        }
    }

    @Test("A full engine is 429 with a time to come back")
    func engineFull() async throws {
        try await withServer(ScriptedModel(limit: 0)) { client in
            for (path, body) in [
                ("/generate", #"{"inputs":"a"}"#), ("/v1/completions", #"{"prompt":"a"}"#),
            ] {
                let answer = try await client.post(path, body)
                #expect(answer.status == 429 && answer.headers[.retryAfter] == "1", "\(path)")
            }
        }
    }

    @Test("Names of adapters that have metrics of their own are bounded")
    func labels() {
        let metrics = ReplicaMetrics(contextLength: 64)
        for index in 0..<1000 { _ = metrics.label("adapter-\(index)") }
        #expect(metrics.label("adapter-0") == "adapter-0" && metrics.label("adapter-999") == "other")
        #expect(metrics.label(nil).isEmpty)
    }
}
