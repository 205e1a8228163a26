import ControlStore
import Deployments
import Foundation
import ServingJSON
import Testing

@Suite struct StoreOpeningTests {
    private let scratch: ScratchFolder

    init() throws { scratch = try ScratchFolder() }

    private func code(_ folder: String, busyTimeout: Duration = .seconds(5)) async -> StoreError? {
        await #expect(throws: StoreError.self) {
            _ = try await ControlStore.open(folder: folder, busyTimeout: busyTimeout)
        }
    }

    /// Makes a store with a deployment and gives its spec. Its copy is made too.
    @discardableResult
    private func makeStore(_ folder: String) async throws -> DeploymentSpec {
        let store = try await ControlStore.open(folder: folder)
        let spec = try Sample.spec("chat")
        try await store.insert(spec, event: Sample.event(spec, "Created"))
        try await store.backUp()
        await store.close()
        return spec
    }

    @Test func filesAreForTheirOwnerOnly() async throws {
        let folder = scratch("deep/er/state")
        let store = try await ControlStore.open(folder: folder + "/")
        try await store.insert(try Sample.spec("chat"))
        try await store.backUp()
        #expect(try scratch.permissions("deep/er/state") == 0o700)
        for name in ["state.db", "state.db-wal", "state.db-shm", "state.db.backup"] {
            #expect(try scratch.permissions("deep/er/state/" + name) == 0o600, "\(name)")
        }
        await store.close()
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: folder + "/state.db")
        await (try ControlStore.open(folder: folder)).close()
        #expect(try scratch.permissions("deep/er/state/state.db") == 0o600)
    }

    @Test func whatWasAnsweredIsThereAfterACrash() async throws {
        let store = try await ControlStore.open(folder: scratch("state"))
        for index in 0..<20 {
            let spec = try Sample.spec("chat-\(index)")
            try await store.insert(spec, event: Sample.event(spec, "Created"))
        }
        // The files as a killed process leaves them: nothing was closed or moved from the log to the database.
        try FileManager.default.createDirectory(atPath: scratch("copy"), withIntermediateDirectories: false)
        for name in ["state.db", "state.db-wal"] {
            try FileManager.default.copyItem(atPath: scratch("state/" + name), toPath: scratch("copy/" + name))
        }
        let copy = try await ControlStore.open(folder: scratch("copy"))
        let (expected, found) = (try await store.deployments(), try await copy.deployments())
        #expect(found == expected && found.count == 20)
        #expect(try await copy.events().count == 20)
    }

    @Test func aTornLogLosesOnlyWhatWasNotAnswered() async throws {
        let store = try await ControlStore.open(folder: scratch("state"))
        try await store.insert(try Sample.spec("first"))
        let logSize = try scratch.bytes("state/state.db-wal").count
        try await store.insert(try Sample.spec("second"))
        let log = try scratch.bytes("state/state.db-wal")
        try FileManager.default.createDirectory(atPath: scratch("copy"), withIntermediateDirectories: false)
        try scratch.write(try scratch.bytes("state/state.db"), to: "copy/state.db")
        try scratch.write(Array(log[..<(logSize + (log.count - logSize) / 2)]), to: "copy/state.db-wal")
        let copy = try await ControlStore.open(folder: scratch("copy"))
        #expect(try await copy.deployments().map(\.spec.name.text) == ["first"])
    }

    @Test func aHalfMadeDatabaseIsMadeAnew() async throws {
        try scratch.write(Array("half".utf8), to: "state.db.new")
        let store = try await ControlStore.open(folder: scratch.path)
        #expect(try await store.deployments().isEmpty)
    }

    @Test(arguments: ["header", "middle", "page", "empty", "text", "short", "missing"])
    func damageIsNamedWithTheWayBackAndNothingIsDeleted(_ kind: String) async throws {
        let spec = try await makeStore(scratch.path)
        var bytes = try scratch.bytes("state.db")
        switch kind {
        case "header": for index in 0..<64 { bytes[index] ^= 0xFF }
        case "middle": for index in 4096..<bytes.count { bytes[index] ^= 0x5A }
        // One page that nothing reads at a start, so that only the check can find it.
        case "page": for index in (bytes.count - 4096)..<(bytes.count - 4088) { bytes[index] ^= 0xFF }
        case "empty": bytes = []
        case "text": bytes = Array(String(repeating: "This is no database. ", count: 100).utf8)
        case "short": bytes = Array(bytes.prefix(bytes.count / 2))
        default: break
        }
        if kind == "missing" {
            try FileManager.default.removeItem(atPath: scratch("state.db"))
        } else {
            try scratch.write(bytes, to: "state.db")
        }
        let before = try scratch.files()
        let error = await code(scratch.path)
        let message = try #require(error?.message)
        #expect(error?.code == .corrupt && error?.isRetryable == false, "\(message)")
        #expect(message.contains(scratch("state.db")) && message.contains("state.db.backup"))
        #expect(try scratch.files().isSuperset(of: before))
        if kind != "missing" { #expect(try scratch.bytes("state.db") == bytes) }
        // The commands of the message bring it back.
        let commands = message.split(separator: "\n").dropFirst().joined(separator: "\n")
        try OtherProgram.run("import subprocess, sys; subprocess.run(['sh', '-ec', sys.argv[1]], check=True)", commands)
        let store = try await ControlStore.open(folder: scratch.path)
        #expect(try await store.deployment(id: spec.id)?.spec == spec)
    }

    @Test func withoutASoundCopyItSaysHowToBeginAnew() async throws {
        try await makeStore(scratch.path)
        try scratch.write([1, 2, 3], to: "state.db")
        try scratch.write([4, 5, 6], to: "state.db.backup")
        let error = await code(scratch.path)
        #expect(error?.code == .corrupt && error?.message.contains("no sound copy") == true)
        #expect(try scratch.bytes("state.db") == [1, 2, 3] && scratch.bytes("state.db.backup") == [4, 5, 6])
    }

    @Test func anotherProgramsDatabaseIsLeftAlone() async throws {
        try OtherProgram.run(
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('CREATE TABLE t (a)'); c.commit()",
            scratch("state.db"))
        let bytes = try scratch.bytes("state.db")
        let error = await code(scratch.path)
        #expect(error?.code == .corrupt && error?.message.contains("another program") == true)
        #expect(try scratch.bytes("state.db") == bytes)
    }

    @Test func aNewerFormatIsRefusedByNumber() async throws {
        try await makeStore(scratch.path)
        var schema = StoreSchema.current
        let next = schema.version + 1
        schema.migrations.append(StoreMigration(version: next, statements: "CREATE TABLE later (a);"))
        let newer = try await ControlStore.open(folder: scratch.path, schema: schema)
        await newer.close()
        let bytes = try scratch.bytes("state.db")
        let error = await code(scratch.path)
        #expect(error?.code == .newerVersion && error?.message.contains("format \(next)") == true)
        #expect(try scratch.bytes("state.db") == bytes)
    }

    @Test func aMigrationKeepsACopyAndAllThereIs() async throws {
        let spec = try await makeStore(scratch.path)
        var schema = StoreSchema.current
        let next = schema.version + 1
        schema.migrations.append(
            StoreMigration(version: next, statements: "ALTER TABLE deployments ADD COLUMN colour TEXT;"))
        let store = try await ControlStore.open(folder: scratch.path, schema: schema)
        #expect(try await store.deployment(id: spec.id)?.spec == spec)
        await store.close()
        try FileManager.default.createDirectory(atPath: scratch("old"), withIntermediateDirectories: false)
        try scratch.write(try scratch.bytes("state.db.before-v\(next)"), to: "old/state.db")
        let old = try await ControlStore.open(folder: scratch("old"))
        #expect(try await old.deployment(id: spec.id)?.spec == spec)
    }

    @Test func aMigrationThatFailsChangesNothing() async throws {
        let spec = try await makeStore(scratch.path)
        var schema = StoreSchema.current
        let statements = "CREATE TABLE later (a); UPDATE deployments SET spec = '{}'; SELECT nonsense;"
        schema.migrations.append(StoreMigration(version: schema.version + 1, statements: statements))
        let error = await #expect(throws: StoreError.self) {
            _ = try await ControlStore.open(folder: scratch.path, schema: schema)
        }
        #expect(error?.code == .failed)
        let store = try await ControlStore.open(folder: scratch.path)
        #expect(try await store.deployment(id: spec.id)?.spec == spec)
    }

    @Test func aProgramThatKeepsTheFileLockedIsSaidToAfterTheTimeout() async throws {
        try await makeStore(scratch.path)
        let script = """
            import sqlite3, sys
            c = sqlite3.connect(sys.argv[1], isolation_level=None)
            c.execute('PRAGMA locking_mode = EXCLUSIVE'); c.execute('BEGIN EXCLUSIVE')
            c.execute("INSERT INTO settings VALUES ('a', 'b')"); print('ready', flush=True); sys.stdin.read()
            """
        let other = try OtherProgram(script, scratch("state.db"))
        let error = await code(scratch.path, busyTimeout: .milliseconds(50))
        #expect(error?.code == .busy && error?.isRetryable == true && error?.message.contains("locked") == true)
        other.kill()
        let store = try await ControlStore.open(folder: scratch.path)
        #expect(try await store.deployments().count == 1)
        #expect(try await store.setting("a") == nil)
    }

    @Test func aWriteThatMeetsALockCanBeRepeated() async throws {
        let store = try await ControlStore.open(folder: scratch.path, busyTimeout: .milliseconds(50))
        let script = """
            import sqlite3, sys
            c = sqlite3.connect(sys.argv[1], isolation_level=None)
            c.execute('BEGIN IMMEDIATE'); print('ready', flush=True); sys.stdin.read()
            """
        let other = try OtherProgram(script, scratch("state.db"))
        let spec = try Sample.spec("chat")
        let error = await #expect(throws: StoreError.self) { try await store.insert(spec) }
        #expect(error?.code == .busy && error?.isRetryable == true)
        #expect(try await store.deployments().isEmpty)
        other.kill()
        try await store.insert(spec)
        #expect(try await store.deployments().count == 1)
    }

    @Test func placesThatCannotBeAreNamed() async throws {
        try scratch.write([1], to: "file")
        #expect(await code(scratch("file"))?.code == .cannotOpen)
        #expect(await code(scratch("file/below"))?.code == .cannotOpen)
        try FileManager.default.createDirectory(atPath: scratch("s/state.db"), withIntermediateDirectories: true)
        #expect(await code(scratch("s")) != nil)
    }

    @Test func aRowThatCannotBeReadIsNamed() async throws {
        let spec = try await makeStore(scratch.path)
        try OtherProgram.run(
            """
            import sqlite3, sys; c = sqlite3.connect(sys.argv[1])
            c.execute("UPDATE deployments SET spec = '{'"); c.commit()
            """, scratch("state.db"))
        let store = try await ControlStore.open(folder: scratch.path)
        let error = await #expect(throws: StoreError.self) { try await store.deployments() }
        #expect(error?.code == .corrupt && error?.message.contains(spec.id) == true)
    }

    @Test func aCopyIsMadeOnceADay() async throws {
        let store = try await ControlStore.open(folder: scratch.path)
        try await store.backUp()
        let modified = try #require(
            try FileManager.default.attributesOfItem(atPath: scratch("state.db.backup"))[.modificationDate] as? Date)
        let made = Timestamp(milliseconds: Int64(modified.timeIntervalSince1970 * 1000))
        #expect(try await !store.backUpIfDue(now: made + .seconds(23 * 3600)))
        #expect(try await store.backUpIfDue(now: made + .seconds(25 * 3600)))
        #expect(try scratch.files().contains("state.db.backup.new") == false)
    }
}
