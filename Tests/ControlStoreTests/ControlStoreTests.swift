import ControlStore
import Deployments
import ServingJSON
import Testing

@Suite struct ControlStoreTests {
    private let scratch: ScratchFolder
    private let store: ControlStore

    init() async throws {
        scratch = try ScratchFolder()
        store = try await ControlStore.open(folder: scratch.path)
    }

    @Test func whatWasRecordedIsReadBack() async throws {
        var spec = try Sample.spec("chat")
        spec.pinnedReplicaCount = 2
        try await store.insert(spec, event: Sample.event(spec, "Created"))
        let stored = try await store.deployment(named: spec.name)
        #expect(stored == StoredDeployment(spec: spec))
        #expect(try await store.deployment(id: spec.id) == stored)
        #expect(try await store.deployments() == [StoredDeployment(spec: spec)])
        #expect(try await store.deployment(named: DeploymentName("other")) == nil)
        #expect(try await store.deployment(id: "") == nil)
        let revisions = try await store.revisions(of: spec.id)
        #expect(revisions.map(\.config) == [spec.config] && revisions.map(\.cause) == ["created"])
        #expect(try await store.events(of: spec.id).map(\.reason) == ["Created"])
    }

    @Test func anEmptyStoreHasNothing() async throws {
        #expect(try await store.deployments(includingDeleted: true).isEmpty)
        #expect(try await store.events().isEmpty)
        #expect(try await store.append([]).isEmpty)
        #expect(try await store.revision(of: "x", number: 1) == nil)
        try await store.saveProgress([])
        try await store.prune()
    }

    @Test func aNameIsTakenOnlyWhileItsDeploymentLives() async throws {
        let first = try Sample.spec("chat", id: "1")
        let second = try Sample.spec("chat", id: "2")
        try await store.insert(first)
        let error = await #expect(throws: StoreError.self) { try await store.insert(second) }
        #expect(error?.code == .nameTaken && error?.message.contains("chat") == true && error?.isRetryable == false)
        let end = Timestamp(milliseconds: 5)
        try await store.retire("1", at: end, event: Sample.event(first, "Deleted"))
        try await store.insert(second)
        #expect(try await store.deployment(named: first.name)?.spec.id == "2")
        let all = try await store.deployments(includingDeleted: true)
        #expect(all.map(\.spec.id) == ["2", "1"] && all.map(\.deletedAt) == [nil, end])
        #expect(all[1].condition?.status == .deleted)
        #expect(try await store.deployments().map(\.spec.id) == ["2"])
        #expect(try await store.events(of: "1").map(\.reason) == ["Deleted"])
        #expect(try await store.revisions(of: "1").count == 1)
    }

