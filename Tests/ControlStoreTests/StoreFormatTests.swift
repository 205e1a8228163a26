import ControlStore
import Deployments
import Foundation
import ServingJSON
import Testing

/// Databases that earlier versions wrote: one file a format, in `Tests/Fixtures/control-store`.
///
/// `PBCTL_RECORD=1` writes the file of the present format, only where there is none yet: one that was committed stays
/// as it was written.
@Suite struct StoreFormatTests {
    private let scratch: ScratchFolder
    private static let begin: Int64 = 1_700_000_100_000

    init() throws { scratch = try ScratchFolder() }

    private static func fixture(_ version: Int) -> String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures/control-store/v\(version).db").path
    }

    private static func specs() throws -> (living: DeploymentSpec, deleted: DeploymentSpec) {
        var living = try Sample.spec("chat")
        living.generation = 2
        living.revision = 2
        living.config.maxReplicas = 9
        living.pinnedReplicaCount = 2
        return (living, try Sample.spec("chat", id: "id-old"))
    }

    private static var replica: ReplicaRecord {
        get throws {
            var replica = Sample.replica("chat-x1", of: try specs().living)
            replica.readyAt = Timestamp(milliseconds: 2)
            replica.endedAt = Timestamp(milliseconds: 3)
            replica.exit = ReplicaExit(code: 78, lastLines: ["no model"], at: Timestamp(milliseconds: 3))
            return replica
        }
    }

    private static var memory: DeploymentMemory {
        var memory = DeploymentMemory()
        memory.failureCount = 2
        memory.wasEverReady = true
        return memory
    }

    private static func record(_ folder: String) async throws {
        let store = try await ControlStore.open(folder: folder)
        let (living, deleted) = try specs()
        try await store.insert(deleted, event: Sample.event(deleted, "Created"))
        try await store.retire(deleted.id, at: Timestamp(milliseconds: 4))
        let first = try Sample.spec("chat")
        try await store.insert(first, event: Sample.event(first, "Created"))
        try await store.update(
            living, expectedGeneration: 1, cause: "updated", events: [Sample.event(living, "Updated")])
        try await store.saveProgress(
            living.id, condition: Sample.condition, desiredReplicaCount: 2, memory: memory)
        try await store.recordReplica(try replica)
        try await store.set("owner", to: "somebody")
        let clock = ManualClock(begin)
        let history = MetricsHistory(store: store, clock: clock)
        for _ in 0..<4 {
            var sample = RequestSample(
                deployment: living.name, adapter: "sql", endedAt: clock.now(), outcome: .success)
            sample.inferenceDuration = .milliseconds(200)
            sample.generatedTokenCount = 7
            history.record(sample)
            clock.advance(900_000)
            try await history.flush()
        }
        await store.close()
    }

    @Test(.enabled(if: ProcessInfo.processInfo.environment["PBCTL_RECORD"] == "1"))
    func recordThePresentFormat() async throws {
        let target = Self.fixture(StoreSchema.current.version)
        guard !FileManager.default.fileExists(atPath: target) else { return }
        try await Self.record(scratch.path)
        let script = """
            import os, sqlite3, sys
            c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA journal_mode = DELETE')
            c.execute('PRAGMA page_size = 512'); c.execute('VACUUM'); c.close()
            os.makedirs(os.path.dirname(sys.argv[2]), exist_ok=True); os.rename(sys.argv[1], sys.argv[2])
            """
        try OtherProgram.run(script, scratch("state.db"), target)
    }

    private func check(_ store: ControlStore) async throws {
        let (living, deleted) = try Self.specs()
        let stored = StoredDeployment(
            spec: living, condition: Sample.condition, desiredReplicaCount: 2, memory: Self.memory)
        let all = try await store.deployments(includingDeleted: true)
        #expect(all.first == stored && all.last?.spec == deleted && all.count == 2)
        #expect(all.last?.deletedAt == Timestamp(milliseconds: 4))
        #expect(try await store.revisions(of: living.id).map(\.config.maxReplicas) == [3, 9])
        let events = try await store.events()
        #expect(events.map(\.reason) == ["Created", "Created", "Updated"] && events.map(\.number) == [1, 2, 3])
        #expect(events[0].data == JSONObject([("count", 3)]))
        #expect(try await store.replicas(of: living.id) == [try Self.replica])
        #expect(try await store.setting("owner") == "somebody")
        let clock = ManualClock(Self.begin + 3 * 900_000 + 60_000)
        let history = MetricsHistory(store: store, clock: clock)
        let points = try await history.figures(
            living.name, scope: .adapter("sql"), from: Timestamp(milliseconds: Self.begin), to: clock.now(),
            step: .seconds(900))
        #expect(points.map(\.requestCount) == [1, 1, 1, 1] && points.map(\.generatedTokenCount) == [7, 7, 7, 7])
        #expect(points[0].inference?.mean == .milliseconds(200))
    }

    @Test func everyEarlierFormatIsReadInFull() async throws {
        for version in 1...StoreSchema.current.version {
            let folder = scratch("v\(version)")
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
            try FileManager.default.copyItem(atPath: Self.fixture(version), toPath: folder + "/state.db")
            let store = try await ControlStore.open(folder: folder)
            try await check(store)
            await store.close()
        }
    }

    @Test func theFirstFormatSurvivesAFurtherMigration() async throws {
        try FileManager.default.copyItem(atPath: Self.fixture(1), toPath: scratch("state.db"))
        var schema = StoreSchema.current
        let next = schema.version + 1
        let statements = """
            ALTER TABLE deployments ADD COLUMN tenant TEXT NOT NULL DEFAULT 'own';
            CREATE INDEX events_by_moment ON events (at);
            """
        schema.migrations.append(StoreMigration(version: next, statements: statements))
        let store = try await ControlStore.open(folder: scratch.path, schema: schema)
        try await check(store)
        #expect(try scratch.files().contains("state.db.before-v\(next)"))
        await store.close()
    }
}
