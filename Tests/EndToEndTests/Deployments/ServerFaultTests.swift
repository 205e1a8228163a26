import Foundation
import Glibc
import Testing

extension DeploymentTests {
    /// A server that is killed, that finds its state held, damaged or without room, or whose port is taken.
    @Suite struct ServerFaults {
        private static var longText: [String: Any] {
            [
                "inputs": "Once upon a time",
                "parameters": ["max_new_tokens": 400, "ignore_eos_token": true, "do_sample": true, "seed": 11],
            ]
        }

        @Test func aKilledServerLeavesReplicasToTheNextOne() throws {
            try DeploymentFixture.run { fixture in
                try fixture.deploy("d", replicas: 2, ["maxTotalTokens": 512])
                let before = try fixture.state("d")
                let endpoint = try #require(before.replicas.first?.endpoint)
                let expected = try fixture.web.start(
                    "POST", "http://\(endpoint)/generate_stream", Self.longText
                ).end().output
                // One client through the gateway, one of a replica itself; neither is through when the server dies.
                let proxied = try fixture.web.start("POST", "/deployments/d/generate_stream", Self.longText)
                try #require(proxied.reachesFrames(2))
                for id in before.readyProcesses { kill(id, SIGSTOP) }
                let isUnderWay = try fixture.state("d").replicas.contains { $0.requestCount > 0 }
                try #require(isUnderWay, "the stream was over before the server could die")
                let direct = try fixture.web.start("POST", "http://\(endpoint)/generate_stream", Self.longText)
                try fixture.endServer(by: SIGKILL)
                for id in before.readyProcesses { kill(id, SIGCONT) }
                // What went through the server is cut off, and the client is told by the connection.
                let cut = try proxied.end()
                #expect([18, 56].contains(cut.status), "curl's statuses for an answer that ends too early")
                #expect(try direct.end().output == expected)
                #expect(fixture.processes.replicas == before.readyProcesses)

                try fixture.measure("kill -9 of the server: the next one serves") { try fixture.startServer() }
                // Looked at once: there is no outage to wait out.
                let after = try fixture.state("d")
                #expect(after.status == "ready" && after.readyProcesses == before.readyProcesses)
                #expect(after.generation == before.generation && after.revision == before.revision)
                let again = try fixture.web.request("POST", "/deployments/d/generate", Self.longText)
                #expect(again.status == 200)
                #expect(try fixture.events("d").filter { $0.reason == "ReplicaLaunched" }.count == 2)
            }
        }

        @Test func aReplicaThatWasStartingWhenTheServerWasKilledIsTakenOver() throws {
            try DeploymentFixture.run { fixture in
                let config: [String: Any] = ["baseModel": SampleModelFile.path ?? fixture.tinyModel]
                let made = try fixture.web.request("POST", "/v2/deployments", ["name": "d", "config": config])
                #expect(made.status == 201)
                try fixture.until("a process is there") { !fixture.processes.replicas.isEmpty }
                let started = fixture.processes.replicas
                try fixture.replaceServer()
                try fixture.until("it is ready") { try fixture.state("d").status == "ready" }
                #expect(fixture.processes.replicas == started)
            }
        }

        @Test func aReplicaThatDiedWhileTheServerWasAwayIsReplaced() throws {
            try DeploymentFixture.run { fixture in
                try fixture.deploy("d", replicas: 2)
                let processes = fixture.processes.replicas
                try fixture.endServer(by: SIGKILL)
                kill(processes[0], SIGKILL)
                try fixture.startServer()
                // The other one serves from the first moment.
                #expect(try fixture.state("d").readyProcesses.contains(processes[1]))
                try fixture.until("there are two again") { try fixture.state("d").readyCount == 2 }
                try fixture.until("what the dead one left is gone") { fixture.recordedReplicas.count == 2 }
            }
        }

        @Test func aServerThatIsToldToStopFinishesWhatItHas() throws {
            try DeploymentFixture.run { fixture in
                try fixture.deploy("d")
                let replicas = fixture.processes.replicas
                // Those who only look are no reason to stay.
                let watcher = try fixture.start(["status", "d", "--watch"])
                let follower = try fixture.start(["events", "--follow"])
                try fixture.until("they have something to show") {
                    watcher.outputText.contains("d") && follower.outputText.contains("Created")
                }
                let stream = try fixture.web.start("POST", "/deployments/d/generate_stream", Self.longText)
                try #require(stream.reachesFrames(5))
                try fixture.endServer(by: SIGTERM)
                let end = try stream.end()
                #expect(end.status == 0 && end.output.contains("generated_text\":\""))
                #expect(fixture.processes.replicas == replicas)
                for process in [watcher, follower] {
                    process.signal(SIGTERM)
                    try process.end()
                }
                try fixture.startServer()
                #expect(try fixture.state("d").readyProcesses == replicas)
            }
        }

        @Test func stoppingWithReplicasLeavesNoProcessAndKeepsTheDeployment() throws {
            try DeploymentFixture.run { fixture in
                try fixture.deploy("d", replicas: 2)
                let stopped = try fixture.pbctl("server", "stop", "--replicas")
                #expect(stopped.status == 0, "\(stopped.error)")
                #expect(fixture.processes.entries.isEmpty)
                try fixture.startServer()
                try fixture.until("its replicas are started anew") { try fixture.state("d").readyCount == 2 }
            }
        }

