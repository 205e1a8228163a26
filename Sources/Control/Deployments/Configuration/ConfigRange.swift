/// What each field of a config may be.
package enum ConfigRange {
    /// Predibase asks for 600 at least; its servers take minutes to start what starts in seconds here.
    package static let cooldownSeconds = 1...604_800
    package static let minReplicas = 0...1000
    package static let maxReplicas = 1...1000
    package static let threshold = 1...10_000
    package static let totalTokens = 2...1 << 24
    package static let batchedTokens = 1...1 << 20
    package static let speculationBatch = 1...10_000
    package static let adapterCount = 1000
    package static let argumentCount = 200
    package static let quantizations = ["none", "fp8", "bitsandbytes-nf4"]
    package static let backends = ["v1", "v2", "v3"]
}
