import ServiceLifecycle

/// Holds the shutdown of the server back until the requests under way have ended. The last service of the group, so
/// that its turn comes first.
package struct DrainService: Service {
    private let connections: OpenConnections
    private let limit: Duration
    private let drain: @Sendable () async -> Void

    /// A service that waits for `drain`, the end of the requests under way. After `limit` their connections are closed.
    package init(connections: OpenConnections, limit: Duration, drain: @escaping @Sendable () async -> Void) {
        self.connections = connections
        self.limit = limit
        self.drain = drain
    }

    /// Runs until the shutdown is over.
    package func run() async throws {
        try await gracefulShutdown()
        let (connections, limit) = (connections, limit)
        connections.startDraining()
        let patience = Task {
            do { try await Task.sleep(for: limit) } catch { return }
            connections.closeAll()
        }
        await drain()
        patience.cancel()
    }
}
