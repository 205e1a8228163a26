import ControlAPI
package import ControlStore
package import Deployments
package import HTTPServing
import HTTPTypes
package import Hummingbird
package import ReplicaLaunchers
import ServingJSON

/// The control plane over HTTP: Predibase's routes for deployments (`/v2/...`) and pbctl's own for what those lack
/// (`/api/v1/...`). Decodes, calls the ``DeploymentService``, encodes.
package struct ControlRoutes: Sendable {
    let service: DeploymentService
    let reconciler: DeploymentReconciler
    let store: ControlStore
    let metrics: MetricsHistory
    let launcher: any ReplicaLauncher
    let clock: any ControlClock
    let server: ServerIdentity
    /// Those that are being sent; to be closed when the server ends.
    package let streams = OpenStreams()
    let bodies = RequestBodyReader(maxBytes: 1 << 20, maxDepth: 64)

    /// What the server says of itself, and how it is ended.
    package struct ServerIdentity: Sendable {
        package var version: String
        package var processID: Int
        package var startedAt: Timestamp
        /// `http://host:port` as clients on this machine reach it; known once it listens.
        package var url: @Sendable () -> String
        package var stateFolder: String
        /// Whose deployments these are, as Predibase's URLs name them.
        package var tenant: String
        /// Ends the server, with its replicas where that is wanted.
        package var stop: @Sendable (_ replicasToo: Bool) -> Void

        package init(
            version: String, processID: Int, startedAt: Timestamp, url: @escaping @Sendable () -> String,
            stateFolder: String, tenant: String = "default", stop: @escaping @Sendable (Bool) -> Void
        ) {
            self.version = version
            self.processID = processID
            self.startedAt = startedAt
            self.url = url
            self.stateFolder = stateFolder
            self.tenant = tenant
            self.stop = stop
        }
    }

    package init(
        service: DeploymentService, reconciler: DeploymentReconciler, store: ControlStore, metrics: MetricsHistory,
        launcher: any ReplicaLauncher, clock: any ControlClock, server: ServerIdentity
    ) {
        self.service = service
        self.reconciler = reconciler
        self.store = store
        self.metrics = metrics
        self.launcher = launcher
        self.clock = clock
        self.server = server
    }

    /// Answers a request; nil where its path is not the control plane's.
    package func respond(to request: Request, context: ConnectionContext) async -> Response? {
        let presence = await context.presence()
        let parts = request.uri.path.split(separator: "/").map { PercentEncoding.decoded($0) }
        do throws(ControlError) {
            return try await answer(request, parts, presence)?.response
        } catch {
            return ControlAnswer(error).response
        }
    }

    private func answer(
        _ request: Request, _ parts: [String], _ presence: ClientPresence
    ) async throws(ControlError) -> ControlAnswer? {
        var parts = parts[...]
        // The old command line of Predibase has a gateway that ends in /v1.
        if parts.first == "v1", parts.count > 1, ["users", "llms"].contains(parts[parts.startIndex + 1]) {
            parts.removeFirst()
        }
        switch parts.first {
        case "health" where parts.count == 1:
            return .json(["status": "ok"])
        case "users", "llms": return try await predibase(request, Array(parts))
        case "v2" where parts.dropFirst().first == "deployments":
            return try await deployments(request, Array(parts.dropFirst(2)))
        case "api" where parts.dropFirst().first == "v1":
            return try await own(request, Array(parts.dropFirst(2)), presence)
        default: return nil
        }
    }

    private func own(
        _ request: Request, _ parts: [String], _ presence: ClientPresence
    ) async throws(ControlError) -> ControlAnswer? {
        switch parts.first {
        case "server" where parts.count == 1: return .json(.object(await serverView().json))
        case "server" where parts == ["server", "stop"]:
            try request.require(.post)
            server.stop(request.query("replicas") == "stop")
            return .json(["stopping": true], status: 202)
        case "events" where parts.count == 1:
            try request.require(.get)
            return try await events(request, presence)
        case "deployments" where parts.count == 3: return try await action(request, parts[1], parts[2], presence)
        default: return nil
        }
    }

    private func serverView() async -> ServerView {
        var view = ServerView(
            version: server.version, processID: server.processID, startedAt: server.startedAt, url: server.url(),
            stateFolder: server.stateFolder)
        view.launcher = launcher.name
        (view.deployments, view.replicas) = await reconciler.counts()
        view.gpus = await reconciler.gpus()
        view.gpuProblem = reconciler.placement.problem
        return view
    }

    // MARK: Predibase's routes

    private func deployments(_ request: Request, _ parts: [String]) async throws(ControlError) -> ControlAnswer? {
        switch (request.method, parts.count) {
        case (.get, 0): return try await list(request)
        case (.post, 0):
            let body = try await decoded(DeploymentRequest.self, request)
            let isDryRun = request.query("dryRun") == "true"
            let view = try await service.create(body, isDryRun: isDryRun)
            return .json(.object(complete(view).json), status: isDryRun ? 200 : 201)
        case (.get, 1) where parts[0] == "recommended-config": return try recommendation(request)
        case (.get, 1):
            return .json(["data": .object(await withFigures(complete(try await service.view(parts[0]))).json)])
        case (.put, 1), (.patch, 1):
            let body = try await decoded(DeploymentRequest.self, request)
            let view = try await service.update(
                parts[0], body, generation: try request.generation(), isDryRun: request.query("dryRun") == "true")
            return .json(.object(complete(view).json))
        case (.delete, 1): return .json(.object(complete(try await service.delete(parts[0])).json))
        case (_, 0...1): throw ControlError(.malformed, "\(request.method) \(request.uri.path): no such method here")
        default: return nil
        }
    }

    // MARK: Own routes of a deployment

    private func action(
        _ request: Request, _ name: String, _ verb: String, _ presence: ClientPresence
    ) async throws(ControlError) -> ControlAnswer? {
        switch verb {
        case "start", "stop", "restart", "scale", "rollback":
            try request.require(.post)
            return .json(.object(complete(try await change(request, name, verb)).json))
        case "revisions":
            try request.require(.get)
            let revisions = try await service.revisions(name)
            return .json(["data": .array(revisions.map { .object($0.json) })])
        case "logs":
            try request.require(.get)
            return try await logs(request, name, presence)
        case "watch":
            try request.require(.get)
            return try await watch(name, presence)
        case "metrics":
            try request.require(.get)
            return try await metrics(request, name)
        case "autoscale":
            try request.require(.get)
            return .json(.object(try await autoscale(name).json))
        default: return nil
        }
    }

    private func change(_ request: Request, _ name: String, _ verb: String) async throws(ControlError) -> DeploymentView
    {
        switch verb {
        case "start": return try await service.start(name)
        case "stop": return try await service.stop(name)
        case "restart": return try await service.restart(name)
        case "scale": return try await service.scale(name, decoded(ScaleRequest.self, request))
        default:
            let body = try await json(request, isOptional: true)
            let revision = body["revision"]?.intValue
            guard body["revision"] == nil || body["revision"]?.isNull == true || revision != nil else {
                throw ControlError(.malformed, "revision: expected a whole number")
            }
            return try await service.rollBack(name, to: revision)
        }
    }

    private func autoscale(_ name: String) async throws(ControlError) -> AutoscaleView {
        let view = try await service.view(name)
        let config = try await service.spec(name).config
        let limits = ScaleLimits(
            minReplicas: config.minReplicas, maxReplicas: config.maxReplicas,
            cooldownTime: Int(config.cooldown.components.seconds), scaleUpRequestThreshold: config.scaleUpThreshold)
        let events: [DeploymentEvent]
        do throws(StoreError) {
            events = try await store.events(of: view.uuid, after: 0, limit: 500, newestFirst: true)
        } catch {
            throw ControlError(error)
        }
        return AutoscaleView(
            limits: limits, desired: view.desiredReplicas, pinned: view.pinnedReplicas, load: view.load,
            decisions: events.filter { ScalingWords.all.contains($0.reason) }.prefix(20).map { EventView($0) })
    }

    private func metrics(_ request: Request, _ name: String) async throws(ControlError) -> ControlAnswer {
        let spec = try await service.spec(name)
        let since = try request.count("since", 1...(31 * 86_400)) ?? 3600
        let step = try request.count("step", 1...86_400) ?? max(10, since / 60)
        let scope: MetricsScope =
            switch request.query("adapter") {
            case nil: .all
            case ""?: .base
            case let adapter?: .adapter(adapter)
            }
        let now = clock.now()
        let points: [MetricsPoint]
        do throws(StoreError) {
            points = try await metrics.figures(
                spec.name, scope: scope, from: max(now + .seconds(-since), spec.createdAt), to: now,
                step: .seconds(step))
        } catch {
            throw ControlError(error)
        }
        let views = points.map { MetricsPointView(at: $0.start, figures: FiguresView($0)) }
        return .json(["data": .array(views.map { .object($0.json) })])
    }

    // MARK: Views

    /// Adds what only the server knows: addresses.
    func complete(_ view: DeploymentView) -> DeploymentView {
        var view = view
        let base = server.url()
        view.endpoint = EndpointView(
            openai: "\(base)/deployments/\(view.name)/v1", native: "\(base)/deployments/\(view.name)",
            predibase: "\(base)/\(server.tenant)/deployments/v2/llms/\(view.name)")
        return view
    }

    /// Adds the figures of the last minute.
    func withFigures(_ view: DeploymentView) async -> DeploymentView {
        var view = view
        if let name = try? DeploymentName(view.name), let point = try? await metrics.latest(name) {
            view.figures = FiguresView(point)
        }
        return view
    }

    // MARK: Bodies

    func json(_ request: Request, isOptional: Bool = false) async throws(ControlError) -> JSONValue {
        if isOptional, request.headers[.contentLength] == "0" || request.headers[.contentType] == nil { return [:] }
        do throws(RequestBodyReader.Failure) {
            return try await bodies.json(request)
        } catch {
            throw ControlError(.malformed, error.message)
        }
    }

    private func decoded<Body: WireView>(_ type: Body.Type, _ request: Request) async throws(ControlError) -> Body {
        let json = try await json(request)
        do throws(WireFault) {
            return try Body(json, at: "body")
        } catch {
            throw ControlError(.malformed, error.description)
        }
    }
}

