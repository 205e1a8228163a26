public import ServingAdapters

/// How a replica server listens and what it allows.
public struct ReplicaConfiguration: Sendable {
    /// Address or host name to listen on.
    public var host: String
    /// Port; 0 takes any that is free.
    public var port: Int
    /// Key that clients must show; nil lets everybody in.
    public var apiKey: APIKey?
    /// Ids, besides the model's name, that mean the base model.
    public var baseModelIDs: Set<String>
    /// Where adapter ids lead unless the request says so.
    public var adapterSource: AdapterSource
    /// Adapters that `/v1/models` lists, looked up each time.
    public var adapterIDs: @Sendable () -> [String]
    /// Most requests under way.
    public var maxConcurrentRequests: Int
    /// Most bytes of a request's body.
    public var maxBodyBytes: Int
    /// Deepest nesting of a request's JSON.
    public var maxJSONDepth: Int
    /// Most sequences in a batch, for `/info`.
    public var maxBatchSize: Int
    /// Whether LoRAX's oddities are kept where they contradict its documentation or OpenAI's.
    public var isLoRAXCompatible: Bool
    /// When slow connections are given up.
    public var timeouts: ConnectionTimeouts
    /// Version that `/info` tells.
    public var version: String

    /// LoRAX's and axum's defaults.
    public init(
        host: String = "127.0.0.1", port: Int = 8080, apiKey: APIKey? = nil, baseModelIDs: Set<String> = [],
        adapterSource: AdapterSource = .local
    ) {
        self.host = host
        self.port = port
        self.apiKey = apiKey
        self.baseModelIDs = baseModelIDs
        self.adapterSource = adapterSource
        adapterIDs = { [] }
        maxConcurrentRequests = 1024
        maxBodyBytes = 2 << 20
        // serde_json's limit.
        maxJSONDepth = 128
        maxBatchSize = 256
        isLoRAXCompatible = false
        timeouts = ConnectionTimeouts()
        version = "0.1.0"
    }
}
