import Foundation
import Glibc
import Testing

extension DeploymentTests {
    /// Replicas that die or hang under the hands of a client.
    @Suite struct ReplicaFaults {
        /// Requests whose answers are the same each time.
        enum Call: String, CaseIterable, CustomTestStringConvertible {
            case sampledNative, greedyNative, sampledChat, greedyChat

            var testDescription: String { rawValue }

            var path: String {
                switch self {
                case .sampledNative, .greedyNative: "/deployments/d/generate_stream"
                case .sampledChat, .greedyChat: "/deployments/d/v1/chat/completions"
                }
            }

            func body(tokenCount: Int) -> [String: Any] {
                switch self {
                case .sampledNative, .greedyNative:
                    var parameters: [String: Any] = ["max_new_tokens": tokenCount, "ignore_eos_token": true]
                    if self == .sampledNative {
                        parameters.merge(["do_sample": true, "temperature": 0.8, "seed": 7]) { $1 }
                    }
                    return ["inputs": "Once upon a time", "parameters": parameters]
                case .sampledChat, .greedyChat:
                    return [
                        "messages": [["role": "user", "content": "Tell a long story about a fox."]], "stream": true,
                        "temperature": self == .greedyChat ? 0 : 0.9, "seed": 7, "max_tokens": tokenCount,
                        "stream_options": ["include_usage": true],
                    ]
                }
            }
        }

        /// Starts a stream and stops the replica that serves it, once so many events are here.
        private func interrupt(
            _ fixture: DeploymentFixture, _ call: Call, tokenCount: Int, afterFrames count: Int = 10
        ) throws -> (stream: BackgroundProcess, replica: pid_t) {
            let replicas = try fixture.state("d").readyProcesses
            // On a busy machine a stream may be over before the replicas are stopped; then another one is tried.
            for _ in 0..<50 {
                let stream = try fixture.web.start("POST", call.path, call.body(tokenCount: tokenCount))
                try #require(stream.reachesFrames(count))
                // All of them, because it may be over before the server could say whose it is.
                for id in replicas { kill(id, SIGSTOP) }
                let busy = try fixture.state("d").replicas.first { $0.requestCount > 0 }?.processID
                for id in replicas where id != busy { kill(id, SIGCONT) }
                if let busy { return (stream, busy) }
                try #require(stream.end().status == 0)
            }
            throw BackgroundProcess.Failure(description: "no stream lasted until the replicas were stopped")
        }

        /// Whether the server had another replica carry a stream on: without that, a test of it has shown nothing.
        private func checkItWasCarriedOn(_ fixture: DeploymentFixture) throws {
            let metrics = try fixture.web.request("GET", "/metrics").body.split(separator: "\n")
            let line = metrics.first { $0.hasPrefix("pbctl_gateway_resumptions_total{") }
            #expect(line?.split(separator: " ").last.flatMap { Double($0) } == 1, "\(line ?? "no such line")")
        }

        private func undisturbed(_ fixture: DeploymentFixture, _ call: Call, tokenCount: Int) throws -> StreamText {
            let stream = try fixture.web.start("POST", call.path, call.body(tokenCount: tokenCount))
            let end = try stream.end()
            try #require(end.status == 0)
            return StreamText(end.output)
        }

        @Test(arguments: Call.allCases)
        func aStreamOfAKilledReplicaGoesOnByteForByte(call: Call) throws {
            try DeploymentFixture.run { fixture in
                try fixture.deploy("d", replicas: 2)
                let expected = try undisturbed(fixture, call, tokenCount: 400)
                let (stream, replica) = try interrupt(fixture, call, tokenCount: 400)
                kill(replica, SIGKILL)
                let end = try fixture.measure("kill -9 of a replica, \(call): rest of the stream") { try stream.end() }
                #expect(end.status == 0)
                #expect(StreamText(end.output).difference(from: expected) == nil)
                try fixture.measure("kill -9 of a replica: as many as before") {
                    try fixture.until("a new replica takes its place") {
                        let state = try fixture.state("d")
                        return state.readyCount == 2 && !state.readyProcesses.contains(replica)
                    }
                }
                #expect(try fixture.events("d").contains { $0.reason == "ReplicaCrashed" })
                try checkItWasCarriedOn(fixture)
            }
        }

        @Test func aStreamOfTheOnlyReplicaWaitsForTheNextOne() throws {
            try DeploymentFixture.run { fixture in
                try fixture.deploy("d")
                let expected = try undisturbed(fixture, .sampledNative, tokenCount: 400)
                let (stream, replica) = try interrupt(fixture, .sampledNative, tokenCount: 400)
                kill(replica, SIGKILL)
                let end = try fixture.measure("kill -9 of the only replica: rest of the stream") { try stream.end() }
                #expect(StreamText(end.output).difference(from: expected) == nil)
                try checkItWasCarriedOn(fixture)
            }
        }

