import Foundation
import Glibc
import Testing

extension DeploymentTests {
    /// Changes of a deployment that serves.
    @Suite struct Rollouts {
        /// Asks for answers without a pause until a file is there; writes the status of each to a file.
        private func load(_ fixture: DeploymentFixture, _ number: Int) throws -> BackgroundProcess {
            let route = number % 2 == 0 ? "generate" : "generate_stream"
            let body = try WebClient.text([
                "inputs": "Hello \(number)",
                "parameters": ["max_new_tokens": 30, "ignore_eos_token": true, "do_sample": true, "seed": number],
            ])
            let script = """
                while [ ! -e "$1/stop" ]; do
                    curl -sS -o "$1/answer-$2" -w '%{http_code} %{exitcode}\\n' -H 'content-type: application/json' \
                        --data-binary "$3" "$4/deployments/d/\(route)" || :
                    grep -q generated_text "$1/answer-$2" || echo "no text"
                done
                """
            return try BackgroundProcess(
                "/bin/sh", ["-c", script, "sh", fixture.scratch, "\(number)", body, fixture.url],
                folder: fixture.scratch)
        }

        @Test func clientsNoticeNothingOfAnUpdateItsUndoingAndARestart() throws {
            try DeploymentFixture.run { fixture in
                try fixture.deploy("d", replicas: 2)
                let loads = try (0..<4).map { try load(fixture, $0) }
                try fixture.until("requests are answered") { loads.allSatisfy { $0.outputText.contains("200") } }
                let updated = try fixture.measure("rolling update of two replicas under load") {
                    try fixture.pbctl("update", "d", "--set", "maxTotalTokens=300", "--wait")
                }
                #expect(updated.status == 0, "\(updated.error)")
                #expect(try fixture.pbctl("rollout", "undo", "d", "--wait").status == 0)
                #expect(try fixture.pbctl("restart", "d", "--wait").status == 0)
                let state = try fixture.state("d")
                #expect(state.config["maxTotalTokens"] as? Int == 512 && state.revision == 3)
                try Data().write(to: URL(fileURLWithPath: fixture.scratch + "/stop"))
                var count = 0
                for load in loads {
                    let lines = try load.end().output.split(separator: "\n")
                    #expect(lines.allSatisfy { $0 == "200 0" }, "\(Set(lines))")
                    count += lines.count
                }
                print("measured: requests answered meanwhile: \(count)")
                #expect(count > 20)
                #expect(try fixture.events("d").contains { $0.reason == "RolledBack" })
            }
        }

        @Test(arguments: [
            ["customArgs": ["--context", "16000000"]], ["preloadedAdapters": ["no-such-adapter"]],
        ])
        func aConfigThatCannotStartLeavesTheOldReplicaServing(config: [String: [String]]) throws {
            try DeploymentFixture.run { fixture in
                try fixture.deploy("d")
                let old = fixture.processes.replicas
                let changed = try fixture.web.request("PUT", "/v2/deployments/d", ["config": config])
                try #require(changed.status == 200, "\(changed.body)")
                try fixture.measure("a config that can't start: stalled") {
                    try fixture.until("it is stalled") { try fixture.state("d").reason == "RolloutStalled" }
                }
                let state = try fixture.state("d")
                #expect(state.status == "updating" && state.readyProcesses == old)
                let waited = try fixture.pbctl("wait", "d", "--for", "ready", "--timeout", "20s")
                #expect(waited.status == 1 && waited.error.contains("rollout undo"), "\(waited.error)")
                let body: [String: Any] = ["inputs": "hi", "parameters": ["max_new_tokens": 3]]
                #expect(try fixture.web.request("POST", "/deployments/d/generate", body).status == 200)
                // So does a new server.
                try fixture.replaceServer()
                #expect(try fixture.state("d").readyProcesses == old)
                #expect(try fixture.pbctl("rollout", "undo", "d", "--wait").status == 0)
                // What serves is what is wanted again: nothing has to be started.
                #expect(try fixture.state("d").readyProcesses == old)
            }
        }
    }
}
