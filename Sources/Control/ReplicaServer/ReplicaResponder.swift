package import HTTPServing
import HTTPTypes
package import Hummingbird
import HummingbirdCore
import ServingAPI

/// Leads requests to their routes; answers what belongs to none of them: methods, origins, keys, paths that lead
/// nowhere.
package struct ReplicaResponder: HTTPResponder {
    /// The connection.
    package typealias Context = ConnectionContext

    private let service: ReplicaService
    private let native: NativeRoutes
    private let openAI: OpenAIRoutes
    private let embeddings: EmbeddingRoutes
    private let information: InformationRoutes

    /// All routes of a model.
    package init(model: any ReplicaModel, configuration: ReplicaConfiguration) {
        self.init(ReplicaService(model, configuration))
    }

    init(_ service: ReplicaService) {
        self.service = service
        native = NativeRoutes(service: service)
        openAI = OpenAIRoutes(service: service)
        embeddings = EmbeddingRoutes(service: service)
        information = InformationRoutes(service: service)
    }

    /// Answers a request.
    package func respond(to request: Request, context: ConnectionContext) async throws -> Response {
        if let response = CrossOrigin.preflight(request) { return response }
        return CrossOrigin.opened(await route(request, context), to: request)
    }

    /// Whether it is a health check, which needs no key.
    static func isHealthCheck(_ request: Request) -> Bool {
        request.method != .post && ["/", "/health", "/ping"].contains(request.uri.path)
    }

    /// The refusal of a request that lacks the key, where one is needed.
    static func refusal(_ request: Request, _ key: APIKey?) -> HTTPReply? {
        guard let key, !isHealthCheck(request), !key.matches(request.bearerToken ?? "") else { return nil }
        return request.uri.path.hasPrefix("/v1/")
            ? HTTPReply(OpenAIError.unauthorized) : HTTPReply(NativeError.unauthorized)
    }

    private func route(_ request: Request, _ context: ConnectionContext) async -> Response {
        let path = request.uri.path
        if let refusal = Self.refusal(request, service.configuration.apiKey) { return refusal.response }
        switch request.method {
        case .post:
            if let response = await post(path, request, context) { return response }
            return missing(path, allowed: "GET", Self.getRoutes.contains(path))
        case .get, .head:
            if let reply = await get(path, request) { return reply.response }
            return missing(path, allowed: "POST", Self.postRoutes.contains(path))
        default:
            let isKnown = Self.postRoutes.contains(path) || Self.getRoutes.contains(path)
            return missing(path, allowed: "GET,POST", isKnown)
        }
    }

    /// 405 where the path knows another method, else 404.
    private func missing(_ path: String, allowed: String, _ hasOther: Bool) -> Response {
        if hasOther {
            var reply = HTTPReply(405)
            reply.headers[.allow] = allowed
            return reply.response
        }
        let path = String(path.prefix(200))
        return (path.hasPrefix("/v1/") ? HTTPReply(OpenAIError.notFound(path)) : HTTPReply(NativeError.notFound(path)))
            .response
    }

    private static let postRoutes: Set<String> = [
        "/", "/invocations", "/generate", "/generate_stream", "/embed", "/tokenize", "/classify", "/classify_batch",
        "/v1/completions", "/v1/chat/completions", "/v1/embeddings",
    ]
    private static let getRoutes: Set<String> = [
        "/", "/health", "/ping", "/startup", "/info", "/metrics", "/v1/models",
    ]

    private func post(_ path: String, _ request: Request, _ context: ConnectionContext) async -> Response? {
        switch path {
        case "/", "/invocations": await native.generate(request, context, .compatible)
        case "/generate": await native.generate(request, context, .object)
        case "/generate_stream": await native.generate(request, context, .stream)
        case "/embed": await embeddings.embed(request, context)
        case "/tokenize": await information.tokenize(request).response
        case "/classify", "/classify_batch": HTTPReply(NativeError.noClassification).response
        case "/v1/chat/completions": await openAI.chat(request, context)
        case "/v1/completions": await openAI.completions(request, context)
        case "/v1/embeddings": await embeddings.embeddings(request, context)
        default: nil
        }
    }

    private func get(_ path: String, _ request: Request) async -> HTTPReply? {
        switch path {
        case "/", "/health", "/ping": return await information.health()
        case "/startup": return await information.startup()
        case "/info": return information.info()
        case "/metrics": return information.metrics(request)
        case "/v1/models": return information.models()
        default:
            guard path.hasPrefix("/v1/models/") else { return nil }
            return information.model(PercentEncoding.decoded(path.dropFirst("/v1/models/".count)))
        }
    }
}
