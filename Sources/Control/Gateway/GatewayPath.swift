import HTTPServing

/// What is asked of a deployment, whichever base its path begins with.
package enum GatewayEndpoint: Sendable, Hashable {
    case chat, completions, embeddings, models
    case model(String)
    /// A base itself, `/invocations`: LoRAX's route that answers in one piece, as a list, or as a stream.
    case compatible
    case generate, generateStream
    case embed, tokenize, classify, classifyBatch
    case info, health, metrics

    /// In which form errors are told.
    package enum Form: Sendable, Hashable { case openAI, native }

    package var form: Form {
        switch self {
        case .chat, .completions, .embeddings, .models, .model: .openAI
        default: .native
        }
    }

    /// Whether it is asked with GET; else with POST.
    package var isRead: Bool {
        switch self {
        case .models, .model, .info, .health, .metrics: true
        default: false
        }
    }

    /// Whether answers are made token by token, so that they can be carried on by another replica.
    package var generates: Bool {
        switch self {
        case .chat, .completions, .compatible, .generate, .generateStream: true
        default: false
        }
    }

    /// Where replicas have it.
    package var replicaPath: String {
        switch self {
        case .chat: "/v1/chat/completions"
        case .completions: "/v1/completions"
        case .embeddings: "/v1/embeddings"
        case .models, .model: "/v1/models"
        case .compatible: "/"
        case .generate: "/generate"
        case .generateStream: "/generate_stream"
        case .embed: "/embed"
        case .tokenize: "/tokenize"
        case .classify: "/classify"
        case .classifyBatch: "/classify_batch"
        case .info: "/info"
        case .health: "/health"
        case .metrics: "/metrics"
        }
    }

    /// Its name in metrics.
    package var name: String {
        switch self {
        case .compatible: "compatible"
        case .model: "models"
        default: String(replicaPath.dropFirst().map { $0 == "/" ? "_" : $0 })
        }
    }
}

/// Where a path leads among the gateway's routes.
///
/// There are three bases: `/v1/...`, where the body's `model` names the deployment, `/deployments/NAME/...`, and
/// Predibase's `/TENANT/deployments/v2/llms/NAME/...`. The last two have the same paths below.
package enum GatewayPath: Sendable, Hashable {
    /// Below `/v1`.
    case shared(GatewayEndpoint)
    /// Below the base of a deployment. The name is as in the path, decoded; it need not be one that can be. Nil where
    /// the base has no such route.
    case deployment(name: String, GatewayEndpoint?)

    /// Nil where the path is none of the gateway's.
    ///
    /// - Parameter isRead: whether the method is GET or HEAD; a bare base is the deployment's health then.
    package init?(_ path: String, isRead: Bool) {
        var segments = path.split(separator: "/", omittingEmptySubsequences: false)
        guard segments.count >= 2, segments[0].isEmpty else { return nil }
        segments.removeFirst()
        if segments.count > 1, segments.last?.isEmpty == true { segments.removeLast() }
        if segments[0] == "v1" {
            guard let endpoint = Self.openAI(segments.dropFirst()) else { return nil }
            self = .shared(endpoint)
        } else if segments.count >= 2, segments[0] == "deployments" {
            self = .deployment(name: Self.decoded(segments[1]), Self.below(segments.dropFirst(2), isRead: isRead))
        } else if segments.count >= 5, segments[1] == "deployments", segments[2] == "v2", segments[3] == "llms",
            !segments[0].isEmpty
        {
            self = .deployment(name: Self.decoded(segments[4]), Self.below(segments.dropFirst(5), isRead: isRead))
        } else {
            return nil
        }
    }

    private static func openAI(_ segments: ArraySlice<Substring>) -> GatewayEndpoint? {
        switch segments.joined(separator: "/") {
        case "chat/completions": return .chat
        case "completions": return .completions
        case "embeddings": return .embeddings
        case "models": return .models
        default:
            guard segments.count > 1, segments.first == "models" else { return nil }
            return .model(segments.dropFirst().map(decoded).joined(separator: "/"))
        }
    }

    private static func below(_ segments: ArraySlice<Substring>, isRead: Bool) -> GatewayEndpoint? {
        guard let first = segments.first else { return isRead ? .health : .compatible }
        if first == "v1" { return openAI(segments.dropFirst()) }
        guard segments.count == 1 else { return nil }
        switch first {
        case "": return isRead ? .health : .compatible
        case "invocations": return .compatible
        case "generate": return .generate
        case "generate_stream": return .generateStream
        case "embed": return .embed
        case "tokenize": return .tokenize
        case "classify": return .classify
        case "classify_batch": return .classifyBatch
        case "info": return .info
        case "health", "ping": return .health
        case "metrics": return .metrics
        default: return nil
        }
    }

    /// A segment with its percent-encoding undone.
    private static func decoded(_ segment: Substring) -> String {
        segment.utf8.contains(UInt8(ascii: "%")) ? PercentEncoding.decoded(segment) : String(segment)
    }
}
