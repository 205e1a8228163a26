import Deployments
import Dispatch
import GRDB

extension ControlStore {
    /// Opens the store of a folder, or makes one where there is none.
    ///
    /// What is there is checked first, and copied before its format is changed. Nothing is written to a file that is
    /// damaged, of a newer pbctl or another program's. A copy of the state is made in the background.
    ///
    /// - Parameter busyTimeout: how long to wait for another program's lock, here and in later calls.
    package static func open(
        folder: String, busyTimeout: Duration = .seconds(5), schema: StoreSchema = .current,
        limits: StoreLimits = StoreLimits()
    ) async throws(StoreError) -> ControlStore {
        var folder = folder
        while folder.utf8.count > 1, folder.hasSuffix("/") { folder.removeLast() }
        let opening = StoreOpening(
            files: StoreFiles(folder: folder), busyTimeout: max(0, busyTimeout.inSeconds), schema: schema)
        let result = await withCheckedContinuation { done in
            DispatchQueue.global().async {
                done.resume(returning: Result { () throws(StoreError) in try opening.pool() })
            }
        }
        let store = ControlStore(files: opening.files, pool: try result.get(), limits: limits)
        store.startBackup()
        return store
    }
}

/// Opens the database step by step.
struct StoreOpening: Sendable {
    let files: StoreFiles
    /// Seconds.
    let busyTimeout: Double
    let schema: StoreSchema

    func pool() throws(StoreError) -> DatabasePool {
        try files.makeFolder()
        if StoreFiles.size(of: files.database) == nil { try create() }
        // SQLite takes an empty file for a new database; pbctl never leaves one.
        if StoreFiles.size(of: files.database) == 0 { throw files.damage("the file is empty") }
        files.makePrivate()
        let version = try inspect()
        guard version <= schema.version else {
            throw StoreError(
                .newerVersion,
                "\(files.database): written by a newer pbctl (format \(version), this one knows \(schema.version)); "
                    + "install that pbctl, or keep the state of this one in another folder (PBCTL_HOME)")
        }
        if version < schema.version {
            try copyDatabase(
                to: files.copyBefore(version: schema.version), "copy the state before an upgrade of its format")
        }
        return try attempt("open the state") {
            let pool = try DatabasePool(path: files.database, configuration: configuration)
            try schema.migrator.migrate(pool)
            try pool.writeWithoutTransaction { database in
                // GRDB asks for NORMAL, which may lose the last changes in a power cut.
                try database.execute(sql: "PRAGMA synchronous = FULL")
                // What a burst made the log grow to is given back, all but 16 MiB.
                try database.execute(sql: "PRAGMA journal_size_limit = 16777216")
            }
            files.makePrivate()
            return pool
        }
    }

    private var configuration: Configuration {
        var configuration = Configuration()
        configuration.busyMode = .timeout(busyTimeout)
        configuration.foreignKeysEnabled = true
        configuration.label = "pbctl.store"
        return configuration
    }

    /// Makes a new database beside its place and moves it there when it is whole.
    private func create() throws(StoreError) {
        guard files.copies.isEmpty, StoreFiles.size(of: files.log) == nil else {
            throw files.damage("the file is missing, though what belongs to it is there")
        }
        try files.makePrivateFile(files.unfinished)
        try attempt("make the state") {
            let queue = try DatabaseQueue(path: files.unfinished, configuration: configuration)
            try schema.migrator.migrate(queue)
            try queue.close()
        }
        try files.install(files.unfinished, as: files.database)
    }

    /// The version of the database, which is pbctl's and sound.
    private func inspect() throws(StoreError) -> Int {
        var configuration = configuration
        configuration.readonly = true
        let (application, version, check) = try attempt("read the state") {
            let queue = try DatabaseQueue(path: files.database, configuration: configuration)
            defer { try? queue.close() }
            return try queue.read { database in
                let application = try Int.fetchOne(database, sql: "PRAGMA application_id") ?? 0
                let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
                let check = try String.fetchOne(database, sql: "PRAGMA quick_check(1)") ?? "no answer"
                return (application, version, check)
            }
        }
        guard check == "ok" else { throw files.damage(check) }
        guard application == StoreSchema.applicationID else {
            throw files.damage("it is a database of another program")
        }
        return version
    }

    /// Copies the database as it is now, in the place of an older copy.
    func copyDatabase(to target: String, _ action: String) throws(StoreError) {
        let temporary = target + ".new"
        try files.makePrivateFile(temporary)
        try attempt(action) {
            let queue = try DatabaseQueue(path: files.database, configuration: configuration)
            defer { try? queue.close() }
            try queue.vacuum(into: temporary)
        }
        try files.install(temporary, as: target)
    }

    private func attempt<Value>(_ action: String, _ body: () throws -> Value) throws(StoreError) -> Value {
        do { return try body() } catch { throw StoreError(error, action: action, files: files) }
    }
}
