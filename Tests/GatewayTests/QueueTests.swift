import AsyncHTTPClient
import Deployments
import NIOCore
import NIOHTTP1
import NIOPosix
import ServingJSON
import Synchronization
import Testing

@testable import Gateway

@Suite("Requests that wait", .timeLimit(.minutes(10))) struct QueueTests {
    private static let answer: ScriptedReplica.Script = { _ in ReplicaStep.json(#"{"ok":true}"#) }

    @Test("A thousand clients wake a deployment once, and all are served in order")
    func thousand() async throws {
        try await withGateway(configure: { $0.dispatch.requestsPerReplica = 1 }) { fixture in
            try fixture.publish("chat", .standby)
            try await withThrowingTaskGroup(of: Int.self) { group in
                for index in 0..<1000 {
                    group.addTask {
                        try await fixture.post("/deployments/chat/generate", #"{"inputs":"\#(index)"}"#).status
                    }
                    // One after the other for the first ones, whose order is looked at.
                    if index < 50 { try await fixture.waitForQueue("chat", index + 1) }
                }
                try await fixture.waitForQueue("chat", 1000)
                #expect(fixture.told.value.wakes == ["chat"])
                let refused = try await fixture.post("/deployments/chat/generate", #"{"inputs":"x"}"#)
                #expect(refused.status == 429 && refused.headers["retry-after"] == ["1"])
                #expect(refused.json["error_type"] == "overloaded")
                try fixture.publish("chat", .initializing)
                let replica = try await ScriptedReplica("r", script: Self.answer)
                try fixture.publish("chat", .ready, [replica])
                for try await status in group { #expect(status == 200) }
                let order = replica.counts.value.received.prefix(50).compactMap { $0.json["inputs"]?.stringValue }
                #expect(order == (0..<50).map(String.init))
                #expect(fixture.told.value.wakes == ["chat"])
                await replica.stop()
            }
            let load = fixture.gateway.load(of: try DeploymentName("chat"))
            #expect(load.queuedCount == 0 && load.runningCount == 0 && load.outstanding.isEmpty)
        }
    }

    @Test(
        "Stopped and failed deployments answer at once, and say what to do",
        arguments: [(DeploymentStatus.stopped, "pbctl start chat"), (.errored, "bad model file")])
    func atOnce(status: DeploymentStatus, hint: String) async throws {
        try await withGateway { fixture in
            try fixture.publish("chat", status, message: "bad model file")
            for path in ["/v1/chat/completions", "/deployments/chat"] {
                let answer = try await fixture.post(path, #"{"model":"chat"}"#)
                #expect(answer.status == 503 && answer.body.contains(hint))
            }
            #expect(fixture.told.value.wakes.isEmpty)
        }
    }

    @Test("A wait ends at its deadline with 504, in the form of the route")
    func deadline() async throws {
        try await withGateway(configure: { $0.queueTimeout = .seconds(500) }) { fixture in
            try fixture.publish("chat", .initializing, message: "loading 40 %")
            for timeout in ["0", "0.05"] {
                let native = try await fixture.post("/deployments/chat", "{}", [("x-pbctl-queue-timeout", timeout)])
                #expect(native.status == 504 && native.json["error_type"] == "" && native.body.contains("loading 40 %"))
                let openAI = try await fixture.post(
                    "/v1/completions", #"{"model":"chat","stream":true}"#, [("x-pbctl-queue-timeout", timeout)])
                #expect(openAI.status == 504 && openAI.json["error"]?["code"] == "timeout")
            }
            try await fixture.waitForQueue("chat", 0)
            #expect(fixture.told.value.samples.allSatisfy { $0.outcome == .overloaded })
        }
    }

    @Test("A client that goes leaves the queue at once, and those behind it move up")
    func leaves() async throws {
        try await withGateway { fixture in
            try fixture.publish("chat", .standby)
            let channel = try await RawClient.connect(port: fixture.port)
            try await channel.send("/deployments/chat/generate", #"{"inputs":"gone"}"#)
            try await fixture.waitForQueue("chat", 1)
            let second = Task { try await fixture.post("/deployments/chat/generate", #"{"inputs":"here"}"#) }
            try await fixture.waitForQueue("chat", 2)
            try await channel.close()
            try await fixture.waitForQueue("chat", 1)
            let replica = try await ScriptedReplica("r", script: Self.answer)
            try fixture.publish("chat", .ready, [replica])
            #expect(try await second.value.status == 200)
            #expect(replica.counts.value.received.map { $0.json["inputs"] } == ["here"])
            await fixture.told.wait { $0.samples.count == 2 }
            #expect(Set(fixture.told.value.samples.map(\.outcome)) == [.dropped, .success])
            await replica.stop()
        }
    }

    @Test("A deployment that is stopped or removed while requests wait refuses them")
    func ends() async throws {
        try await withGateway { fixture in
            try fixture.publish("chat", .initializing)
            let first = Task { try await fixture.post("/deployments/chat", "{}") }
            try await fixture.waitForQueue("chat", 1)
            try fixture.publish("chat", .stopped)
            #expect(try await first.value.status == 503)
            try fixture.publish("chat", .pending)
            let second = Task { try await fixture.post("/deployments/chat", "{}") }
            try await fixture.waitForQueue("chat", 1)
            fixture.gateway.table.remove(try DeploymentName("chat"))
            #expect(try await second.value.status == 404)
        }
    }

    @Test("Who asks for progress hears it before the answer, and errors as events")
    func progress() async throws {
        try await withGateway(configure: { $0.progressInterval = .milliseconds(5) }) { fixture in
            try fixture.publish("chat", .initializing, message: "loading 40 %")
            let body = #"{"model":"chat","prompt":"p","stream":true}"#
            let response = try await fixture.open(.POST, "/v1/completions", body, [("x-pbctl-progress", "1")])
            #expect(response.status == .ok && response.headers["content-type"] == ["text/event-stream"])
            var text = ""
            let model = TellingModel()
            let replica = try await ScriptedReplica("r") { model.steps($0) }
            for try await bytes in response.body {
                text += String(buffer: bytes)
                if text.contains("waiting"), replica.counts.value.received.isEmpty {
                    try fixture.publish("chat", .ready, [replica])
                }
            }
            let comment = #": {"waiting":{"status":"initializing","message":"loading 40 %","position":1}}"# + "\n\n"
            #expect(text.hasPrefix(comment))
            let first = try #require(replica.counts.value.received.first)
            #expect(text.replacing(comment, with: "") == model.expected(first, model: "chat"))
            try fixture.publish("chat", .stopped)
            let refused = try await fixture.post("/v1/completions", body, [("x-pbctl-progress", "1")])
            #expect(
                refused.status == 200 && refused.body.hasPrefix(#"data: {"error":"#)
                    && refused.body.contains("pbctl start"))
            await replica.stop()
        }
    }

    @Test("A gateway that drains finishes what runs and refuses what waits and comes")
    func drains() async throws {
        try await withGateway { fixture in
            let gate = Gate()
            let replica = try await ScriptedReplica("r") { _ in [.wait(gate)] + ReplicaStep.json("{}") }
            try fixture.publish("chat", .ready, [replica])
            try fixture.publish("asleep", .standby)
            let running = Task { try await fixture.post("/deployments/chat", "{}").status }
            await replica.counts.wait { $0.running == 1 }
            let waiting = Task { try await fixture.post("/deployments/asleep", "{}").status }
            try await fixture.waitForQueue("asleep", 1)
            let draining = Task { await fixture.gateway.drain() }
            #expect(try await waiting.value == 503)
            #expect(try await fixture.post("/deployments/chat", "{}").status == 503)
            gate.open()
            #expect(try await running.value == 200)
            await draining.value
            await replica.stop()
        }
    }
}

/// A connection that is written to, and read from only on demand.
struct RawClient: Sendable {
    let channel: any Channel

    static func connect(port: Int, reads: Bool = true) async throws -> RawClient {
        let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.autoRead, value: reads)
            .channelOption(.socketOption(.so_rcvbuf), value: 4096)
        return RawClient(channel: try await bootstrap.connect(host: "127.0.0.1", port: port).get())
    }

    func send(_ path: String, _ body: String) async throws {
        let head =
            "POST \(path) HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            + "content-length: \(body.utf8.count)\r\n\r\n"
        try await channel.writeAndFlush(ByteBuffer(string: head + body))
    }

    func close() async throws { try await channel.close() }
}
