import Foundation
import Glibc
import Testing

extension DeploymentTests {
    /// What owners get wrong, and what several of them do at once.
    @Suite struct Mistakes {
        private func create(
            _ fixture: DeploymentFixture, _ config: [String: Any], name: String = "d"
        ) throws -> WebClient.Answer {
            try fixture.web.request("POST", "/v2/deployments", ["name": name, "config": config])
        }

        @Test func aModelThatIsNotThereFailsAtOnceAndSaysSo() throws {
            try DeploymentFixture.run { fixture in
                let path = fixture.scratch + "/no-such.gguf"
                let deployed = try fixture.pbctl("deploy", "d", "--model", path, "--wait", "--timeout", "60s")
                #expect(deployed.status == 1)
                #expect(deployed.error.contains(path), "\(deployed.error)")
                let state = try fixture.state("d")
                #expect(state.status == "errored" && state.reason == "ModelNotFound", "\(state.reason)")
                #expect(state.message.contains(path) && state.message.contains("status 66"), "\(state.message)")
                // One try is enough to know.
                #expect(try fixture.events("d").filter { $0.reason == "ReplicaLaunched" }.count == 1)
                let asked = try fixture.web.request("POST", "/deployments/d/generate", ["inputs": "hi"])
                #expect(asked.status == 503 && asked.error.contains(path), "\(asked.body)")
                // With the model there, it only has to be started.
                try FileManager.default.copyItem(atPath: fixture.tinyModel, toPath: path)
                #expect(try fixture.pbctl("start", "d", "--wait", "--timeout", "60s").status == 0)
                #expect(try fixture.state("d").status == "ready")
            }
        }

        @Test func aModelThatIsGarbageFailsAtOnceAndSaysSo() throws {
            try DeploymentFixture.run { fixture in
                let path = fixture.scratch + "/garbage.gguf"
                var random = SystemRandomNumberGenerator()
                let garbage = Data((0..<100_000).map { _ in UInt8.random(in: .min ... .max, using: &random) })
                try garbage.write(to: URL(fileURLWithPath: path))
                #expect(try create(fixture, ["baseModel": path]).status == 201)
                try fixture.until("it failed") { try fixture.state("d").status == "errored" }
                let state = try fixture.state("d")
                #expect(state.reason == "InvalidConfiguration", "\(state.reason)")
                #expect(state.message.contains("status 65"), "\(state.message)")
                #expect(try fixture.events("d").filter { $0.reason == "ReplicaLaunched" }.count == 1)
                // A restart of the server is no reason to try what can't work.
                try fixture.replaceServer()
                #expect(try fixture.state("d").status == "errored")
                #expect(fixture.processes.replicas.isEmpty)
            }
        }

        @Test func whatCannotBeIsRefusedWithTheFieldAndTheRange() throws {
            try DeploymentFixture.run { fixture in
                let model: [String: Any] = ["baseModel": fixture.tinyModel]
                let faulty: [([String: Any], String)] = [
                    (["minReplicas": 3, "maxReplicas": 2], "minReplicas"), (["minReplicas": -1], "minReplicas"),
                    (["maxReplicas": 1_000_000_000], "maxReplicas"), (["maxReplicas": 0], "maxReplicas"),
                    (["cooldownTime": 0], "cooldownTime"), (["maxTotalTokens": "many"], "maxTotalTokens"),
                    (["customArgs": ["--no-such-option"]], "customArgs"), (["replicas": 2], "replicas"),
                ]
                for (fields, field) in faulty {
                    let answer = try create(fixture, model.merging(fields) { $1 })
                    #expect(answer.status == 422 && answer.body.contains(field), "\(fields): \(answer.body)")
                }
                for name in ["", "Upper", "-d", "a b", String(repeating: "x", count: 100), "../etc", "d\u{0}"] {
                    let answer = try create(fixture, model, name: name)
                    #expect([400, 422].contains(answer.status), "\(name): \(answer.body)")
                }
                #expect(try create(fixture, [:]).status == 422)
                for body in ["", "{", "[]", "null", String(repeating: "[", count: 10_000)] {
                    let call = try fixture.web.start(
                        "POST", "/v2/deployments", nil, headers: ["content-type: application/json"],
                        options: ["--data-binary", body, "-o", "/dev/null", "-w", "%{http_code}"])
                    #expect(try call.end().output == "400", "\(body.prefix(10))")
                }
                #expect(try fixture.web.request("GET", "/v2/deployments").body.contains("\"data\":[]"))
                try fixture.deploy("d")
                for count in [1_000_000_000, -1, Int.max, Int.min] {
                    let answer = try fixture.web.request("POST", "/api/v1/deployments/d/scale", ["replicas": count])
                    #expect(answer.status == 422 && answer.body.contains("0 to 1000"), "\(answer.body)")
                }
                let added = try fixture.web.request("POST", "/api/v1/deployments/d/scale", ["delta": Int.max])
                #expect(added.status == 422)
                #expect(try fixture.state("d").readyCount == 1)
            }
        }

