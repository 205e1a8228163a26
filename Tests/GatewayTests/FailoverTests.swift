import Deployments
import NIOCore
import NIOHTTP1
import ServingJSON
import Testing

@testable import Gateway

@Suite("Requests whose replica fails before the answer", .timeLimit(.minutes(10))) struct FailoverTests {
    private static let answer: ScriptedReplica.Script = { _ in ReplicaStep.json(#"{"ok":true}"#) }

    /// What a failing replica does.
    enum Fault: CaseIterable {
        case diesAtOnce, diesInBody, loading, draining, full

        var steps: [ReplicaStep] {
            switch self {
            case .diesAtOnce: [.die]
            case .diesInBody: [.head(200, [("content-type", "application/json")]), .bytes(#"{"ok":"#), .die]
            case .loading: ReplicaStep.json(#"{"status":"loading","percent":42}"#, status: 503)
            case .draining: ReplicaStep.json(#"{"error":"x","error_type":"shutting_down"}"#, status: 503)
            case .full: ReplicaStep.json(#"{"error":"x","error_type":"overloaded"}"#, status: 429)
            }
        }
    }

    @Test("Another replica answers, with the same seed, and the client sees nothing of it", arguments: Fault.allCases)
    func another(fault: Fault) async throws {
        try await withGateway(configure: { $0.dispatch.avoidance = .seconds(100) }) { fixture in
            let bad = try await ScriptedReplica("a") { _ in fault.steps }
            let good = try await ScriptedReplica("b", script: Self.answer)
            try fixture.publish("chat", .ready, [bad, good])
            let answer = try await fixture.post("/v1/completions", #"{"model":"chat"}"#)
            #expect(answer.status == 200 && answer.body == #"{"ok":true}"#)
            let seeds = (bad.counts.value.received + good.counts.value.received).map { $0.pbctl["seed"]?.intValue }
            #expect(seeds.count == 2 && seeds[0] != nil && seeds[0] == seeds[1])
            #expect(fixture.told.value.failures == (fault == .full ? [] : [ReplicaID("a")]))
            #expect(fixture.gateway.metricsText().contains(#"pbctl_gateway_retries_total{deployment="chat"} 1.0"#))
            await bad.stop()
            await good.stop()
        }
    }

    @Test("Where nobody listens, the next replica is asked, and the dead one left alone")
    func refused() async throws {
        try await withGateway(configure: { $0.dispatch.avoidance = .seconds(100) }) { fixture in
            let dead = try await ScriptedReplica("a", script: Self.answer)
            let good = try await ScriptedReplica("b", script: Self.answer)
            try fixture.publish("chat", .ready, [dead, good])
            await dead.stop()
            for _ in 0..<5 { #expect(try await fixture.post("/deployments/chat", "{}").status == 200) }
            #expect(fixture.told.value.failures == [ReplicaID("a")])
            await good.stop()
        }
    }

    @Test("A request that breaks every replica is given up after three tries")
    func poison() async throws {
        try await withGateway { fixture in
            let replica = try await ScriptedReplica("a") { _ in [.die] }
            try fixture.publish("chat", .ready, [replica])
            let native = try await fixture.post("/deployments/chat", "{}")
            #expect(native.status == 502 && native.json["error_type"] == "incomplete_generation")
            #expect(replica.counts.value.received.count == 3)
            await replica.stop()
        }
    }

    @Test("The last refusal is the answer where all refuse, or the time is over")
    func allRefuse() async throws {
        try await withGateway(configure: { $0.maxRefusals = 2 }) { fixture in
            let replica = try await ScriptedReplica("a") { _ in Fault.full.steps }
            try fixture.publish("chat", .ready, [replica])
            let answer = try await fixture.post("/deployments/chat", "{}")
            #expect(answer.status == 429 && answer.json["error"] == "x")
            #expect(replica.counts.value.received.count == 2)
            let late = try await fixture.post("/deployments/chat", "{}", [("x-pbctl-queue-timeout", "0.001")])
            #expect(late.status == 429 || late.status == 504)
            await replica.stop()
        }
    }

    @Test("A replica that hangs holds a request only until its client goes, and is told")
    func hangs() async throws {
        try await withGateway { fixture in
            let gate = Gate()
            let replica = try await ScriptedReplica("a") { request in
                request.path == "/generate" ? [.wait(gate)] : [.eventStream, .bytes(":\n\n"), .wait(gate)]
            }
            try fixture.publish("chat", .ready, [replica])
            for (index, path) in ["generate", "generate_stream"].enumerated() {
                let client = try await RawClient.connect(port: fixture.port)
                try await client.send("/deployments/chat/\(path)", #"{"inputs":"x"}"#)
                await replica.counts.wait { $0.running == 1 }
                try await client.close()
                await replica.counts.wait { $0.abandoned == index + 1 && $0.running == 0 }
                await fixture.told.wait { $0.samples.count == index + 1 }
                #expect(fixture.told.value.samples[index].outcome == .dropped)
            }
            #expect(fixture.told.value.failures.isEmpty)
            try await fixture.waitUntilIdle("chat")
            await replica.stop()
        }
    }

    @Test("Budgets: three tries, ten refusals, five resumptions, none after two that got nowhere")
    func budgets() {
        let configuration = GatewayConfiguration()
        func count(_ failure: ReplicaFailure) -> Int {
            var budget = TryBudget(configuration)
            return (0..<50).prefix { _ in budget.allowsAnother(after: failure) }.count
        }
        #expect(count(.broken("")) == 2 && count(.refused("")) == 9)
        #expect(count(.cancelled) == 0 && count(.unusable("")) == 0)
        func resumptions(_ progress: [Int]) -> [Bool] {
            var budget = ResumptionBudget(configuration)
            return progress.map { budget.allowsAnother(progress: $0) }
        }
        #expect(resumptions([1, 2, 3, 4, 5, 6]) == [true, true, true, true, true, false])
        #expect(resumptions([0, 0, 0]) == [true, true, false])
        #expect(resumptions([7, 7, 8, 8]) == [true, true, true, true])
    }
}
