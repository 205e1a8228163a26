import Deployments
import FoundationEssentials
import GRDB

extension MetricsHistory {
    /// Writes buckets, adds up the minutes and quarter hours that are over, and drops what is too old, all or nothing.
    ///
    /// Writing the same buckets again changes nothing.
    func save(
        _ buckets: [MetricsKey: MetricsBucket], closedThrough: Int64, now: Timestamp
    ) async throws(StoreError) {
        try await store.write("write metrics") { [part, limits] database in
            let table = MetricsTable(database: database)
            for (key, bucket) in buckets { try table.insert(bucket, key, .tenSeconds, part: part) }
            // Buckets before `closedThrough` are all on disk now, and none will be added to.
            let minutes = try table.rollUp(.tenSeconds, into: .minute, before: closedThrough)
            let isQuarterOver = try table.rollUp(.minute, into: .quarterHour, before: minutes.through).didAdvance
            for resolution in MetricsResolution.allCases {
                try table.drop(resolution, before: now - resolution.retention)
                if isQuarterOver { try table.drop(resolution, beyond: limits.rowsPerResolution) }
            }
        }
    }
}

extension Timestamp {
    static func - (moment: Timestamp, duration: Duration) -> Timestamp { moment + (.zero - duration) }
}

/// Statements on the table of metrics, within a transaction of the caller's.
struct MetricsTable {
    let database: Database

    func insert(_ bucket: MetricsBucket, _ key: MetricsKey, _ resolution: MetricsResolution, part: Int64) throws {
        try database.cachedStatement(
            sql: """
                INSERT OR REPLACE INTO metrics (resolution, deployment, scope, start, part, figures)
                VALUES (?, ?, ?, ?, ?, ?)
                """
        ).execute(arguments: [
            resolution.rawValue, key.deployment.text, key.scope.stored, key.start, part,
            Data(bucket.stored),
        ])
    }

    /// Up to when buckets of a resolution were made from finer ones.
    func progress(_ resolution: MetricsResolution) throws -> Int64 {
        try Int64.fetchOne(
            database, sql: "SELECT value FROM settings WHERE key = ?", arguments: [resolution.progressKey]) ?? .min
    }

    /// Adds up the finer buckets of the stretches that are over and weren't added up yet. Says how far it is now.
    func rollUp(
        _ finer: MetricsResolution, into coarser: MetricsResolution, before end: Int64
    ) throws -> (through: Int64, didAdvance: Bool) {
        let from = try progress(coarser)
        let through = coarser.start(of: end)
        guard through > from else { return (from, false) }
        var sums: [MetricsKey: MetricsBucket] = [:]
        try each(finer, from: from, to: through) { key, _, bucket in
            var key = key
            key.start = coarser.start(of: key.start)
            sums[key, default: MetricsBucket()].merge(bucket)
        }
        for (key, bucket) in sums { try insert(bucket, key, coarser, part: 0) }
        try database.execute(
            sql: "INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)",
            arguments: [coarser.progressKey, String(through)])
        return (through, true)
    }

    /// Gives each bucket of a resolution that starts in a range, with its part, in no particular order.
    ///
    /// A row that can't be read (of a form that a later pbctl made up) is passed over: it must not stop all that come
    /// after.
    func each(
        _ resolution: MetricsResolution, deployment: DeploymentName? = nil, scope: MetricsScope? = nil, from: Int64,
        to: Int64, _ body: (MetricsKey, Int64, MetricsBucket) throws -> Void
    ) throws {
        guard from < to else { return }
        var condition = "resolution = :resolution AND start >= :from AND start < :to"
        var arguments: StatementArguments = ["resolution": resolution.rawValue, "from": from, "to": to]
        if let deployment {
            condition += " AND deployment = :deployment"
            arguments += ["deployment": deployment.text]
        }
        if let scope {
            condition += " AND scope = :scope"
            arguments += ["scope": scope.stored]
        }
        let statement = try database.cachedStatement(
            sql: "SELECT deployment, scope, start, part, figures FROM metrics WHERE \(condition)")
        let rows = try Row.fetchCursor(statement, arguments: arguments)
        while let row = try rows.next() {
            guard let scope = MetricsScope(stored: row[1]), let name = try? DeploymentName(row[0]),
                let bucket = MetricsBucket(stored: [UInt8](row[4] as Data))
            else { continue }
            try body(MetricsKey(deployment: name, scope: scope, start: row[2]), row[3], bucket)
        }
    }

    func drop(_ resolution: MetricsResolution, before moment: Timestamp) throws {
        try database.cachedStatement(sql: "DELETE FROM metrics WHERE resolution = ? AND start < ?")
            .execute(arguments: [resolution.rawValue, moment.milliseconds])
    }

    func drop(_ resolution: MetricsResolution, beyond limit: Int) throws {
        try database.execute(
            sql: """
                DELETE FROM metrics WHERE resolution = :resolution AND start <= (
                    SELECT start FROM metrics WHERE resolution = :resolution ORDER BY start DESC LIMIT 1 OFFSET :limit)
                """, arguments: ["resolution": resolution.rawValue, "limit": limit])
    }
}
