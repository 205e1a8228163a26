package import Deployments
import GRDB
import ServingJSON

extension ControlStore {
    /// Records events and gives them with their numbers, which ascend over all deployments without a gap.
    /// - Throws: `.notFound` where one is of a deployment that isn't there; none is recorded then.
    @discardableResult
    package func append(_ events: [DeploymentEvent]) async throws(StoreError) -> [DeploymentEvent] {
        guard !events.isEmpty else { return [] }
        return try await change("record events") { [self] database in
            for id in Set(events.map(\.deploymentID)) where try !exists(id, database) {
                throw missing("deployment \(id)")
            }
            let numbered = try insert(events, database)
            return StoreChange(value: numbered, events: numbered)
        }
    }

    /// Events of one deployment, or of all with nil.
    ///
    /// - Parameters:
    ///   - after: only those with a higher number.
    ///   - limit: at most so many: the first after `after`, or with `newestFirst` the last there are.
    package func events(
        of id: String? = nil, after: Int64 = 0, limit: Int = 1000, newestFirst: Bool = false
    ) async throws(StoreError) -> [DeploymentEvent] {
        guard limit > 0 else { return [] }
        return try await read("read events") { [self] database in
            let rows = try Row.fetchCursor(
                database,
                sql: """
                    SELECT * FROM events WHERE number > :after \(id == nil ? "" : "AND deployment_id = :id")
                    ORDER BY number \(newestFirst ? "DESC" : "ASC") LIMIT :limit
                    """,
                arguments: id.map { ["after": after, "limit": limit, "id": $0] } ?? ["after": after, "limit": limit])
            var events: [DeploymentEvent] = []
            while let row = try rows.next() { events.append(try event(row)) }
            return events
        }
    }

    private func event(_ row: Row) throws -> DeploymentEvent {
        do { return try DeploymentEvent(row) } catch {
            throw unreadable("event \(row["number"] as Int64? ?? 0)", error)
        }
    }

    /// Inserts events in a transaction of the caller's, and drops the oldest beyond the bounds.
    func insert(_ events: [DeploymentEvent], _ database: Database) throws -> [DeploymentEvent] {
        guard !events.isEmpty else { return [] }
        var numbered = events
        for index in numbered.indices {
            let event = numbered[index]
            try database.cachedStatement(
                sql: """
                    INSERT INTO events (deployment_id, deployment, at, severity, reason, message, data)
                    VALUES (?, ?, ?, ?, ?, ?, ?)
                    """
            ).execute(arguments: [
                event.deploymentID, event.deployment.text, event.at.milliseconds, event.severity.rawValue, event.reason,
                event.message, event.data.storedText,
            ])
            numbered[index].number = database.lastInsertedRowID
        }
        for id in Set(events.map(\.deploymentID)) {
            try database.cachedStatement(
                sql: """
                    DELETE FROM events WHERE deployment_id = :id AND number <= (
                        SELECT number FROM events WHERE deployment_id = :id ORDER BY number DESC LIMIT 1 OFFSET :kept)
                    """
            ).execute(arguments: ["id": id, "kept": limits.eventsPerDeployment])
        }
        // Counting them all takes some milliseconds: only where a thousand's border is crossed.
        if let first = numbered.first?.number, let last = numbered.last?.number, first / 1000 != (last + 1) / 1000 {
            try pruneEvents(database)
        }
        return numbered
    }

    /// Drops the oldest events beyond the bound on all.
    func pruneEvents(_ database: Database) throws {
        let count = try Int.fetchOne(database, sql: "SELECT count(*) FROM events") ?? 0
        guard count > limits.events else { return }
        try database.execute(
            sql: "DELETE FROM events WHERE number IN (SELECT number FROM events ORDER BY number LIMIT ?)",
            arguments: [count - limits.events])
    }
}

extension DeploymentEvent {
    init(_ row: Row) throws {
        let name: String = row["deployment"]
        let severity: String = row["severity"]
        guard let data = try JSONValue(stored: row["data"]).objectValue else {
            throw StoredFormError(field: "event.data", expected: "an object")
        }
        self.init(
            deploymentID: row["deployment_id"], deployment: try DeploymentName(name),
            at: Timestamp(milliseconds: row["at"]), severity: Severity(rawValue: severity) ?? .normal,
            reason: row["reason"], message: row["message"], data: data, number: row["number"])
    }
}
