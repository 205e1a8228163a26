import ServiceLifecycle

/// Holds the shutdown of the server back until the requests under way have ended. The last service of the group, so
/// that its turn comes first.
package struct DrainService: Service {
    private let admission: Admission

    /// A service that drains these requests.
    package init(admission: Admission) { self.admission = admission }

    /// Runs until the shutdown is over.
    package func run() async throws {
        try await gracefulShutdown()
        await admission.drain()
    }
}