    @Test func retiringTwiceIsTheSameAsOnce() async throws {
        let spec = try Sample.spec("chat")
        try await store.insert(spec)
        for at in [Int64(5), 9] {
            try await store.retire(spec.id, at: Timestamp(milliseconds: at), event: Sample.event(spec, "Deleted"))
        }
        #expect(try await store.deployment(id: spec.id)?.deletedAt == Timestamp(milliseconds: 5))
        #expect(try await store.events(of: spec.id).count == 1)
        let error = await #expect(throws: StoreError.self) {
            try await store.retire("none", at: Timestamp(milliseconds: 1))
        }
        #expect(error?.code == .notFound)
    }

    @Test func anUpdateOfAnotherGenerationIsAConflictAndChangesNothing() async throws {
        var spec = try Sample.spec("chat")
        try await store.insert(spec)
        spec.generation = 2
        spec.revision = 2
        spec.config.maxReplicas = 7
        try await store.update(spec, expectedGeneration: 1, cause: "updated", events: [Sample.event(spec, "Updated")])
        var stale = spec
        stale.generation = 3
        stale.revision = 3
        stale.config.maxReplicas = 9
        let error = await #expect(throws: StoreError.self) {
            try await store.update(stale, expectedGeneration: 1, cause: "late", events: [Sample.event(stale, "Late")])
        }
        #expect(error?.code == .conflict && error?.actualGeneration == 2)
        let unraised = await #expect(throws: StoreError.self) {
            try await store.update(spec, expectedGeneration: 2, cause: "unraised")
        }
        #expect(unraised?.code == .invalid)
        #expect(try await store.deployment(id: spec.id)?.spec == spec)
        #expect(try await store.revisions(of: spec.id).map(\.cause) == ["created", "updated"])
        #expect(try await store.events(of: spec.id).map(\.reason) == ["Updated"])
        #expect(try await store.revision(of: spec.id, number: 2)?.config.maxReplicas == 7)
    }

    @Test func whatDoesNotGrowTheRevisionLeavesNone() async throws {
        var spec = try Sample.spec("chat")
        try await store.insert(spec)
        spec.generation = 2
        spec.intent = .stopped
        try await store.update(spec, expectedGeneration: 1, cause: "stopped")
        #expect(try await store.revisions(of: spec.id).count == 1)
        #expect(try await store.deployment(id: spec.id)?.spec.intent == .stopped)
    }

    @Test func updatesOfWhatIsNotThereAreRefused() async throws {
        var spec = try Sample.spec("chat")
        spec.generation = 2
        let error = await #expect(throws: StoreError.self) {
            try await store.update(spec, expectedGeneration: 1, cause: "updated")
        }
        #expect(error?.code == .notFound)
        spec.generation = 1
        try await store.insert(spec)
        try await store.retire(spec.id, at: spec.createdAt)
        spec.generation = 2
        let late = await #expect(throws: StoreError.self) {
            try await store.update(spec, expectedGeneration: 1, cause: "updated")
        }
        #expect(late?.code == .notFound)
    }

    @Test func ofManyUpdatesAtOnceExactlyOneWinsEachGeneration() async throws {
        let spec = try Sample.spec("chat")
        try await store.insert(spec)
        let wins = try await withThrowingTaskGroup(of: Int.self) { group in
            for writer in 0..<50 {
                group.addTask { [store] in
                    var won = 0
                    for generation in 1...10 {
                        var next = spec
                        next.generation = generation + 1
                        next.revision = generation + 1
                        next.config.maxReplicas = writer
                        do throws(StoreError) {
                            try await store.update(
                                next, expectedGeneration: generation, cause: "\(writer)",
                                events: [Sample.event(next, "Updated")])
                            won += 1
                        } catch {
                            #expect(error.code == .conflict)
                        }
                    }
                    return won
                }
            }
            return try await group.reduce(0, +)
        }
        let stored = try #require(try await store.deployment(id: spec.id))
        #expect(wins == stored.spec.generation - 1 && wins >= 1)
        #expect(try await store.revisions(of: spec.id).map(\.number) == Array(1...stored.spec.generation))
        #expect(try await store.events(of: spec.id).count == wins)
    }

    @Test func ofManyInsertsOfOneNameExactlyOneWins() async throws {
        let wins = await withTaskGroup(of: Bool.self) { group in
            for writer in 0..<50 {
                group.addTask { [store] in
                    guard let spec = try? Sample.spec("chat", id: "\(writer)") else { return false }
                    return (try? await store.insert(spec)) != nil
                }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(wins == 1)
        #expect(try await store.deployments().count == 1)
    }

    @Test func progressIsApartFromTheSpec() async throws {
        var spec = try Sample.spec("chat")
        let other = try Sample.spec("other")
        try await store.insert(spec)
        try await store.insert(other)
        var memory = DeploymentMemory()
        memory.failureCount = 4
        memory.lastFailure = ReplicaExit(code: 78, lastLines: ["no such model"], at: Timestamp(milliseconds: 9))
        memory.hasGivenUp = true
        let progress = [spec, other].map {
            DeploymentProgress(id: $0.id, condition: Sample.condition, desiredReplicaCount: 2, memory: memory)
        }
        try await store.saveProgress(progress, events: [Sample.event(spec, "Ready")])
        spec.generation = 2
        spec.description = "new"
        try await store.update(spec, expectedGeneration: 1, cause: "updated")
        let expected = StoredDeployment(
            spec: spec, condition: Sample.condition, desiredReplicaCount: 2, memory: memory)
        #expect(try await store.deployment(id: spec.id) == expected)
        #expect(try await store.deployment(id: other.id)?.memory == memory)
    }

    @Test func progressOfTheDeletedIsPassedOverAndTheRestWritten() async throws {
        let spec = try Sample.spec("chat")
        let gone = try Sample.spec("gone")
        try await store.insert(spec)
        try await store.insert(gone)
        try await store.retire(gone.id, at: gone.createdAt)
        let progress = [gone.id, "never-was", spec.id].map {
            DeploymentProgress(id: $0, condition: Sample.condition, desiredReplicaCount: 1, memory: DeploymentMemory())
        }
        let stranger = try Sample.spec("stranger")
        try await store.saveProgress(
            progress, events: [Sample.event(stranger, "Lost"), Sample.event(spec, "Kept"), Sample.event(gone, "Last")],
            replicas: [Sample.replica("stranger-1", of: stranger), Sample.replica("chat-1", of: spec)])
        #expect(try await store.deployment(id: spec.id)?.condition == Sample.condition)
        #expect(try await store.deployment(id: gone.id)?.condition?.status == .deleted)
        #expect(try await store.events().map(\.reason) == ["Kept", "Last"])
        #expect(try await store.replicas(of: spec.id).map(\.id.text) == ["chat-1"])
    }

    @Test func settingsAreKeptAndTheFirstProposalHolds() async throws {
        #expect(try await store.setting("owner") == nil)
        #expect(try await store.setting("owner", orKeep: "a") == "a")
        #expect(try await store.setting("owner", orKeep: "b") == "a")
        try await store.set("owner", to: "c")
        #expect(try await store.setting("owner") == "c")
        try await store.set("owner", to: nil)
        #expect(try await store.setting("owner") == nil)
    }

    @Test func aClosedStoreSaysSo() async throws {
        let spec = try Sample.spec("chat")
        let stream = store.eventStream()
        await store.close()
        await store.close()
        let write = await #expect(throws: StoreError.self) { try await store.insert(spec) }
        let read = await #expect(throws: StoreError.self) { try await store.deployments() }
        #expect(write?.code == .closed && read?.code == .closed)
        for await _ in stream { Issue.record("an event of a closed store") }
        for await _ in store.eventStream() { Issue.record("an event of a closed store") }
    }

    @Test func namesAndTextsAreNeverTakenForSQL() async throws {
        var spec = try Sample.spec("chat", id: "'; DROP TABLE deployments; --")
        spec.description = "a\u{0}b ' \" \\ 🦊 e\u{301}"
        try await store.insert(spec)
        #expect(try await store.deployment(id: spec.id)?.spec == spec)
    }
}
