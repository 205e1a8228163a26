package import Deployments
import GRDB
import ServingJSON

extension ControlStore {
    // MARK: Looking

    /// All deployments by name; those of the past after the living one of their name, newest first.
    package func deployments(includingDeleted: Bool = false) async throws(StoreError) -> [StoredDeployment] {
        try await read("read the deployments") { [self] database in
            let condition = includingDeleted ? "" : "WHERE deleted IS NULL"
            let rows = try Row.fetchCursor(
                database,
                sql: "SELECT * FROM deployments \(condition) ORDER BY name, deleted IS NOT NULL, deleted DESC, id")
            var deployments: [StoredDeployment] = []
            while let row = try rows.next() { deployments.append(try deployment(row)) }
            return deployments
        }
    }

    /// The living deployment of a name; nil where there is none.
    package func deployment(named name: DeploymentName) async throws(StoreError) -> StoredDeployment? {
        try await read("read deployment \"\(name)\"") { [self] database in
            try Row.fetchOne(
                database, sql: "SELECT * FROM deployments WHERE name = ? AND deleted IS NULL", arguments: [name.text]
            ).map(deployment)
        }
    }

    /// A deployment by id, also one that is history; nil where there never was one.
    package func deployment(id: String) async throws(StoreError) -> StoredDeployment? {
        try await read("read deployment \(id)") { [self] database in
            try Row.fetchOne(database, sql: "SELECT * FROM deployments WHERE id = ?", arguments: [id]).map(deployment)
        }
    }

    private func deployment(_ row: Row) throws -> StoredDeployment {
        do { return try StoredDeployment(row) } catch {
            throw unreadable("deployment \"\(row["name"] as String? ?? "")\" (id \(row["id"] as String? ?? ""))", error)
        }
    }

    /// The error for a row whose value can't be read: somebody edited it, or a later pbctl wrote it in a form of its
    /// own.
    func unreadable(_ what: String, _ error: any Error) -> StoreError {
        StoreError(
            .corrupt, "\(files.database): can't read \(what): \(error); mend that row with sqlite3, or restore a copy",
            cause: "\(error)")
    }

    // MARK: Changing what owners ask for

    /// Records a new deployment, with its first revision.
    /// - Throws: `.nameTaken` where another that is not deleted has its name.
    package func insert(
        _ spec: DeploymentSpec, condition: DeploymentCondition? = nil, desiredReplicaCount: Int = 0,
        event: DeploymentEvent? = nil
    ) async throws(StoreError) {
        try await change("record deployment \"\(spec.name)\"") { [self] database in
            try requireFree(spec, database)
            try database.execute(
                sql: """
                    INSERT INTO deployments
                    (id, name, spec, generation, revision, intent, condition, desired, memory, created, updated)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, '{}', ?, ?)
                    """,
                arguments: [
                    spec.id, spec.name.text, spec.storedJSON.storedText, spec.generation, spec.revision,
                    spec.intent.rawValue, condition?.storedText, desiredReplicaCount, spec.createdAt.milliseconds,
                    spec.updatedAt.milliseconds,
                ])
            try insertRevision(of: spec, cause: "created", at: spec.createdAt, database)
            return StoreChange(value: (), events: try insert(event.map { [$0] } ?? [], database))
        }
    }

    /// Records a change of a spec, with a revision where its number grew, and events, all or nothing.
    ///
    /// - Parameters:
    ///   - spec: the spec with its new generation.
    ///   - expectedGeneration: the generation that was changed.
    ///   - cause: what made the revision (`updated`, `rolled back to 3`).
    /// - Throws: `.conflict` where the stored spec is of another generation, `.notFound` where there is none or it is
    ///   history.
    package func update(
        _ spec: DeploymentSpec, expectedGeneration: Int, cause: String, events: [DeploymentEvent] = []
    ) async throws(StoreError) {
        try await change("change deployment \"\(spec.name)\"") { [self] database in
            let row = try Row.fetchOne(
                database, sql: "SELECT generation, revision, name FROM deployments WHERE id = ? AND deleted IS NULL",
                arguments: [spec.id])
            guard let row else { throw missing("deployment \"\(spec.name)\" (id \(spec.id))") }
            let generation: Int = row["generation"]
            guard generation == expectedGeneration else {
                throw StoreError(
                    .conflict,
                    "deployment \"\(spec.name)\" was changed meanwhile: generation \(generation), not "
                        + "\(expectedGeneration); look at it again, then repeat the change",
                    actualGeneration: generation)
            }
            guard spec.generation > generation else {
                throw StoreError(.invalid, "deployment \"\(spec.name)\": a change has to raise its generation")
            }
            if spec.name.text != row["name"] { try requireFree(spec, database) }
            try database.execute(
                sql: """
                    UPDATE deployments SET name = ?, spec = ?, generation = ?, revision = ?, intent = ?, updated = ?
                    WHERE id = ?
                    """,
                arguments: [
                    spec.name.text, spec.storedJSON.storedText, spec.generation, spec.revision, spec.intent.rawValue,
                    spec.updatedAt.milliseconds, spec.id,
                ])
            if spec.revision > row["revision"] {
                try insertRevision(of: spec, cause: cause, at: spec.updatedAt, database)
            }
            return StoreChange(value: (), events: try insert(events, database))
        }
    }