        @Test func aStreamOfAHangingReplicaIsCarriedOn() throws {
            try DeploymentFixture.run { fixture in
                try fixture.deploy("d", replicas: 2)
                let expected = try undisturbed(fixture, .sampledNative, tokenCount: 400)
                let (stream, replica) = try interrupt(fixture, .sampledNative, tokenCount: 400)
                // Others are served meanwhile, as soon as the replica is known not to answer.
                let end = try fixture.measure("SIGSTOP of a replica: rest of the stream") { try stream.end() }
                #expect(end.status == 0)
                #expect(StreamText(end.output).difference(from: expected) == nil)
                try fixture.until("it was replaced") {
                    try fixture.state("d").readyCount == 2 && !fixture.processes.replicas.contains(replica)
                }
                #expect(try fixture.events("d").contains { $0.reason == "ReplicaUnresponsive" })
                try checkItWasCarriedOn(fixture)
            }
        }

        @Test func anAnswerInOnePieceIsAskedForAgainElsewhere() throws {
            try DeploymentFixture.run { fixture in
                try fixture.deploy("d", replicas: 2)
                let body = Call.sampledNative.body(tokenCount: 400)
                let expected = try fixture.web.request("POST", "/deployments/d/generate", body)
                try #require(expected.status == 200)
                // Whoever gets it takes it and does not answer.
                let replicas = try fixture.state("d").readyProcesses
                for id in replicas { kill(id, SIGSTOP) }
                let call = try fixture.web.start("POST", "/deployments/d/generate", body)
                var busy: pid_t?
                try fixture.until("a replica has it") {
                    busy = try fixture.state("d").replicas.first { $0.requestCount > 0 }?.processID
                    return busy != nil
                }
                kill(try #require(busy), SIGKILL)
                for id in replicas where id != busy { kill(id, SIGCONT) }
                let end = try call.end()
                let text = WebClient.object(end.output)["generated_text"] as? String
                #expect(text != nil && text == expected.json["generated_text"] as? String)
            }
        }

        @Test func aDrainingReplicaThatIsKilledLosesNothing() throws {
            try DeploymentFixture.run { fixture in
                try fixture.deploy("d", replicas: 2, ["minReplicas": 1])
                let expected = try undisturbed(fixture, .sampledNative, tokenCount: 400)
                let (stream, replica) = try interrupt(fixture, .sampledNative, tokenCount: 400)
                // The other one is less busy and goes first; with a config that changed, both go.
                let answer = try fixture.web.request("POST", "/api/v1/deployments/d/restart")
                #expect(answer.status == 200)
                try fixture.until("it is to finish what it has") {
                    try fixture.state("d").replicas.contains { $0.processID == replica && $0.phase == "draining" }
                }
                kill(replica, SIGKILL)
                #expect(try StreamText(stream.end().output).difference(from: expected) == nil)
                try fixture.until("both are new") {
                    let state = try fixture.state("d")
                    return state.status == "ready" && state.readyCount == 2 && state.replicas.count == 2
                }
            }
        }

        @Test(
            .enabled(if: SampleModelFile.path != nil, "the sample model was not fetched"),
            arguments: ["starting", "loading"])
        func aReplicaThatIsKilledWhileItStartsIsReplaced(phase: String) throws {
            try DeploymentFixture.run { fixture in
                let config: [String: Any] = ["baseModel": try #require(SampleModelFile.path), "maxTotalTokens": 256]
                let made = try fixture.web.request("POST", "/v2/deployments", ["name": "d", "config": config])
                #expect(made.status == 201)
                var victim: pid_t?
                try fixture.until("a replica is \(phase)") {
                    let state = try fixture.state("d")
                    victim = state.replicas.first { $0.phase == phase && $0.processID != nil }?.processID
                    return victim != nil || state.status == "ready"
                }
                kill(try #require(victim, "it was never seen \(phase)"), SIGKILL)
                try fixture.measure("kill -9 of a replica that is \(phase): ready") {
                    try fixture.until("another one is ready") { try fixture.state("d").status == "ready" }
                }
                #expect(try fixture.events("d").contains { $0.reason == "ReplicaCrashed" })
            }
        }

        @Test(.enabled(if: SampleModelFile.path != nil, "the sample model was not fetched"))
        func deployPromptScaleAndLoseAReplicaOfARealModel() throws {
            try DeploymentFixture.run { fixture in
                let path = try #require(SampleModelFile.path)
                let deployed = try fixture.pbctl(
                    "deploy", "d", "--model", path, "--max", "2", "--set", "maxTotalTokens=256", "--wait")
                #expect(deployed.status == 0, "\(deployed.error)")
                let prompted = try fixture.pbctl("prompt", "d", "--max-tokens", "14", "What is 2+2?")
                #expect(prompted.status == 0 && prompted.output.contains("4"), "\(prompted.error)")
                #expect(try fixture.pbctl("scale", "d", "2", "--wait").status == 0)
                let expected = try undisturbed(fixture, .greedyChat, tokenCount: 60)
                let (stream, replica) = try interrupt(fixture, .greedyChat, tokenCount: 60)
                kill(replica, SIGKILL)
                let end = try stream.end()
                #expect(StreamText(end.output).difference(from: expected) == nil)
                try fixture.measure("kill -9 of a replica of SmolLM2-135M: as many as before") {
                    try fixture.until("there are two again") { try fixture.state("d").readyCount == 2 }
                }
            }
        }
    }
}
