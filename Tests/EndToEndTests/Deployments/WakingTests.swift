import Foundation
import Glibc
import Testing

extension DeploymentTests {
    /// Deployments without replicas, and requests for them.
    @Suite struct Waking {
        private static var prompt: [String: Any] {
            [
                "inputs": "Hello", "parameters": ["max_new_tokens": 4, "ignore_eos_token": true],
            ]
        }

        private func rest(_ fixture: DeploymentFixture) throws {
            try fixture.deploy("d", ["cooldownTime": 1])
            try fixture.until("it rests") {
                let state = try fixture.state("d")
                return state.status == "standby" && state.replicas.isEmpty
            }
            #expect(fixture.processes.replicas.isEmpty)
        }

        @Test func whatNobodyAsksGoesToZeroAndARequestWakesIt() throws {
            try DeploymentFixture.run { fixture in
                try rest(fixture)
                let answer = try fixture.measure("wake from zero by a request: answer") {
                    try fixture.web.request("POST", "/deployments/d/generate", Self.prompt)
                }
                #expect(answer.status == 200)
                let reasons = try fixture.events("d").map(\.reason)
                #expect(reasons.contains("ScaledToZero") && reasons.contains("Woken"))
                try fixture.until("it rests again") { try fixture.state("d").status == "standby" }
            }
        }

        @Test func manyClientsWakeItOnce() throws {
            try DeploymentFixture.run { fixture in
                try rest(fixture)
                let launchesBefore = try fixture.events("d").filter { $0.reason == "ReplicaLaunched" }.count
                let count = 200
                let body = try WebClient.text(Self.prompt)
                let request = [
                    "-sS", "-X", "POST", "-H", "content-type: application/json", "--data-binary", body, "-o",
                    "/dev/null",
                    "-w", "%{http_code}\n", fixture.url + "/deployments/d/generate",
                ]
                let all = (0..<count).map { _ in request }.joined(separator: ["--next"])
                let end = try fixture.measure("\(count) clients wake one deployment: all answered") {
                    try BackgroundProcess(
                        WebClient.program, ["-Z", "--parallel-immediate", "--parallel-max", "\(count)"] + all,
                        folder: fixture.scratch
                    ).end()
                }
                let statuses = end.output.split(separator: "\n")
                #expect(statuses.count == count)
                #expect(statuses.allSatisfy { $0 == "200" }, "\(Set(statuses)) \(end.error.prefix(500))")
                let launches = try fixture.events("d").filter { $0.reason == "ReplicaLaunched" }.count
                #expect(launches == launchesBefore + 1)
            }
        }

        @Test func whatWasStoppedIsNotWoken() throws {
            try DeploymentFixture.run { fixture in
                try fixture.deploy("d")
                #expect(try fixture.pbctl("stop", "d", "--yes", "--wait").status == 0)
                let answer = try fixture.web.request("POST", "/deployments/d/generate", Self.prompt)
                #expect(answer.status == 503 && answer.error.contains("pbctl start d"), "\(answer.body)")
                let chat = try fixture.web.request(
                    "POST", "/v1/chat/completions", ["model": "d", "messages": [["role": "user", "content": "hi"]]])
                #expect(chat.status == 503 && chat.error.contains("pbctl start d"), "\(chat.body)")
                // Neither does a new server.
                try fixture.replaceServer()
                #expect(try fixture.state("d").status == "stopped")
                #expect(fixture.processes.replicas.isEmpty)
                #expect(try fixture.pbctl("start", "d", "--wait").status == 0)
                #expect(try fixture.web.request("POST", "/deployments/d/generate", Self.prompt).status == 200)
            }
        }

        @Test func whatWasSetToZeroByHandIsWoken() throws {
            try DeploymentFixture.run { fixture in
                try fixture.deploy("d")
                #expect(try fixture.pbctl("scale", "d", "0", "--wait").status == 0)
                try fixture.until("it has no replicas") { fixture.processes.replicas.isEmpty }
                #expect(try fixture.web.request("POST", "/deployments/d/generate", Self.prompt).status == 200)
            }
        }

        @Test func aClientThatLeavesWhileItWaitsHoldsNothingUp() throws {
            try DeploymentFixture.run { fixture in
                try rest(fixture)
                let leaving = try fixture.web.start("POST", "/deployments/d/generate", Self.prompt)
                let staying = try fixture.web.start("POST", "/deployments/d/generate", Self.prompt)
                leaving.signal(SIGKILL)
                #expect(WebClient.object(try staying.end().output)["generated_text"] != nil)
                try fixture.until("nobody waits") {
                    let answer = try fixture.web.request("GET", "/v2/deployments/d")
                    let load = (answer.json["data"] as? [String: Any])?["load"] as? [String: Int]
                    return load?["queued"] == 0 && load?["running"] == 0
                }
            }
        }
    }
}
