package import Deployments
import HTTPServing

/// Leads requests for deployments to their replicas: holds them until there is one, chooses it, passes the answer on,
/// and has another one carry on where it is lost.
///
/// The control plane publishes routes in ``table`` and reads loads; the server puts ``routes`` in front of its own.
package struct Gateway: Sendable {
    private let service: GatewayService

    /// - Parameters:
    ///   - wake: called when requests wait for a deployment that has no replica, once a need; must return at once.
    ///   - replicaFailed: called when a replica refused a request or broke off; must return at once.
    ///   - sample: takes each request that has ended; must return at once.
    package init(
        configuration: GatewayConfiguration = GatewayConfiguration(), clock: any ControlClock,
        wake: @escaping @Sendable (DeploymentName) -> Void,
        replicaFailed: @escaping @Sendable (ReplicaID) -> Void = { _ in },
        sample: @escaping @Sendable (RequestSample) -> Void = { _ in }
    ) {
        service = GatewayService(
            configuration: configuration, clock: clock,
            table: RouteTable(limits: configuration.dispatch, clock: clock, wake: wake),
            client: ReplicaClient(configuration), metrics: GatewayMetrics(),
            admission: Admission(limit: configuration.maxConcurrentRequests),
            catalog: AdapterCatalog(lifetime: configuration.catalogLifetime),
            bodies: RequestBodyReader(maxBytes: configuration.maxBodyBytes, maxDepth: configuration.maxBodyDepth),
            replicaFailed: replicaFailed, sample: sample)
    }

    /// The deployments.
    package var table: RouteTable { service.table }
    /// What requests are answered with.
    package var routes: GatewayRoutes { GatewayRoutes(service) }
    package var metrics: GatewayMetrics { service.metrics }

    /// How busy a deployment is.
    package func load(of name: DeploymentName) -> LoadReading { service.table.load(of: name) }

    /// Deployments at which a request came or ended since the last call.
    package func activeDeployments() -> [DeploymentName] { service.table.takeActive() }

    /// Prometheus's text of all deployments.
    package func metricsText() -> String {
        for dispatch in service.table.dispatches { service.metrics.update(dispatch.name, dispatch.reading) }
        return service.metrics.text
    }

    /// Requests under way, waiting ones among them.
    package var requestCount: Int { service.admission.count }

    /// Refuses what is new and what waits, and returns when the last request has ended and connections to replicas are
    /// closed. Must be called before the gateway is let go; a second call returns at once.
    package func drain() async {
        service.admission.startDraining()
        service.table.drain()
        await service.admission.drain()
        await service.client.shutdown()
    }
}