        /// Sends requests together; gives their statuses.
        private func together(
            _ fixture: DeploymentFixture, _ method: String, _ path: String, _ bodies: [String], headers: [String] = []
        ) throws -> [Int] {
            let requests = bodies.map { body in
                ["-sS", "-X", method] + headers.flatMap { ["-H", $0] }
                    + [
                        "-H", "content-type: application/json", "--data-binary", body, "-o", "/dev/null", "-w",
                        "%{http_code}\n", fixture.url + path,
                    ]
            }
            let end = try BackgroundProcess(
                WebClient.program,
                ["-Z", "--parallel-immediate", "--parallel-max", "100"] + requests.joined(separator: ["--next"]),
                folder: fixture.scratch
            ).end()
            return end.output.split(separator: "\n").compactMap { Int($0) }.sorted()
        }

        @Test func ofManyWhoMakeOneNameOneSucceeds() throws {
            try DeploymentFixture.run { fixture in
                let body = try WebClient.text(["name": "d", "config": ["baseModel": fixture.tinyModel]])
                let statuses = try together(fixture, "POST", "/v2/deployments", Array(repeating: body, count: 20))
                #expect(statuses == [201] + Array(repeating: 409, count: 19))
                try fixture.until("it is ready") { try fixture.state("d").status == "ready" }
                #expect(fixture.processes.replicas.count == 1)
            }
        }

        @Test func ofTwoWhoChangeWhatTheySawOneIsTold() throws {
            try DeploymentFixture.run { fixture in
                try fixture.deploy("d")
                let generation = try fixture.state("d").generation
                let bodies = try (0..<8).map { try WebClient.text(["description": "by client \($0)"]) }
                let statuses = try together(
                    fixture, "PUT", "/v2/deployments/d", bodies, headers: ["If-Match: \(generation)"])
                #expect(statuses == [200] + Array(repeating: 409, count: 7))
                #expect(try fixture.state("d").generation == generation + 1)
                // Who does not say what he saw changes what there is, one after the other.
                #expect(try together(fixture, "PUT", "/v2/deployments/d", bodies) == Array(repeating: 200, count: 8))
            }
        }

        @Test func changesInTheMiddleOfChangesComeToTheLastOne() throws {
            try DeploymentFixture.run { fixture in
                try fixture.deploy("d", ["minReplicas": 1])
                for tokenCount in [100, 101, 102, 103] {
                    let answer = try fixture.web.request(
                        "PUT", "/v2/deployments/d", ["config": ["maxTotalTokens": tokenCount]])
                    #expect(answer.status == 200)
                    // Some come while the replica of the one before is being started.
                    if tokenCount % 2 == 0 { _ = Patience(.milliseconds(200)).wait { false } }
                }
                _ = try fixture.web.request("POST", "/api/v1/deployments/d/restart")
                try fixture.until("the last one is through") {
                    let state = try fixture.state("d")
                    return state.status == "ready" && state.replicas.count == 1 && state.replicas[0].phase == "ready"
                }
                let state = try fixture.state("d")
                #expect(state.revision == 5 && state.config["maxTotalTokens"] as? Int == 103)
                #expect(fixture.processes.entries.first(where: \.isReplica)?.arguments.contains("103") == true)
                #expect(fixture.processes.replicas.count == 1)
            }
        }

        @Test(.enabled(if: SampleModelFile.path != nil, "the sample model was not fetched"))
        func aDeploymentThatIsStillLoadingCanBeRestartedAndDeleted() throws {
            try DeploymentFixture.run { fixture in
                let model: [String: Any] = ["baseModel": try #require(SampleModelFile.path), "maxTotalTokens": 256]
                #expect(try create(fixture, model).status == 201)
                try fixture.until("it loads") { try fixture.state("d").replicas.contains { $0.phase == "loading" } }
                #expect(try fixture.web.request("POST", "/api/v1/deployments/d/restart").status == 200)
                try fixture.until("one is ready") {
                    let state = try fixture.state("d")
                    return state.status == "ready" && state.replicas.count == 1
                }
                #expect(try create(fixture, model, name: "e").status == 201)
                try fixture.until("it loads") { try fixture.state("e").replicas.contains { $0.phase == "loading" } }
                #expect(try fixture.web.request("DELETE", "/v2/deployments/e").status == 200)
                try fixture.until("it is gone") { try !fixture.exists("e") && fixture.processes.replicas.count == 1 }
                // Its name is free.
                #expect(try create(fixture, ["baseModel": fixture.tinyModel], name: "e").status == 201)
            }
        }

        @Test func aReplicaThatCrashesAgainAndAgainIsGivenUpWithItsLastWords() throws {
            try DeploymentFixture.run { fixture in
                try fixture.deploy("d")
                for attempt in 1...5 {
                    var victim: pid_t?
                    try fixture.until("a process is there (\(attempt))") {
                        victim = fixture.processes.replicas.first
                        return victim != nil
                    }
                    kill(try #require(victim), SIGKILL)
                    try fixture.until("its end was seen") { !fixture.processes.replicas.contains(victim ?? 0) }
                }
                try fixture.measure("five crashes in a row: given up") {
                    try fixture.until("it was given up") { try fixture.state("d").status == "errored" }
                }
                let state = try fixture.state("d")
                #expect(state.reason == "CrashLoop" && state.message.contains("signal 9"), "\(state.message)")
                #expect(try fixture.pbctl("start", "d", "--wait").status == 0)
            }
        }
    }
}
