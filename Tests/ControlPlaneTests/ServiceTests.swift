import ControlAPI
import ControlPlane
import ControlStore
import Deployments
import ServingJSON
import Testing

@Suite struct ServiceTests {
    @Test func changesOfManyClientsAllHappen() async throws {
        let world = try await TestWorld()
        try await world.create("chat")
        let service = world.service
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 1...20 {
                group.addTask {
                    _ = try await service.update(
                        "chat", DeploymentRequest(config: JSONObject([("maxReplicas", .integer(Int64(number + 1)))])),
                        generation: nil, isDryRun: false)
                }
            }
            try await group.waitForAll()
        }
        let view = try await world.service.view("chat")
        #expect(view.generation == 21)
        #expect(view.revision == 21)
        #expect(try await world.service.revisions("chat").count == 21)
        try await world.restart()
        #expect(try await world.service.view("chat").generation == 21)
        await world.end()
    }

    @Test func aClientThatSawAnOlderGenerationIsTold() async throws {
        let world = try await TestWorld()
        try await world.create("chat")
        let change = DeploymentRequest(config: JSONObject([("maxReplicas", 2)]))
        _ = try await world.service.update("chat", change, generation: 1, isDryRun: false)
        let again = DeploymentRequest(config: JSONObject([("maxReplicas", 3)]))
        let error = await #expect(throws: ControlError.self) {
            try await world.service.update("chat", again, generation: 1, isDryRun: false)
        }
        #expect(error?.code == .conflict)
        #expect(try await world.service.spec("chat").config.maxReplicas == 2)
        await world.end()
    }

    @Test func aChangeThatChangesNothingMakesNoRevision() async throws {
        let world = try await TestWorld()
        try await world.create("chat", JSONObject([("maxReplicas", 2)]))
        let same = DeploymentRequest(config: JSONObject([("maxReplicas", 2), ("minReplicas", .null)]))
        let view = try await world.service.update("chat", same, generation: nil, isDryRun: false)
        #expect(view.generation == 1)
        await world.end()
    }

    @Test func oneOfTwoCreatesOfANameWins() async throws {
        let world = try await TestWorld()
        let service = world.service
        let outcomes = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<10 {
                group.addTask {
                    let request = DeploymentRequest(name: "chat", config: JSONObject([("baseModel", "m")]))
                    return (try? await service.create(request, isDryRun: false)) != nil
                }
            }
            var outcomes: [Bool] = []
            for await outcome in group { outcomes.append(outcome) }
            return outcomes
        }
        #expect(outcomes.count { $0 } == 1)
        #expect(try await world.store.deployments(includingDeleted: true).count == 1)
        await world.end()
    }

    @Test func aDryRunLeavesNothing() async throws {
        let world = try await TestWorld()
        let request = DeploymentRequest(name: "chat", config: JSONObject([("baseModel", "m")]))
        _ = try await world.service.create(request, isDryRun: true)
        #expect(try await world.store.deployments(includingDeleted: true).isEmpty)
        try await world.ready("chat")
        let change = DeploymentRequest(config: JSONObject([("maxTotalTokens", 64)]))
        let planned = try await world.service.update("chat", change, generation: nil, isDryRun: true)
        #expect(planned.revision == 2)
        #expect(try await world.service.view("chat").revision == 1)
        await world.end()
    }

    @Test func rollingBackMakesARevisionOfTheOldConfig() async throws {
        let world = try await TestWorld()
        try await world.create("chat", JSONObject([("maxTotalTokens", 100)]))
        let none = await #expect(throws: ControlError.self) { try await world.service.rollBack("chat", to: nil) }
        #expect(none?.code == .invalidState)
        for tokens in [200, 300] {
            let change = DeploymentRequest(config: JSONObject([("maxTotalTokens", .integer(Int64(tokens)))]))
            _ = try await world.service.update("chat", change, generation: nil, isDryRun: false)
        }
        let back = try await world.service.rollBack("chat", to: nil)
        #expect(back.revision == 4)
        #expect(back.config["maxTotalTokens"] == 200)
        let first = try await world.service.rollBack("chat", to: 1)
        #expect(first.config["maxTotalTokens"] == 100)
        #expect(try await world.service.revisions("chat").first?.cause == "rolled back to 1")
        let error = await #expect(throws: ControlError.self) { try await world.service.rollBack("chat", to: 99) }
        #expect(error?.code == .notFound)
        await world.end()
    }

    @Test func allFaultsOfAConfigAreToldAtOnce() async throws {
        let world = try await TestWorld()
        let config = JSONObject([
            ("baseModel", "m"), ("minReplicas", 3), ("maxReplicas", 1), ("cooldownTime", "long"), ("maxReplica", 2),
        ])
        let error = await #expect(throws: ControlError.self) {
            try await world.service.create(DeploymentRequest(name: "chat", config: config), isDryRun: false)
        }
        #expect(error?.status == 422)
        let fields = Set((error?.faults ?? []).map(\.field))
        #expect(fields.isSuperset(of: ["cooldownTime", "maxReplica"]))
        await world.end()
    }

    @Test(arguments: ["", "Chat", "-chat", "chat-", "a/b", "a.b", "ä", String(repeating: "a", count: 64), "a b", "a\0"])
    func namesThatAreNoLabelsAreRefused(name: String) async throws {
        let world = try await TestWorld()
        let request = DeploymentRequest(name: name, config: JSONObject([("baseModel", "m")]))
        let error = await #expect(throws: ControlError.self) {
            try await world.service.create(request, isDryRun: false)
        }
        #expect(error?.status == 422)
        await world.end()
    }

    @Test func aNameThatIsNearIsNamed() async throws {
        let world = try await TestWorld()
        try await world.create("support-chat")
        let error = await #expect(throws: ControlError.self) { try await world.service.view("suport-chat") }
        #expect(error?.hint?.contains("support-chat") == true)
        await world.end()
    }

    @Test func secretsAreKeptAndNeverShown() async throws {
        let world = try await TestWorld()
        let view = try await world.create("chat", JSONObject([("hfToken", "hf_secret")]))
        #expect(view.config["hfToken"] == "***")
        #expect(try await world.service.revisions("chat").allSatisfy { $0.config["hfToken"] == "***" })
        // What is read and sent back leaves the token as it is.
        _ = try await world.service.update(
            "chat", DeploymentRequest(config: view.config), generation: nil, isDryRun: false)
        #expect(try await world.service.spec("chat").config.hubToken == "hf_secret")
        let events = try await world.store.events(of: view.uuid, after: 0, limit: 100)
        #expect(events.allSatisfy { !$0.message.contains("hf_secret") && !"\($0.data)".contains("hf_secret") })
        await world.end()
    }
}
