import Foundation
import Glibc
import Testing

extension DeploymentTests {
    /// Commands as scripts use them: what they print and how they end.
    @Suite struct Commands {
        @Test func scriptsGoByTheStatus() throws {
            try DeploymentFixture.run { fixture in
                try fixture.deploy("d")
                #expect(try fixture.pbctl("status").status == 0)
                #expect(try fixture.pbctl("status", "d", "-o", "json").status == 0)
                #expect(try fixture.pbctl("wait", "d").status == 0)
                let missing = try fixture.pbctl("status", "dd")
                #expect(missing.status == 1 && missing.complainsOnOneLine, "\(missing.error)")
                #expect(missing.error.contains("did you mean \"d\"?"), "\(missing.error)")
                #expect(try fixture.pbctl("status", "Not_A_Name").status == 64)
                #expect(try fixture.pbctl("wait", "d", "--for", "nonsense").status == 64)
                let late = try fixture.pbctl("wait", "d", "--for", "replicas=3", "--timeout", "1s")
                #expect(late.status == 75 && late.error.contains("replicas=3 within 1s"), "\(late.error)")
                let again = try fixture.pbctl("deploy", "d", "--model", fixture.tinyModel)
                #expect(again.status == 1 && again.complainsOnOneLine, "\(again.error)")
                #expect(try fixture.pbctl("stop", "d", "--yes", "--wait").status == 0)
                let hopeless = try fixture.pbctl("wait", "d", "--for", "ready", "--timeout", "20s")
                #expect(hopeless.status == 1 && hopeless.error.contains("pbctl start d"), "\(hopeless.error)")
                #expect(try fixture.pbctl("delete", "d", "--yes", "--wait").status == 0)
                #expect(try fixture.pbctl("status", "d").status == 1)
            }
        }

        @Test(arguments: [
            ["status"], ["status", "d"], ["logs", "d"], ["events"], ["wait", "d"], ["server", "status"],
        ])
        func withoutAServerCommandsAreUnreachable(command: [String]) throws {
            try DeploymentFixture.run(startsServer: false) { fixture in
                let end = try fixture.start(command).end()
                #expect(end.status == 69, "\(end.error)")
                #expect(end.error.hasPrefix("pbctl: ") && end.error.contains("pbctl server start"), "\(end.error)")
                #expect(end.output.isEmpty)
                // An address where nobody listens. Who waits has some patience with a server that is away.
                guard command[0] != "wait" else { return }
                let away = try fixture.start(command + ["--server", "http://127.0.0.1:9"]).end()
                #expect(away.status == 69, "\(away.error)")
            }
        }

        @Test func logsAndEventsShowWhatHappened() throws {
            try DeploymentFixture.run { fixture in
                try fixture.deploy("d")
                // A replica answers before it says so in its log.
                try fixture.until("the log says it") {
                    let logs = try fixture.pbctl("logs", "d")
                    return logs.status == 0 && logs.output.contains("serving")
                }
                #expect(try fixture.pbctl("logs", "d", "--tail", "0").output.isEmpty)
                #expect(try fixture.pbctl("logs", "d", "--replica", "no-such").status == 1)
                let events = try fixture.pbctl("events", "d")
                #expect(events.status == 0 && events.output.contains("Created"))
                #expect(events.output.contains("ReplicaReady"))
                let follower = try fixture.start(["events", "d", "--follow"])
                let logger = try fixture.start(["logs", "d", "--follow"])
                try fixture.until("they follow") {
                    follower.outputText.contains("ReplicaReady") && logger.outputText.contains("serving")
                }
                #expect(try fixture.pbctl("scale", "d", "2").status == 0)
                try fixture.until("news arrive") { follower.outputText.contains("Scaled") }
                for process in [follower, logger] {
                    process.signal(SIGINT)
                    #expect(try process.end().status == 130)
                }
            }
        }

        @Test func logsAreWholeEachTimeTheyAreAskedFor() throws {
            try DeploymentFixture.run { fixture in
                try fixture.deploy("d")
                try fixture.until("the log says it") { try fixture.pbctl("logs", "d").output.contains("serving") }
                let first = try fixture.pbctl("logs", "d").output
                for _ in 0..<40 {
                    let logs = try fixture.pbctl("logs", "d")
                    #expect(logs.status == 0 && logs.output == first)
                }
            }
        }

        @Test func aServerWithAKeyDeploysAndAnswersThoseWhoHaveIt() throws {
            try DeploymentFixture.run(startsServer: false) { fixture in
                let key = ["PBCTL_API_KEY": "open-sesame"]
                try fixture.startServer(environment: key)
                let deploy = try fixture.start(
                    ["deploy", "d", "--model", fixture.tinyModel, "--wait"], environment: key
                ).end(within: .seconds(120))
                #expect(deploy.status == 0, "\(deploy.error)")
                let arguments = ["prompt", "d", "hello", "--max-tokens", "3"]
                let answer = try fixture.start(arguments, environment: key).end(within: .seconds(60))
                #expect(answer.status == 0, "\(answer.error)")
                let stranger = try fixture.start(arguments).end(within: .seconds(60))
                #expect(stranger.status != 0 && stranger.error.contains("PBCTL_API_KEY"))
            }
        }

        @Test func aCommandStartsTheServerItNeeds() throws {
            try DeploymentFixture.run(startsServer: false) { fixture in
                fixture.beforeEnd { try fixture.pbctl("server", "stop", "--replicas") }
                let first = try fixture.start(["status"], startsServer: true).end()
                #expect(first.status == 0)
                #expect(first.error.contains("started the server (pid "), "\(first.error)")
                let second = try fixture.start(["status"], startsServer: true).end()
                #expect(second.status == 0 && !second.error.contains("started"), "\(second.error)")
                #expect(fixture.processes.entries.filter(\.isServer).count == 1)
            }
        }

        @Test func commandsThatNeedAServerAtOnceStartOne() throws {
            try DeploymentFixture.run(startsServer: false) { fixture in
                fixture.beforeEnd { try fixture.pbctl("server", "stop", "--replicas") }
                let runs = try (0..<8).map { _ in try fixture.start(["status"], startsServer: true) }
                for run in runs {
                    let end = try run.end()
                    #expect(end.status == 0, "\(end.error)")
                }
                #expect(fixture.processes.entries.filter(\.isServer).count == 1)
            }
        }
    }
}
