/// How a deployment is to run: every field of a Predibase deployment (`DeploymentConfig` of its SDK 2025.10.3).
///
/// Field names here are Swift's; ``DeploymentConfigField`` has those on the wire. Values are as a user gave them or
/// their defaults, and were validated when the config was read.
package struct DeploymentConfig: Sendable, Hashable {
    /// Model to serve: a path, a name in the local store, or a hub reference.
    package var baseModel: String
    /// Kind of device: `cpu`, `gpu` or a model of GPU; nil takes what there is. Not changed by updates.
    package var accelerator: String?
    /// SKU and region, the newer form of `accelerator`.
    package var computeSpec: ComputeSpec?
    /// Time without load after which replicas are given up.
    package var cooldown: Duration
    /// Token for private models of a hub; never shown.
    package var hubToken: String?
    package var minReplicas: Int
    package var maxReplicas: Int
    /// Requests that one replica handles at a time before another is started.
    package var scaleUpThreshold: Int
    /// `none`, `fp8`, `bitsandbytes-nf4`; nil leaves the model as it is.
    package var quantization: String?
    package var usesGuaranteedCapacity: Bool
    /// Most tokens a request, prompt and answer; nil is the model's context.
    package var maxTotalTokens: Int?
    /// Most tokens computed in one step; nil is the engine's choice.
    package var maxBatchedTokens: Int?
    /// Tag of the engine's image, where replicas run from images.
    package var engineImageTag: String?
    package var logsRequests: Bool
    package var hasDirectIngress: Bool
    /// Adapters to load at start.
    package var preloadedAdapters: [String]
    /// `auto`, `disabled` or an adapter with speculator heads; nil is `auto`.
    package var speculator: String?
    package var speculationBatchLimit: Int?
    package var usesPrefixCache: Bool
    package var usesChunkedPrefill: Bool?
    /// Generation of the engine: `v1`, `v2`, `v3`.
    package var backend: String?
    package var disablesAdapters: Bool
    /// Whether the one preloaded adapter is merged into the weights.
    package var mergesAdapter: Bool
    package var cachesModel: Bool
    /// Further arguments of the engine, as LoRAX's launcher takes them.
    package var customArguments: [String]

    package struct ComputeSpec: Sendable, Hashable {
        package var sku: String?
        package var region: String?

        package init(sku: String? = nil, region: String? = nil) {
            self.sku = sku
            self.region = region
        }
    }

    /// A config with Predibase's defaults; prefix caching is on, which changes no answer here.
    package init(baseModel: String) {
        self.baseModel = baseModel
        cooldown = .seconds(3600)
        minReplicas = 0
        maxReplicas = 1
        scaleUpThreshold = 1
        usesGuaranteedCapacity = false
        logsRequests = false
        hasDirectIngress = false
        preloadedAdapters = []
        usesPrefixCache = true
        disablesAdapters = false
        mergesAdapter = false
        cachesModel = false
        customArguments = []
    }
}