/// Reasons of the events that tell of scaling.
enum ScalingWords {
    static let all: Set<String> = [
        "ScaledUp", "ScaledDown", "ScaledToZero", "Woken", "Scaled", "Unpinned", "LimitsChanged",
    ]
}

extension Request {
    /// A parameter of the query, decoded.
    func query(_ name: String) -> String? { uri.queryParameters[Substring(name)].map { String($0) } }

    func require(_ method: HTTPRequest.Method) throws(ControlError) {
        guard self.method == method || method == .get && self.method == .head else {
            throw ControlError(.malformed, "\(self.method) \(uri.path): expected \(method)")
        }
    }

    /// A whole number in the query.
    func count(_ name: String, _ range: ClosedRange<Int>) throws(ControlError) -> Int? {
        guard let text = query(name), !text.isEmpty else { return nil }
        guard let value = Int(text), range.contains(value) else {
            throw ControlError(
                .malformed,
                "\(name) \(text.prefix(40)): expected a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    /// The generation that the client saw, in `If-Match`.
    func generation() throws(ControlError) -> Int? {
        guard let text = headers[.ifMatch], text != "*" else { return nil }
        guard let value = Int(text.filter { $0 != "\"" }) else {
            throw ControlError(.malformed, "If-Match \(text.prefix(40)): expected a generation")
        }
        return value
    }
}
