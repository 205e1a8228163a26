import GRDB

extension ControlStore {
    /// A setting of the server itself (its identity towards launchers); nil where it was never set.
    package func setting(_ key: String) async throws(StoreError) -> String? {
        try await read("read setting \(key)") { database in
            try String.fetchOne(database, sql: "SELECT value FROM settings WHERE key = ?", arguments: [key])
        }
    }

    /// Sets a setting; nil removes it.
    package func set(_ key: String, to value: String?) async throws(StoreError) {
        try await write("write setting \(key)") { database in
            if let value {
                try database.execute(
                    sql: "INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = ?",
                    arguments: [key, value, value])
            } else {
                try database.execute(sql: "DELETE FROM settings WHERE key = ?", arguments: [key])
            }
        }
    }

    /// A setting, or `proposal`, which is kept, where it was never set. Of several who ask at once all get the same.
    package func setting(_ key: String, orKeep proposal: String) async throws(StoreError) -> String {
        try await write("write setting \(key)") { database in
            try database.execute(
                sql: "INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO NOTHING",
                arguments: [key, proposal])
            return try String.fetchOne(database, sql: "SELECT value FROM settings WHERE key = ?", arguments: [key])
                ?? proposal
        }
    }

    /// Drops what is beyond the bounds on history: the oldest events, and the deployments deleted longest ago with all
    /// that belongs to them. To be called now and then, as once an hour.
    package func prune() async throws(StoreError) {
        try await write("drop old history") { [self] database in
            try pruneEvents(database)
            try database.execute(
                sql: """
                    DELETE FROM deployments WHERE id IN (
                        SELECT id FROM deployments WHERE deleted IS NOT NULL
                        ORDER BY deleted DESC, id DESC LIMIT -1 OFFSET ?)
                    """, arguments: [limits.deletedDeployments])
        }
    }
}