    /// Makes a deployment history: it keeps its row, events and replicas, and its name is free again. Repeating it
    /// changes nothing.
    /// - Throws: `.notFound` where there never was one of that id.
    package func retire(_ id: String, at: Timestamp, event: DeploymentEvent? = nil) async throws(StoreError) {
        try await change("file away deployment \(id)") { [self] database in
            let condition = DeploymentCondition(.deleted, reason: "Deleted", message: "kept as history")
            try database.execute(
                sql: """
                    UPDATE deployments SET deleted = ?, condition = ?, desired = 0 WHERE id = ? AND deleted IS NULL
                    """, arguments: [at.milliseconds, condition.storedText, id])
            guard database.changesCount > 0 else {
                guard try exists(id, database) else { throw missing("deployment \(id)") }
                return StoreChange(value: ())
            }
            return StoreChange(value: (), events: try insert(event.map { [$0] } ?? [], database))
        }
    }

    private func requireFree(_ spec: DeploymentSpec, _ database: Database) throws {
        let holder = try String.fetchOne(
            database, sql: "SELECT id FROM deployments WHERE name = ? AND deleted IS NULL", arguments: [spec.name.text])
        guard holder == nil else {
            throw StoreError(.nameTaken, "there is a deployment \"\(spec.name)\" already; choose another name")
        }
    }

    func missing(_ what: String) -> StoreError {
        StoreError(.notFound, "there is no \(what), or it is history")
    }

    func exists(_ id: String, _ database: Database) throws -> Bool {
        try Bool.fetchOne(database, sql: "SELECT EXISTS (SELECT 1 FROM deployments WHERE id = ?)", arguments: [id])
            ?? false
    }

    // MARK: Writing how far the control plane got

    /// Writes progress of many deployments, events and replicas in one transaction. Specs are left as they are.
    ///
    /// What is of a deployment that isn't there or, but for events and replicas, is history is passed over: it was
    /// deleted while this was on its way, and must not hold up the others.
    package func saveProgress(
        _ progress: [DeploymentProgress], events: [DeploymentEvent] = [], replicas: [ReplicaRecord] = []
    ) async throws(StoreError) {
        try await change("write the progress of deployments") { [self] database in
            for item in progress {
                try database.cachedStatement(
                    sql: """
                        UPDATE deployments SET condition = ?, desired = ?, memory = ? WHERE id = ? AND deleted IS NULL
                        """
                ).execute(arguments: [
                    item.condition.storedText, item.desiredReplicaCount, item.memory.storedJSON.storedText, item.id,
                ])
            }
            var known: [String: Bool] = [:]
            for id in Set(events.map(\.deploymentID) + replicas.map(\.deploymentID)) {
                known[id] = try exists(id, database)
            }
            for replica in replicas where known[replica.deploymentID] == true { try upsert(replica, database) }
            let events = try insert(events.filter { known[$0.deploymentID] == true }, database)
            return StoreChange(value: (), events: events)
        }
    }

    /// Writes progress of one deployment.
    package func saveProgress(
        _ id: String, condition: DeploymentCondition, desiredReplicaCount: Int, memory: DeploymentMemory,
        events: [DeploymentEvent] = []
    ) async throws(StoreError) {
        let progress = DeploymentProgress(
            id: id, condition: condition, desiredReplicaCount: desiredReplicaCount, memory: memory)
        try await saveProgress([progress], events: events)
    }
}
