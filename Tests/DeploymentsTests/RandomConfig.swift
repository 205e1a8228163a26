import Deployments

extension DeploymentConfig {
    /// A config in which any field may be set, all of them rightly.
    static func random(using generator: inout SeededGenerator) -> DeploymentConfig {
        func maybe<Value>(_ value: Value, _ generator: inout SeededGenerator) -> Value? {
            generator.chance(0.5) ? value : nil
        }
        var config = DeploymentConfig(baseModel: generator.choose(["tiny", "/models/é \"x\".gguf", "owner/name"]))
        config.accelerator = maybe("a100_80gb_100", &generator)
        config.computeSpec = maybe(
            ComputeSpec(sku: maybe("sku-1", &generator), region: maybe("eu", &generator)), &generator)
        if config.computeSpec == ComputeSpec() { config.computeSpec = nil }
        config.cooldown = .seconds(Int.random(in: 1...604_800, using: &generator))
        config.hubToken = maybe("hf_secret", &generator)
        config.minReplicas = Int.random(in: 0...3, using: &generator)
        config.maxReplicas = Int.random(in: 3...1000, using: &generator)
        config.scaleUpThreshold = Int.random(in: 1...10_000, using: &generator)
        config.quantization = maybe(generator.choose(["none", "fp8", "bitsandbytes-nf4"]), &generator)
        config.usesGuaranteedCapacity = generator.chance(0.5)
        config.maxTotalTokens = maybe(Int.random(in: 2...1 << 24, using: &generator), &generator)
        config.maxBatchedTokens = maybe(Int.random(in: 1...1 << 20, using: &generator), &generator)
        config.engineImageTag = maybe("v1.2", &generator)
        config.logsRequests = generator.chance(0.5)
        config.hasDirectIngress = generator.chance(0.5)
        config.speculator = maybe(generator.choose(["auto", "disabled", "turbo/1"]), &generator)
        config.speculationBatchLimit = maybe(8, &generator)
        config.usesPrefixCache = generator.chance(0.5)
        config.usesChunkedPrefill = maybe(generator.chance(0.5), &generator)
        config.backend = maybe(generator.choose(["v1", "v2", "v3"]), &generator)
        config.cachesModel = generator.chance(0.5)
        config.customArguments = maybe(["--threads", "4", "--adapter-memory=1.5G"], &generator) ?? []
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: config.preloadedAdapters = ["news/1", "sport/2"]
        case 1:
            config.preloadedAdapters = ["hf:owner/adapter"]
            config.mergesAdapter = true
        case 2: config.disablesAdapters = true
        default: break
        }
        return config
    }
}
