import Deployments
import GRDB
import ServingJSON

extension ControlStore {
    /// The configs that a deployment had, oldest first; the oldest beyond ``StoreLimits/revisionsPerDeployment`` are
    /// gone.
    package func revisions(of id: String) async throws(StoreError) -> [DeploymentRevision] {
        try await read("read the revisions of \(id)") { [self] database in
            try Row.fetchAll(
                database, sql: "SELECT * FROM revisions WHERE deployment_id = ? ORDER BY number", arguments: [id]
            ).map { try revision($0, of: id) }
        }
    }

    /// One config that a deployment had; nil where there is none of that number.
    package func revision(of id: String, number: Int) async throws(StoreError) -> DeploymentRevision? {
        try await read("read revision \(number) of \(id)") { [self] database in
            try Row.fetchOne(
                database, sql: "SELECT * FROM revisions WHERE deployment_id = ? AND number = ?",
                arguments: [id, number]
            ).map { try revision($0, of: id) }
        }
    }

    private func revision(_ row: Row, of id: String) throws -> DeploymentRevision {
        do { return try DeploymentRevision(row) } catch {
            throw unreadable("revision \(row["number"] as Int? ?? 0) of deployment \(id)", error)
        }
    }

    /// Records a spec's config under its number, in a transaction of the caller's.
    func insertRevision(of spec: DeploymentSpec, cause: String, at: Timestamp, _ database: Database) throws {
        try database.execute(
            sql: "INSERT INTO revisions (deployment_id, number, config, cause, created) VALUES (?, ?, ?, ?, ?)",
            arguments: [
                spec.id, spec.revision, spec.config.storedJSON.storedText, cause, at.milliseconds,
            ])
        try database.execute(
            sql: """
                DELETE FROM revisions WHERE deployment_id = :id AND number <= (
                    SELECT number FROM revisions WHERE deployment_id = :id ORDER BY number DESC LIMIT 1 OFFSET :kept)
                """,
            arguments: ["id": spec.id, "kept": limits.revisionsPerDeployment])
    }
}
