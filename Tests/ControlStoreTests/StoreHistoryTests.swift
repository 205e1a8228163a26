import ControlStore
import Deployments
import ServingJSON
import Testing

@Suite struct StoreHistoryTests {
    private let scratch: ScratchFolder

    init() throws { scratch = try ScratchFolder() }

    private func open(_ change: (inout StoreLimits) -> Void = { _ in }) async throws -> ControlStore {
        var limits = StoreLimits()
        change(&limits)
        return try await ControlStore.open(folder: scratch.path, limits: limits)
    }

    @Test func eventsAreNumberedAndReadInPages() async throws {
        let store = try await open()
        let (a, b) = (try Sample.spec("a"), try Sample.spec("b"))
        try await store.insert(a)
        try await store.insert(b)
        let numbered = try await store.append((0..<10).map { Sample.event($0 % 2 == 0 ? a : b, "E\($0)") })
        #expect(numbered.map(\.number) == Array(1...10))
        #expect(try await store.events() == numbered)
        #expect(try await store.events(of: a.id).map(\.reason) == ["E0", "E2", "E4", "E6", "E8"])
        #expect(try await store.events(after: 3, limit: 2).map(\.number) == [4, 5])
        #expect(try await store.events(of: b.id, after: 4, limit: 2, newestFirst: true).map(\.number) == [10, 8])
        #expect(try await store.events(limit: 0).isEmpty)
        #expect(try await store.events(limit: -1).isEmpty)
        #expect(try await store.events(after: .max).isEmpty)
    }

    @Test func eventsOfUnknownDeploymentsAreRefusedAsAWhole() async throws {
        let store = try await open()
        let known = try Sample.spec("a")
        try await store.insert(known)
        let events = [Sample.event(known, "Fine"), Sample.event(try Sample.spec("b"), "Lost")]
        let error = await #expect(throws: StoreError.self) { try await store.append(events) }
        #expect(error?.code == .notFound)
        #expect(try await store.events().isEmpty)
    }

    @Test func eventsStayWithinTheirBounds() async throws {
        let store = try await open {
            $0.eventsPerDeployment = 20
            $0.events = 50
        }
        let specs = try (0..<4).map { try Sample.spec("d\($0)") }
        for spec in specs { try await store.insert(spec) }
        for round in 0..<30 { try await store.append(specs.map { Sample.event($0, "R\(round)") }) }
        #expect(try await store.events(of: specs[0].id).map(\.reason) == (10..<30).map { "R\($0)" })
        try await store.prune()
        let left = try await store.events()
        #expect(left.count == 50 && left.last?.number == 120)
        let next = try await store.append([Sample.event(specs[0], "Next")])
        #expect(next.map(\.number) == [121])
    }

    @Test func eventsArePrunedInPassing() async throws {
        let store = try await open {
            $0.eventsPerDeployment = 10_000
            $0.events = 100
        }
        let spec = try Sample.spec("a")
        try await store.insert(spec)
        for _ in 0..<21 { try await store.append((0..<100).map { Sample.event(spec, "E\($0)") }) }
        #expect(try await store.events(limit: 10_000).count <= 1100)
    }

    @Test func streamsSeeWhatIsAppendedInOrderAndNothingThatFailed() async throws {
        let store = try await open()
        let spec = try Sample.spec("a")
        let early = store.eventStream()
        try await store.insert(spec, event: Sample.event(spec, "Created"))
        try? await store.insert(spec, event: Sample.event(spec, "CreatedAgain"))
        await withTaskGroup(of: Void.self) { group in
            for index in 0..<40 {
                group.addTask { _ = try? await store.append([Sample.event(spec, "E\(index)")]) }
            }
        }
        let slow = store.eventStream(buffer: 2)
        try await store.append((0..<5).map { Sample.event(spec, "Last\($0)") })
        await store.close()
        var numbers: [Int64] = []
        for await event in early { numbers.append(event.number) }
        #expect(numbers == Array(1...46))
        var last: [String] = []
        for await event in slow { last.append(event.reason) }
        #expect(last == ["Last3", "Last4"])
    }

    @Test func replicasKeepWhatIsKnownAndTheNewestOfTheEnded() async throws {
        let store = try await open { $0.endedReplicasPerDeployment = 3 }
        let spec = try Sample.spec("a")
        try await store.insert(spec)
        var replica = Sample.replica("a-0", of: spec, launched: 0)
        replica.readyAt = Timestamp(milliseconds: 7)
        try await store.recordReplica(replica)
        var exit = replica
        exit.readyAt = nil
        exit.endedAt = Timestamp(milliseconds: 9)
        exit.exit = ReplicaExit(signal: 9, lastLines: ["out of memory"], at: Timestamp(milliseconds: 9))
        try await store.recordReplica(exit)
        try await store.recordReplica(exit)
        exit.readyAt = replica.readyAt
        #expect(try await store.replicas(of: spec.id) == [exit])
        try await store.recordReplica(Sample.replica("a-running", of: spec, launched: 1))
        for index in 2..<10 {
            var ended = Sample.replica("a-\(index)", of: spec, launched: Int64(index))
            ended.endedAt = Timestamp(milliseconds: 100)
            try await store.recordReplica(ended)
        }
        #expect(try await store.replicas(of: spec.id).map(\.id.text) == ["a-9", "a-8", "a-7", "a-running"])
        #expect(try await store.replicas(of: spec.id, limit: 1).map(\.id.text) == ["a-9"])
        let lost = Sample.replica("b-1", of: try Sample.spec("b"))
        let error = await #expect(throws: StoreError.self) { try await store.recordReplica(lost) }
        #expect(error?.code == .notFound)
    }

    @Test func revisionsAndDeletedDeploymentsStayWithinTheirBounds() async throws {
        let store = try await open {
            $0.revisionsPerDeployment = 5
            $0.deletedDeployments = 2
        }
        var spec = try Sample.spec("a")
        try await store.insert(spec)
        for generation in 2...12 {
            spec.generation = generation
            spec.revision = generation
            try await store.update(spec, expectedGeneration: generation - 1, cause: "updated")
        }
        #expect(try await store.revisions(of: spec.id).map(\.number) == Array(8...12))
        for index in 0..<5 {
            let old = try Sample.spec("old", id: "old-\(index)")
            try await store.insert(old, event: Sample.event(old, "Created"))
            try await store.retire(old.id, at: Timestamp(milliseconds: Int64(index)))
        }
        try await store.prune()
        let all = try await store.deployments(includingDeleted: true).map(\.spec.id)
        #expect(all == ["id-a", "old-4", "old-3"])
        #expect(try await store.events(of: "old-0").isEmpty)
        #expect(try await store.events(of: "old-4").count == 1)
    }
}
