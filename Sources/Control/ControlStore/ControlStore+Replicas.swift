package import Deployments
import GRDB
import ServingJSON

/// A replica in a deployment's history.
package struct ReplicaRecord: Sendable, Hashable {
    package var id: ReplicaID
    package var deploymentID: String
    package var templateMark: String
    package var revision: Int
    package var launchedAt: Timestamp
    package var readyAt: Timestamp?
    package var endedAt: Timestamp?
    package var exit: ReplicaExit?

    package init(
        id: ReplicaID, deploymentID: String, templateMark: String, revision: Int, launchedAt: Timestamp,
        readyAt: Timestamp? = nil, endedAt: Timestamp? = nil, exit: ReplicaExit? = nil
    ) {
        self.id = id
        self.deploymentID = deploymentID
        self.templateMark = templateMark
        self.revision = revision
        self.launchedAt = launchedAt
        self.readyAt = readyAt
        self.endedAt = endedAt
        self.exit = exit
    }
}

extension ControlStore {
    /// Records a replica, or what is new about one. What an earlier record knew and this one leaves out stays.
    /// - Throws: `.notFound` where its deployment isn't there.
    package func recordReplica(_ replica: ReplicaRecord) async throws(StoreError) {
        try await write("record replica \(replica.id)") { [self] database in
            guard try exists(replica.deploymentID, database) else {
                throw missing("deployment \(replica.deploymentID)")
            }
            try upsert(replica, database)
        }
    }

    /// Replicas that a deployment had, newest first; the oldest ended ones are gone.
    package func replicas(of id: String, limit: Int = 1000) async throws(StoreError) -> [ReplicaRecord] {
        guard limit > 0 else { return [] }
        return try await read("read the replicas of \(id)") { [self] database in
            try Row.fetchAll(
                database,
                sql: "SELECT * FROM replicas WHERE deployment_id = ? ORDER BY launched DESC, id DESC LIMIT ?",
                arguments: [id, limit]
            ).map { row in
                do { return try ReplicaRecord(row) } catch {
                    throw unreadable("replica \(row["id"] as String? ?? "")", error)
                }
            }
        }
    }

    /// Records a replica in a transaction of the caller's.
    func upsert(_ replica: ReplicaRecord, _ database: Database) throws {
        try database.cachedStatement(
            sql: """
                INSERT INTO replicas (id, deployment_id, template_mark, revision, launched, ready, ended, exit)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (id) DO UPDATE SET ready = COALESCE(excluded.ready, ready),
                    ended = COALESCE(excluded.ended, ended), exit = COALESCE(excluded.exit, exit)
                """
        ).execute(arguments: [
            replica.id.text, replica.deploymentID, replica.templateMark, replica.revision,
            replica.launchedAt.milliseconds, replica.readyAt?.milliseconds, replica.endedAt?.milliseconds,
            replica.exit?.storedJSON.storedText,
        ])
        guard replica.endedAt != nil else { return }
        try database.cachedStatement(
            sql: """
                DELETE FROM replicas WHERE id IN (
                    SELECT id FROM replicas WHERE deployment_id = ? AND ended IS NOT NULL
                    ORDER BY launched DESC, id DESC LIMIT -1 OFFSET ?)
                """
        ).execute(arguments: [replica.deploymentID, limits.endedReplicasPerDeployment])
    }
}

extension ReplicaRecord {
    init(_ row: Row) throws {
        self.init(
            id: ReplicaID(row["id"]), deploymentID: row["deployment_id"], templateMark: row["template_mark"],
            revision: row["revision"], launchedAt: Timestamp(milliseconds: row["launched"]))
        readyAt = (row["ready"] as Int64?).map { Timestamp(milliseconds: $0) }
        endedAt = (row["ended"] as Int64?).map { Timestamp(milliseconds: $0) }
        exit = try (row["exit"] as String?).map { try ReplicaExit(stored: JSONValue(stored: $0)) }
    }
}
