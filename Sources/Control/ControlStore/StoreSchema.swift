import GRDB

/// One step of the database's format.
package struct StoreMigration: Sendable, Hashable {
    /// From 1, without gaps.
    package var version: Int
    package var statements: String

    package init(version: Int, statements: String) {
        self.version = version
        self.statements = statements
    }
}

/// The database's format: the steps that lead to it. A step that was ever released is never edited; a change is a new
/// one.
package struct StoreSchema: Sendable {
    package var migrations: [StoreMigration]

    package init(migrations: [StoreMigration]) { self.migrations = migrations }

    /// The format of this pbctl.
    package static let current = StoreSchema(migrations: [version1])

    /// Marks the file as pbctl's ("pbct").
    package static let applicationID = 0x7062_6374
    /// Highest version that copies are looked for of.
    static let highestVersion = 99

    package var version: Int { migrations.last?.version ?? 0 }

    var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        for migration in migrations {
            migrator.registerMigration("v\(migration.version)") { database in
                try database.execute(sql: migration.statements)
                try database.execute(sql: "PRAGMA user_version = \(migration.version)")
            }
        }
        return migrator
    }

    /// Moments are milliseconds since 1970. Names are free again once their deployment is deleted. `api_keys` and
    /// `adapters` are places for what comes; nothing writes them yet.
    private static let version1 = StoreMigration(
        version: 1,
        statements: """
            PRAGMA application_id = \(applicationID);
            CREATE TABLE deployments (
                id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, spec TEXT NOT NULL, generation INTEGER NOT NULL,
                revision INTEGER NOT NULL, intent TEXT NOT NULL, condition TEXT, desired INTEGER NOT NULL,
                memory TEXT NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL, deleted INTEGER
            );
            CREATE UNIQUE INDEX deployments_by_name ON deployments (name) WHERE deleted IS NULL;
            CREATE INDEX deployments_by_deletion ON deployments (deleted) WHERE deleted IS NOT NULL;
            CREATE TABLE revisions (
                deployment_id TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE, number INTEGER NOT NULL,
                config TEXT NOT NULL, cause TEXT NOT NULL, created INTEGER NOT NULL, PRIMARY KEY (deployment_id, number)
            );
            CREATE TABLE events (
                number INTEGER PRIMARY KEY AUTOINCREMENT,
                deployment_id TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE, deployment TEXT NOT NULL,
                at INTEGER NOT NULL, severity TEXT NOT NULL, reason TEXT NOT NULL, message TEXT NOT NULL,
                data TEXT NOT NULL
            );
            CREATE INDEX events_by_deployment ON events (deployment_id, number);
            CREATE TABLE replicas (
                id TEXT NOT NULL PRIMARY KEY,
                deployment_id TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
                template_mark TEXT NOT NULL, revision INTEGER NOT NULL, launched INTEGER NOT NULL, ready INTEGER,
                ended INTEGER, exit TEXT
            );
            CREATE INDEX replicas_by_deployment ON replicas (deployment_id, launched);
            CREATE TABLE metrics (
                resolution INTEGER NOT NULL, deployment TEXT NOT NULL, scope TEXT NOT NULL, start INTEGER NOT NULL,
                part INTEGER NOT NULL, figures BLOB NOT NULL,
                PRIMARY KEY (resolution, deployment, scope, start, part)
            ) WITHOUT ROWID;
            CREATE INDEX metrics_by_start ON metrics (resolution, start);
            CREATE TABLE api_keys (
                id TEXT NOT NULL PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL, hash BLOB NOT NULL UNIQUE,
                scopes TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER, revoked INTEGER
            );
            CREATE TABLE adapters (
                id TEXT NOT NULL PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,
                source TEXT NOT NULL, data TEXT NOT NULL, created INTEGER NOT NULL, deleted INTEGER,
                UNIQUE (tenant, name, version)
            );
            CREATE TABLE settings (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL);
            """)
}