        @Test func aSecondServerOnTheSameStateNamesTheFirst() throws {
            try DeploymentFixture.run { fixture in
                try fixture.deploy("d")
                let first = try #require(fixture.server).processID
                let second = try fixture.runServer().end()
                #expect(second.status != 0)
                #expect(second.error.contains("\(first)"), "\(second.error)")
                #expect(try fixture.state("d").status == "ready")
            }
        }

        @Test func aPortThatIsTakenIsSaid() throws {
            try DeploymentFixture.run { fixture in
                let port = try #require(fixture.url.split(separator: ":").last)
                try DeploymentFixture.run(startsServer: false) { other in
                    let end = try other.runServer(arguments: ["--port", String(port)]).end()
                    #expect(end.status == 1)
                    #expect(end.error.contains(port) && end.error.contains("--port"), "\(end.error)")
                    // It let go of its state.
                    try other.startServer()
                }
            }
        }

        @Test(arguments: [0, 5000])
        func aDamagedDatabaseIsLeftAloneAndTheWayBackIsSaid(offset: Int) throws {
            try DeploymentFixture.run { fixture in
                try fixture.deploy("d")
                let files = FileManager.default
                try fixture.until("there is a copy") { files.fileExists(atPath: fixture.database + ".backup") }
                try fixture.endServer(by: SIGTERM)
                // What the journal holds would make up for the damage.
                for suffix in ["-wal", "-shm"] { try? files.removeItem(atPath: fixture.database + suffix) }
                var bytes = try Data(contentsOf: URL(fileURLWithPath: fixture.database))
                bytes.replaceSubrange(offset..., with: Data(repeating: 0x55, count: bytes.count - offset))
                try bytes.write(to: URL(fileURLWithPath: fixture.database))
                let damaged = try Data(contentsOf: URL(fileURLWithPath: fixture.database))
                let end = try fixture.runServer().end()
                #expect(end.status == 1)
                #expect(end.error.contains(fixture.database), "\(end.error)")
                #expect(try Data(contentsOf: URL(fileURLWithPath: fixture.database)) == damaged)
                // The commands that it prints, as a user would paste them.
                let commands = end.error.split(separator: "\n").filter { $0.hasPrefix("  ") }.joined(separator: "\n")
                try #require(commands.contains("cp") || commands.contains("mv"), "\(end.error)")
                let shell = try BackgroundProcess("/bin/sh", ["-ec", commands], folder: fixture.scratch).end()
                #expect(shell.status == 0, "\(shell.error)")
                try fixture.startServer()
                // The copy was made when the server started, before the deployment: what runs unknown is not left
                // running.
                try fixture.until("replicas and deployments agree again") {
                    try fixture.exists("d") == !fixture.processes.replicas.isEmpty
                }
            }
        }

        @Test(.enabled(if: geteuid() == 0, "only root may mount a small disk"))
        func aFullDiskRefusesChangesAndKeepsServing() throws {
            try DeploymentFixture.run(startsServer: false) { fixture in
                try FileManager.default.createDirectory(atPath: fixture.home, withIntermediateDirectories: true)
                let mounted = try BackgroundProcess(
                    "/bin/mount", ["-t", "tmpfs", "-o", "size=24m", "tmpfs", fixture.home], folder: fixture.scratch
                ).end()
                guard mounted.status == 0 else { return print("no small disk can be mounted here: \(mounted.error)") }
                fixture.onEnd {
                    _ = try BackgroundProcess("/bin/umount", ["-l", fixture.home], folder: fixture.scratch).end()
                }
                try fixture.startServer()
                try fixture.deploy("d")
                let filler = fixture.home + "/filler"
                let fill = "for size in 1M 1k; do dd if=/dev/zero of=\(filler)$size bs=$size 2>/dev/null; done; :"
                try BackgroundProcess("/bin/sh", ["-c", fill], folder: fixture.scratch).end()

                // Large enough to need new pages.
                let config: [String: Any] = ["baseModel": fixture.tinyModel]
                var refused: WebClient.Answer?
                for number in 0..<200 where refused == nil {
                    let answer = try fixture.web.request(
                        "POST", "/v2/deployments",
                        [
                            "name": "full-\(number)", "config": config,
                            "description": String(repeating: "y", count: 4000),
                        ])
                    if answer.status != 201 { refused = answer }
                }
                let answer = try #require(refused, "the disk was never full")
                #expect(answer.status == 503 && !answer.error.isEmpty && !answer.retryAfter.isEmpty, "\(answer.body)")
                #expect(answer.error.contains("full") || answer.error.contains("space"), "\(answer.error)")
                let names = try JSONNames(fixture.web.request("GET", "/v2/deployments").body).names
                let scaled = try fixture.web.request("POST", "/api/v1/deployments/d/restart")
                #expect([200, 503].contains(scaled.status))
                #expect(try fixture.web.request("POST", "/deployments/d/generate", Self.longText).status == 200)

                for file in [filler + "1M", filler + "1k"] { try? FileManager.default.removeItem(atPath: file) }
                try fixture.until("there is room again") {
                    try fixture.web.request("PUT", "/v2/deployments/d", ["description": "z"]).status == 200
                }
                // Nothing half done: after a kill there is exactly what was answered.
                try fixture.replaceServer()
                #expect(try JSONNames(fixture.web.request("GET", "/v2/deployments").body).names == names)
            }
        }

        /// Names in a list of deployments.
        private struct JSONNames {
            let names: [String]

            init(_ text: String) {
                let data = WebClient.object(text)["data"] as? [[String: Any]] ?? []
                names = data.compactMap { $0["name"] as? String }.sorted()
            }
        }
    }
}
