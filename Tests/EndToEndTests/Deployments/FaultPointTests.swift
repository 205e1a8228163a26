import Foundation
import Glibc
import Testing

extension DeploymentTests {
    /// A server that is killed in the middle of a change, at each step of it, with `PBCTL_FAULT_POINT`.
    @Suite struct FaultPoints {
        /// What a client asks for.
        enum Change: String, CaseIterable, CustomTestStringConvertible {
            case update, scale, stop, delete, restart, rollBack

            var testDescription: String { rawValue }

            func send(_ fixture: DeploymentFixture) throws -> WebClient.Answer {
                let base = "/api/v1/deployments/d/"
                return switch self {
                case .update: try fixture.web.request("PUT", "/v2/deployments/d", ["config": ["maxTotalTokens": 128]])
                case .scale: try fixture.web.request("POST", base + "scale", ["replicas": 2])
                case .stop: try fixture.web.request("POST", base + "stop")
                case .delete: try fixture.web.request("DELETE", "/v2/deployments/d")
                case .restart: try fixture.web.request("POST", base + "restart")
                case .rollBack: try fixture.web.request("POST", base + "rollback", ["revision": 1])
                }
            }
        }

        /// What a deployment is to be in the end, whether a change was recorded or not.
        private func settle(
            _ fixture: DeploymentFixture, _ change: Change, isRecorded: Bool, before: DeploymentState
        ) throws {
            let name = "\(change), \(isRecorded ? "recorded" : "not recorded")"
            if change == .delete, isRecorded {
                try fixture.until("\(name): it is gone") { try !fixture.exists("d") }
            } else if change == .stop, isRecorded {
                try fixture.until("\(name): it rests") {
                    let state = try fixture.state("d")
                    return state.status == "stopped" && state.replicas.isEmpty
                }
            } else {
                let count = change == .scale && isRecorded ? 2 : 1
                try fixture.until("\(name): \(count) ready") {
                    let state = try fixture.state("d")
                    return state.status == "ready" && state.readyCount == count && state.replicas.count == count
                }
                let state = try fixture.state("d")
                #expect(state.generation == before.generation + (isRecorded ? 1 : 0))
                let tokenCount = state.config["maxTotalTokens"] as? Int
                let expected: [Change: Int] = [.update: 128, .rollBack: 512]
                #expect(tokenCount == (isRecorded ? expected[change] : nil) ?? before.config["maxTotalTokens"] as? Int)
                if change == .restart, isRecorded { #expect(state.readyProcesses != before.readyProcesses) }
                if change == .restart, !isRecorded { #expect(state.readyProcesses == before.readyProcesses) }
            }
        }

        /// Processes and records of replicas are those of the deployments there are.
        private func checkNothingIsLeft(_ fixture: DeploymentFixture) throws {
            let wanted = try fixture.exists("d") ? try fixture.state("d").replicas.count : 0
            try fixture.until("nothing is left over") {
                fixture.processes.replicas.count == wanted && fixture.recordedReplicas.count == wanted
            }
        }

        /// Does a change that the server does not survive, and starts it again.
        private func strike(_ fixture: DeploymentFixture, _ point: String, _ change: Change) throws {
            let server = try #require(fixture.server)
            // The answer may be there where the server dies in what follows from it.
            _ = try change.send(fixture)
            try #require(Patience(.seconds(30)).wait { !server.isRunning }, "\(point) was never reached")
            #expect(try server.end().status == 128 + SIGKILL)
            try fixture.startServer()
        }

        @Test(arguments: ["checked", "recorded", "known"])
        func creating(step: String) throws {
            try DeploymentFixture.run(startsServer: false) { fixture in
                try fixture.startServer(environment: ["PBCTL_FAULT_POINT": "create.\(step)"])
                let config: [String: Any] = ["baseModel": fixture.tinyModel, "maxTotalTokens": 256]
                let body: [String: Any] = ["name": "d", "config": config]
                let answer = try fixture.web.request("POST", "/v2/deployments", body)
                #expect(answer.status == 0, "there was an answer: \(answer.body)")
                try #require(Patience(.seconds(10)).wait { fixture.server?.isRunning == false })
                try fixture.startServer()
                #expect(try fixture.exists("d") == (step != "checked"))
                // Who got no answer asks again, and learns how it is.
                #expect(
                    try fixture.web.request("POST", "/v2/deployments", body).status == (step == "checked" ? 201 : 409))
                try fixture.until("it is ready") { try fixture.state("d").status == "ready" }
                try checkNothingIsLeft(fixture)
            }
        }

        @Test(arguments: Change.allCases, ["checked", "recorded", "known"])
        func changing(change: Change, step: String) throws {
            try DeploymentFixture.run { fixture in
                try fixture.deploy("d")
                if change == .rollBack {
                    _ = try fixture.web.request("PUT", "/v2/deployments/d", ["config": ["maxTotalTokens": 200]])
                    try fixture.until("there are two revisions") {
                        let state = try fixture.state("d")
                        return state.status == "ready" && state.replicas.count == 1
                    }
                }
                let before = try fixture.state("d")
                try fixture.replaceServer(environment: ["PBCTL_FAULT_POINT": "update.\(step)"])
                try strike(fixture, "update.\(step)", change)
                try settle(fixture, change, isRecorded: step != "checked", before: before)
                try checkNothingIsLeft(fixture)
            }
        }

        @Test(arguments: [
            ("launch.named", Change.scale), ("launch.done", .scale), ("launch.named", .update),
            ("launch.done", .update),
            ("drain.unrouted", .stop), ("drain.told", .stop), ("drain.unrouted", .update), ("drain.told", .restart),
            ("drain.told", .delete), ("retire.decided", .delete), ("retire.recorded", .delete),
        ])
        func whatFollowsFromAChange(point: String, change: Change) throws {
            try DeploymentFixture.run { fixture in
                try fixture.deploy("d")
                let before = try fixture.state("d")
                try fixture.replaceServer(environment: ["PBCTL_FAULT_POINT": point])
                try strike(fixture, point, change)
                try settle(fixture, change, isRecorded: true, before: before)
                try checkNothingIsLeft(fixture)
            }
        }
    }
}
