import Deployments
import HTTPServing
import NIOCore
import NIOHTTP1
import ServingJSON
import Synchronization
import Testing

@testable import Gateway

@Suite("Streams", .timeLimit(.minutes(10))) struct StreamTests {
    private static let body =
        #"{"model":"chat:ad","prompt":"hello","n":2,"stream":true,"stream_options":{"include_usage":true}}"#

    /// A request as replicas get it, to know how long its stream is.
    private static func sent(_ path: String, _ body: String) -> ReceivedRequest {
        ReceivedRequest(method: "POST", path: path, headers: [:], body: body.replacing("chat:ad", with: "ad"))
    }

    @Test(
        "A stream that breaks off anywhere is carried on: the client's bytes are those of an undisturbed run",
        arguments: [
            ("/v1/completions", body),
            ("/v1/chat/completions", body.replacing(#""prompt":"hello""#, with: #""messages":[1]"#)),
            ("/deployments/chat/generate_stream", #"{"inputs":"hello"}"#),
            ("/deployments/chat", #"{"inputs":"hello","stream":true}"#),
        ])
    func anywhere(path: String, body: String) async throws {
        let model = TellingModel()
        let replicaPath = path.hasPrefix("/v1") ? path : "/x"
        let length = model.frames(Self.sent(replicaPath, body)).map(\.bytes.utf8.count).reduce(0, +)
        try await withGateway(configure: { $0.dispatch.avoidance = .zero }) { fixture in
            let cut = Mutex(0)
            let bad = try await ScriptedReplica("a") { request in
                request.pbctl["resume"] == nil
                    ? model.steps(request, dyingAfter: cut.withLock { $0 }) : model.steps(request)
            }
            let good = try await ScriptedReplica("b") { model.steps($0) }
            // Seeds differ in length, and with them the bytes of the frames; the last cuts may be beyond the end.
            for position in stride(from: 0, through: length + 10, by: 13) {
                cut.withLock { $0 = position }
                try fixture.publish("chat", .ready, [bad])
                let answer = Task { try await fixture.post(path, body) }
                await bad.counts.wait { !$0.received.isEmpty }
                try fixture.publish("chat", .ready, [good])
                let result = try await answer.value
                let first = try #require(bad.counts.value.received.first)
                #expect(result.status == 200)
                #expect(
                    result.body == model.expected(first, model: path.hasPrefix("/v1") ? "chat:ad" : nil),
                    "cut at \(position)")
                bad.counts.change { $0.received = [] }
            }
            await bad.stop()
            await good.stop()
        }
    }

    @Test(
        "Two hundred streams at once, with replicas dying at random, lose and repeat nothing",
        arguments: [1, 2] as [UInt64])
    func manyAtRandom(seed: UInt64) async throws {
        let model = TellingModel(tokenCount: 40)
        let random = Mutex(SeededGenerator(state: seed))
        let firsts = Mutex<[String: ReceivedRequest]>([:])
        let script: ScriptedReplica.Script = { request in
            let prompt = request.json["prompt"]?.stringValue ?? ""
            firsts.withLock { if $0[prompt] == nil { $0[prompt] = request } }
            return random.withLock { random in
                let length = model.frames(request).map(\.bytes.utf8.count).reduce(0, +)
                guard Int.random(in: 0..<3, using: &random) > 0 else { return model.steps(request) }
                // Far enough that each try gets somewhere.
                return model.steps(request, dyingAfter: Int.random(in: 150..<max(151, length), using: &random))
            }
        }
        try await withGateway(configure: { configuration in
            configuration.dispatch.avoidance = .zero
            configuration.maxResumptions = 1000
        }) { fixture in
            var replicas: [ScriptedReplica] = []
            for name in ["a", "b", "c"] { replicas.append(try await ScriptedReplica(name, script: script)) }
            try fixture.publish("chat", .ready, replicas)
            try await withThrowingTaskGroup(of: (String, HTTPAnswer).self) { group in
                for index in 0..<200 {
                    group.addTask {
                        let body = #"{"model":"chat","prompt":"p\#(index)","n":\#(1 + index % 3),"stream":true}"#
                        return ("p\(index)", try await fixture.post("/v1/completions", body))
                    }
                }
                for try await (prompt, answer) in group {
                    let first = try #require(firsts.withLock { $0[prompt] })
                    #expect(answer.body == model.expected(first, model: "chat"), "\(prompt)")
                }
            }
            await fixture.told.wait { $0.samples.count == 200 }
            #expect(fixture.told.value.samples.allSatisfy { $0.outcome == .success && $0.timeToFirstToken != nil })
            #expect(!fixture.told.value.failures.isEmpty)
            let load = fixture.gateway.load(of: try DeploymentName("chat"))
            #expect(load.runningCount == 0 && load.queuedCount == 0)
            for replica in replicas { await replica.stop() }
        }
    }

    @Test("A stream without a replica to carry it on waits for one, before all others")
    func waitsForReplica() async throws {
        let model = TellingModel()
        try await withGateway { fixture in
            let gate = Gate()
            let first = try await ScriptedReplica("a") { request in
                let text = model.frames(request).prefix(6).map(\.bytes).joined()
                return [.eventStream, .bytes(text), .wait(gate), .die]
            }
            try fixture.publish("chat", .ready, [first])
            let stream = Task { try await fixture.post("/v1/completions", Self.body) }
            await first.counts.wait { $0.running == 1 }
            try fixture.publish("chat", .initializing)
            let other = Task { try await fixture.post("/v1/completions", #"{"model":"chat","prompt":"later"}"#) }
            try await fixture.waitForQueue("chat", 1)
            gate.open()
            try await fixture.waitForQueue("chat", 2)
            let second = try await ScriptedReplica("b") { request in
                request.json["prompt"] == "later" ? ReplicaStep.json("{}") : model.steps(request)
            }
            try fixture.publish("chat", .ready, [second])
            let request = try #require(first.counts.value.received.first)
            #expect(try await stream.value.body == model.expected(request, model: "chat:ad"))
            #expect(try await other.value.status == 200)
            let resumes = second.counts.value.received.compactMap { $0.pbctl["resume"]?["choices"]?.arrayValue?.count }
            #expect(resumes == [2])
            #expect(fixture.told.value.wakes.contains("chat"))
            await first.stop()
            await second.stop()
        }
    }

    @Test(
        "A stream that gets nowhere, or loses its replica too often, ends with an error event",
        arguments: ["/v1/completions", "/deployments/chat/generate_stream"])
    func givesUp(path: String) async throws {
        let model = TellingModel(tokenCount: 100)
        try await withGateway(configure: { $0.dispatch.avoidance = .zero }) { fixture in
            let isNowhere = Mutex(true)
            let replica = try await ScriptedReplica("a") { request in
                isNowhere.withLock { $0 } ? [.eventStream, .bytes(": x"), .die] : model.steps(request, dyingAfter: 500)
            }
            try fixture.publish("chat", .ready, [replica])
            let body = #"{"model":"chat","prompt":"p","inputs":"p","stream":true}"#
            let nowhere = try await fixture.post(path, body)
            let error = path.hasPrefix("/v1") ? #"data: {"error":{"message":"# : #"data:{"error":"#
            #expect(nowhere.status == 200 && nowhere.body.hasPrefix(error))
            #expect(replica.counts.value.received.count == 3)
            isNowhere.withLock { $0 = false }
            let often = try await fixture.post(path, body)
            #expect(replica.counts.value.received.count == 3 + 6)
            #expect(often.body.contains("token") || often.body.contains("content"))
            #expect(often.body.split(separator: "\n\n").last?.hasPrefix(error) ?? false)
            await fixture.told.wait { $0.samples.count == 2 }
            #expect(fixture.told.value.samples.map(\.outcome) == [.failed, .failed])
            await replica.stop()
        }
    }

    @Test("A replica that shuts down inside a stream hands it over")
    func handsOver() async throws {
        let model = TellingModel()
        try await withGateway { fixture in
            let leaving = try await ScriptedReplica("a") { request in
                let text = model.frames(request).prefix(5).map(\.bytes).joined()
                let error = "data: {\"error\":{\"message\":\"bye\",\"code\":\"shutting_down\"}}\n\n"
                return [.eventStream, .bytes(text + error), .end]
            }
            let good = try await ScriptedReplica("b") { model.steps($0) }
            try fixture.publish("chat", .ready, [leaving, good])
            let answer = try await fixture.post("/v1/completions", Self.body)
            let request = try #require(leaving.counts.value.received.first)
            #expect(answer.body == model.expected(request, model: "chat:ad"))
            await leaving.stop()
            await good.stop()
        }
    }

    @Test("Errors of the model inside a stream are passed on, and are not tried again")
    func passesErrors() async throws {
        try await withGateway { fixture in
            let text = "data:{\"error\":\"Input validation error: no\",\"error_type\":\"validation\"}\n\n"
            let replica = try await ScriptedReplica("a") { _ in [.eventStream, .bytes(text), .end] }
            try fixture.publish("chat", .ready, [replica])
            let answer = try await fixture.post("/deployments/chat/generate_stream", #"{"inputs":"x"}"#)
            #expect(answer.status == 200 && answer.body == text)
            #expect(replica.counts.value.received.count == 1 && fixture.told.value.failures.isEmpty)
            await replica.stop()
        }
    }

    @Test("Bytes that come one by one, and frames that are too large")
    func pieces() async throws {
        let model = TellingModel()
        try await withGateway(configure: { $0.maxFrameBytes = 10_000 }) { fixture in
            let replica = try await ScriptedReplica("a") { request in
                if request.json["prompt"] == "huge" {
                    return [.eventStream, .bytes("data: " + String(repeating: "x", count: 20_000)), .end]
                }
                return [.eventStream] + model.frames(request).map(\.bytes).joined().map { .bytes(String($0)) } + [.end]
            }
            try fixture.publish("chat", .ready, [replica])
            let answer = try await fixture.post("/v1/completions", Self.body)
            let request = try #require(replica.counts.value.received.first)
            #expect(answer.body == model.expected(request, model: "chat:ad"))
            let huge = try await fixture.post("/v1/completions", Self.body.replacing("hello", with: "huge"))
            #expect(huge.body.hasPrefix(#"data: {"error":"#) && huge.body.contains("10000 bytes"))
            await replica.stop()
        }
    }

    @Test("A client that reads nothing stops the replica's stream, and is cut")
    func neverReads() async throws {
        try await withGateway(timeouts: ConnectionTimeouts(stalledWrite: .milliseconds(300))) { fixture in
            let frame = "data: {\"text\":\"\(String(repeating: "x", count: 60_000))\"}\n\n"
            let replica = try await ScriptedReplica("a") { _ in
                [.eventStream] + (0..<1000).map { _ in .bytes(frame) } + [.end]
            }
            try fixture.publish("chat", .ready, [replica])
            let client = try await RawClient.connect(port: fixture.port, reads: false)
            try await client.send("/deployments/chat/generate_stream", #"{"inputs":"x"}"#)
            await fixture.told.wait { $0.samples.count == 1 }
            #expect(fixture.told.value.samples[0].outcome == .dropped)
            try await fixture.waitUntilIdle("chat")
            try? await client.close()
            await replica.stop()
        }
    }

    @Test("The sample of a stream has the gateway's own times and the replica's")
    func samples() async throws {
        let model = TellingModel()
        try await withGateway { fixture in
            let replica = try await ScriptedReplica("a") { model.steps($0) }
            try fixture.publish("chat", .ready, [replica])
            _ = try await fixture.post("/v1/completions", Self.body)
            await fixture.told.wait { $0.samples.count == 1 }
            let sample = fixture.told.value.samples[0]
            #expect(sample.outcome == .success && sample.adapter == "ad")
            #expect(sample.inferenceDuration == .milliseconds(30) && sample.queueDuration >= .milliseconds(2))
            #expect(sample.promptTokenCount == 5 && sample.generatedTokenCount == 12)
            #expect(sample.timeToFirstToken.map { $0 > .zero && $0 <= sample.totalDuration } ?? false)
            await replica.stop()
        }
    }
}
