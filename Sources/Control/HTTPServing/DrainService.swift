import ServiceLifecycle

/// Holds the shutdown of the server back until the requests under way have ended. The last service of the group, so
/// that its turn comes first.
package struct DrainService: Service {
    private let admission: Admission
    private let connections: OpenConnections
    private let limit: Duration

    /// A service that drains these requests, for at most so long; what runs then is cut off.
    package init(admission: Admission, connections: OpenConnections, limit: Duration) {
        self.admission = admission
        self.connections = connections
        self.limit = limit
    }

    /// Runs until the shutdown is over.
    package func run() async throws {
        try await gracefulShutdown()
        let (admission, connections, limit) = (admission, connections, limit)
        connections.startDraining()
        let patience = Task {
            do { try await Task.sleep(for: limit) } catch { return }
            connections.closeAll()
        }
        await admission.drain()
        patience.cancel()
    }
}
