package import HTTPServing
package import ServingAdapters

/// How a replica server listens and what it allows.
package struct ReplicaConfiguration: Sendable {
    /// Address or host name to listen on.
    package var host: String
    /// Port; 0 takes any that is free.
    package var port: Int
    /// Key that clients must show; nil lets everybody in.
    package var apiKey: APIKey?
    /// Ids, besides the model's name, that mean the base model.
    package var baseModelIDs: Set<String>
    /// Where adapter ids lead unless the request says so.
    package var adapterSource: AdapterSource
    /// Where an adapter is found right now, for ids that come without a source; nil leaves it to ``adapterSource``.
    package var adapterPlace: @Sendable (String) -> AdapterSource?
    /// Adapters that `/v1/models` lists, looked up each time.
    package var adapterIDs: @Sendable () -> [String]
    /// Most requests under way.
    package var maxConcurrentRequests: Int
    /// Most bytes of a request's body.
    package var maxBodyBytes: Int
    /// Deepest nesting of a request's JSON.
    package var maxJSONDepth: Int
    /// Most sequences in a batch, for `/info`.
    package var maxBatchSize: Int
    /// Whether LoRAX's oddities are kept where they contradict its documentation or OpenAI's.
    package var isLoRAXCompatible: Bool
    /// When slow connections are given up.
    package var timeouts: ConnectionTimeouts
    /// How long requests may run on when the server is told to stop.
    package var drainLimit: Duration
    /// Version that `/info` tells.
    package var version: String
    /// Name that a control plane gave this replica; nil where there is none.
    package var replicaID: String?

    /// LoRAX's and axum's defaults.
    package init(
        host: String = "127.0.0.1", port: Int = 8080, apiKey: APIKey? = nil, baseModelIDs: Set<String> = [],
        adapterSource: AdapterSource = .local
    ) {
        self.host = host
        self.port = port
        self.apiKey = apiKey
        self.baseModelIDs = baseModelIDs
        self.adapterSource = adapterSource
        adapterPlace = { _ in nil }
        adapterIDs = { [] }
        maxConcurrentRequests = 1024
        maxBodyBytes = 2 << 20
        // serde_json's limit.
        maxJSONDepth = 128
        maxBatchSize = 256
        isLoRAXCompatible = false
        timeouts = ConnectionTimeouts()
        drainLimit = .seconds(600)
        version = "0.1.0"
    }
}
