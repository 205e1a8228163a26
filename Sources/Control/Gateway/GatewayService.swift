import AsyncHTTPClient
import Deployments
import HTTPServing
import NIOCore
import NIOHTTP1
import ServingJSON
import Synchronization

/// What all routes of the gateway share.
struct GatewayService: Sendable {
    let configuration: GatewayConfiguration
    let clock: any ControlClock
    let table: RouteTable
    let client: ReplicaClient
    let metrics: GatewayMetrics
    let admission: Admission
    let catalog: AdapterCatalog
    let bodies: RequestBodyReader
    /// Tells the control plane of a replica that refused or broke off.
    let replicaFailed: @Sendable (ReplicaID) -> Void
    /// Takes each request that has ended.
    let sample: @Sendable (RequestSample) -> Void

    /// Lets a request in.
    func enter() throws(GatewayError) -> Admission.Ticket {
        do throws(Admission.Refusal) {
            return try admission.enter()
        } catch {
            throw error == .full ? .overloaded : .draining
        }
    }

    /// A deployment by its name. `model` is what the client wrote where it named a model.
    func dispatch(_ name: String, model: String? = nil) throws(GatewayError) -> (DeploymentDispatch, DeploymentRoute) {
        if let dispatch = table[name], let route = dispatch.route, route.condition.status != .deleted {
            return (dispatch, route)
        }
        let names = table.routes.filter { $0.condition.status != .deleted }.map(\.name.text)
        throw .unknownDeployment(name, near: NearNames.of(name, among: names), model: model)
    }

    /// A replica did not answer: it gets no more for a while, and is told of where it may be at fault.
    func lose(_ lease: ReplicaLease, _ name: DeploymentName, _ failure: ReplicaFailure) {
        lease.end(failure == .full ? .full : .failed)
        metrics.upstreamFailed(name, failure.label)
        if failure != .full { replicaFailed(lease.replica.id) }
    }

    /// What a replica of a deployment answers to a GET; nil where there is no replica or no answer within a few
    /// seconds. Nothing is woken, and nobody's turn is taken.
    func ask(_ route: DeploymentRoute, _ path: String) async -> HTTPReply? {
        guard let replica = route.replicas.first else { return nil }
        let call = ReplicaCall(method: .GET, path: path, headers: HTTPHeaders(), body: nil)
        return try? await withThrowingTaskGroup(of: HTTPReply.self) { group in
            group.addTask {
                let response = try await client.send(call, pbctl: nil, to: replica.endpoint)
                let body = try await response.body.collect(upTo: configuration.maxBodyBytes)
                return HTTPReply(
                    Int(response.status.code), contentType: response.headers.first(name: "content-type"),
                    body: Array(body.readableBytesView))
            }
            group.addTask {
                try await Task.sleep(for: .seconds(3))
                throw CancellationError()
            }
            defer { group.cancelAll() }
            return try await group.next() ?? HTTPReply(504)
        }
    }
}

/// The adapters that replicas have at hand, as they last told.
final class AdapterCatalog: Sendable {
    private struct Entry {
        var ids: [String]
        var at: ContinuousClock.Instant
    }

    private let lifetime: Duration
    private let entries = Mutex<[String: Entry]>([:])

    init(lifetime: Duration) { self.lifetime = lifetime }

    /// Ids of the adapters of a deployment; those told last where its replicas do not answer now, none for one without
    /// replicas.
    func adapters(of route: DeploymentRoute, _ service: GatewayService) async -> [String] {
        guard route.allowsAdapters, !route.replicas.isEmpty else { return [] }
        let known = entries.withLock { $0[route.deploymentID] }
        if let known, .now - known.at < lifetime { return known.ids }
        guard let reply = await service.ask(route, GatewayEndpoint.models.replicaPath), reply.status == 200,
            let json = try? JSONValue(parsing: reply.body), let data = json["data"]?.arrayValue
        else { return known?.ids ?? [] }
        // The base model has no parent.
        let ids = data.compactMap { $0["parent"]?.stringValue == nil ? nil : $0["id"]?.stringValue }
        entries.withLock { entries in
            if entries.count > 10_000 { entries = [:] }
            entries[route.deploymentID] = Entry(ids: ids, at: .now)
        }
        return ids
    }
}
