public import ServingModelFiles
import ServingTensors

extension DecoderConfig {
    /// Reads the metadata of a GGUF file (keys as in the GGUF specification, `{arch}.block_count` and so on).
    ///
    /// - Parameter contextLength: as for ``init(huggingFace:contextLength:)``.
    public init(gguf file: GGUFFile, contextLength requestedContext: Int? = nil) throws {
        guard let architecture = file["general.architecture"]?.stringValue else {
            throw ModelError(.invalidConfig, "the GGUF metadata lacks general.architecture")
        }
        guard let family = GGUFFamily(architecture: architecture) else {
            throw ModelError(
                .unsupported,
                "architecture \"\(architecture)\" is not supported (supported: \(GGUFFamily.namesForUsers))")
        }
        let metadata = GGUFMetadata(file: file, prefix: architecture)
        let headCount = try metadata.requiredCount("attention.head_count")
        let hiddenSize = try metadata.requiredCount("embedding_length")
        let headDimension = try metadata.count("attention.key_length") ?? hiddenSize / headCount
        guard headDimension > 0, try (metadata.count("attention.value_length") ?? headDimension) == headDimension else {
            throw ModelError(.unsupported, "keys and values of different lengths are not supported")
        }
        guard let vocabularyCount = file.tensor(named: "token_embd.weight")?.shape.first else {
            throw ModelError(.invalidWeights, "tensor \"token_embd.weight\" is missing")
        }
        let rope = try GGUFRope(metadata, headDimension: headDimension, requestedContext: requestedContext)
        let layerCount = try metadata.requiredCount("block_count")
        guard layerCount <= 4096 else { throw metadata.invalid("block_count", "more than 4096 layers") }
        self.init(
            architecture: architecture, vocabularyCount: vocabularyCount, hiddenSize: hiddenSize,
            feedForwardSize: try metadata.requiredCount("feed_forward_length"), headCount: headCount,
            keyValueHeadCount: try metadata.count("attention.head_count_kv") ?? headCount,
            headDimension: headDimension, contextLength: rope.contextLength,
            normEpsilon: Float(try metadata.positiveNumber("attention.layer_norm_rms_epsilon") ?? 1e-5),
            activation: family.isGemma ? .geluTanh : .silu, softmaxScale: 1 / Float(headDimension).squareRoot(),
            rotaries: [], layers: Array(repeating: Layer(), count: layerCount), tiesEmbeddings: nil)
        try family.adjust(&self, metadata)
        rotaries = try rope.rotaries(pairing: family.pairing, hasLocalRotary: family == .gemma3)
        try checkShape()
    }
}

private enum GGUFFamily {
    case llama, qwen2, qwen3, gemma2, gemma3, phi3, granite

    static let namesForUsers = "llama, qwen2, qwen3, gemma2, gemma3, phi3, granite"

    init?(architecture: String) {
        switch architecture {
        case "llama", "mistral", "mistral3": self = .llama
        case "qwen2": self = .qwen2
        case "qwen3": self = .qwen3
        case "gemma2": self = .gemma2
        case "gemma3": self = .gemma3
        case "phi3": self = .phi3
        case "granite": self = .granite
        default: return nil
        }
    }

    var isGemma: Bool { self == .gemma2 || self == .gemma3 }

    /// Converters reorder the query and key rows of these families so that neighbours turn together.
    var pairing: RotaryEmbedding.Pairing {
        switch self {
        case .llama, .granite: .neighbours
        case .qwen2, .qwen3, .gemma2, .gemma3, .phi3: .halves
        }
    }

    func adjust(_ config: inout DecoderConfig, _ metadata: GGUFMetadata) throws {
        let window = try metadata.count("attention.sliding_window")
        if let scale = try metadata.positiveNumber("attention.scale") { config.softmaxScale = Float(scale) }
        switch self {
        case .qwen2, .qwen3: break
        case .llama, .phi3:
            for layer in config.layers.indices { config.layers[layer].slidingWindow = window }
        case .gemma2, .gemma3: try adjustGemma(&config, metadata, window: window)
        case .granite:
            config.embeddingScale = Float(try metadata.positiveNumber("embedding_scale") ?? 1)
            config.residualScale = Float(try metadata.positiveNumber("residual_scale") ?? 1)
            config.logitScale = Float(1 / (try metadata.positiveNumber("logit_scale") ?? 1))
        }
    }

    private func adjustGemma(
        _ config: inout DecoderConfig, _ metadata: GGUFMetadata, window: Int?
    ) throws {
        config.embeddingScale = Float(config.hiddenSize).squareRoot()
        // The 27B models scale by the width a head would have if heads filled the hidden size (query_pre_attn_scalar);
        // GGUF has no key for it, so their layer counts tell.
        let largestLayerCount = self == .gemma2 ? 46 : 62
        if config.layerCount == largestLayerCount {
            config.softmaxScale = 1 / (Float(config.hiddenSize) / Float(config.headCount)).squareRoot()
        }
        config.attentionSoftCap = try metadata.positiveNumber("attn_logit_softcapping").map { Float($0) }
        config.logitSoftCap = try metadata.positiveNumber("final_logit_softcapping").map { Float($0) }
        if self == .gemma2 {
            config.attentionSoftCap = config.attentionSoftCap ?? 50
            config.logitSoftCap = config.logitSoftCap ?? 30
        }
        guard let window else { throw metadata.missing("attention.sliding_window") }
        let period = self == .gemma2 ? 2 : 6
        for layer in config.layers.indices where !(layer + 1).isMultiple(of: period) {
            config.layers[layer].slidingWindow = window
            config.layers[layer].rotaryIndex = self == .gemma3 ? 1 : 0
        }
    }
}

/// Rotation and context length of a GGUF file.
private struct GGUFRope {
    let contextLength: Int
    private let metadata: GGUFMetadata
    private let headDimension: Int
    private let rotatedCount: Int
    private let base: Double
    private let scaling: RopeScaling

    init(_ metadata: GGUFMetadata, headDimension: Int, requestedContext: Int?) throws {
        self.metadata = metadata
        self.headDimension = headDimension
        rotatedCount = try metadata.count("rope.dimension_count") ?? headDimension
        guard rotatedCount <= headDimension, rotatedCount.isMultiple(of: 2) else {
            throw metadata.invalid("rope.dimension_count", "\(rotatedCount) of \(headDimension) elements")
        }
        let base = try metadata.positiveNumber("rope.freq_base") ?? 10_000
        guard base > 1 else { throw metadata.invalid("rope.freq_base", "\(base) must exceed 1") }
        self.base = base
        let stated = try metadata.requiredCount("context_length")
        if let requestedContext, requestedContext > stated {
            throw ModelError(
                .invalidConfig,
                "context of \(requestedContext) tokens exceeds the model's \(stated) (context_length)")
        }
        let original = try metadata.count("rope.scaling.original_context_length")
        let hasLongFactors = metadata.file.tensor(named: "rope_factors_long.weight") != nil
        contextLength = requestedContext ?? (hasLongFactors ? original ?? stated : stated)
        scaling = try Self.scaling(
            metadata, pairCount: rotatedCount / 2, stated: stated, original: original ?? stated,
            isLong: contextLength > (original ?? stated))
    }

    func rotaries(
        pairing: RotaryEmbedding.Pairing, hasLocalRotary: Bool
    ) throws -> [RotaryEmbedding] {
        func rotary(_ base: Double, _ scaling: RopeScaling) -> RotaryEmbedding {
            RotaryEmbedding(
                headDimension: headDimension,
                inverseFrequencies: scaling.inverseFrequencies(base: base, rotatedCount: rotatedCount),
                magnitude: scaling.magnitude, pairing: pairing)
        }
        guard hasLocalRotary else { return [rotary(base, scaling)] }
        let localBase = try metadata.positiveNumber("rope.freq_base_swa") ?? 10_000
        return [rotary(base, scaling), rotary(localBase, .none)]
    }

    private static func scaling(
        _ metadata: GGUFMetadata, pairCount: Int, stated: Int, original: Int, isLong: Bool
    ) throws -> RopeScaling {
        if let divisors = try metadata.floats("rope_freqs.weight", count: pairCount) {
            return .divisors(divisors, magnitude: 1)
        }
        if let divisors = try metadata.floats(
            isLong ? "rope_factors_long.weight" : "rope_factors_short.weight", count: pairCount)
        {
            let ratio = Double(stated) / Double(original)
            let stated = try metadata.positiveNumber("rope.scaling.attn_factor")
            return .divisors(
                divisors,
                magnitude: stated
                    ?? RopeScaling.longRopeMagnitude(factor: ratio, originalContext: Double(original)))
        }
        let type = metadata.string("rope.scaling.type") ?? "none"
        switch type {
        case "none": return .none
        case "linear":
            return .linear(factor: try metadata.positiveNumber("rope.scaling.factor") ?? 1)
        case "yarn":
            let factor = try metadata.positiveNumber("rope.scaling.factor") ?? Double(stated) / Double(original)
            let magnitude = try metadata.positiveNumber("rope.scaling.attn_factor") ?? 1
            return .yarn(
                factor: factor, betaFast: try metadata.positiveNumber("rope.scaling.yarn_beta_fast") ?? 32,
                betaSlow: try metadata.positiveNumber("rope.scaling.yarn_beta_slow") ?? 1,
                originalContext: Double(original), truncate: true,
                magnitude: magnitude * RopeScaling.yarnMagnitude(factor: factor))
        default:
            throw ModelError(
                .unsupported, "rope scaling \"\(type)\" is not supported (supported: none, linear, yarn, longrope)")
        }
    }
}

/// Typed, bounded access to a GGUF file's `{arch}.*` keys.
private struct GGUFMetadata {
    let file: GGUFFile
    let prefix: String

    private static let largestCount = 1 << 26

    func count(_ name: String) throws -> Int? {
        guard let value = file["\(prefix).\(name)"] else { return nil }
        // Some files state one head count a layer; we run those where all are the same.
        if let perLayer = value.arrayValue?.integers {
            guard let first = perLayer.first, perLayer.allSatisfy({ $0 == first }),
                (1...Self.largestCount).contains(first)
            else { throw invalid(name, "layers that differ are not supported") }
            return Int(first)
        }
        guard let count = value.intValue, (1...Self.largestCount).contains(count) else {
            throw invalid(name, "expected a whole number from 1 to \(Self.largestCount)")
        }
        return count
    }

    func requiredCount(_ name: String) throws -> Int {
        guard let count = try count(name) else { throw missing(name) }
        return count
    }

    func positiveNumber(_ name: String) throws -> Double? {
        guard let value = file["\(prefix).\(name)"] else { return nil }
        guard let number = value.doubleValue, number.isFinite, number >= 0 else {
            throw invalid(name, "expected a number above 0")
        }
        // Converters write 0 for "not set".
        return number == 0 ? nil : number
    }

    func string(_ name: String) -> String? { file["\(prefix).\(name)"]?.stringValue }

    /// A small F32 tensor, such as rotary divisors.
    func floats(_ tensorName: String, count: Int) throws -> [Double]? {
        guard let tensor = file.tensor(named: tensorName) else { return nil }
        guard tensor.type == .f32, tensor.shape == [count] else {
            throw ModelError(
                .invalidWeights, "tensor \"\(tensorName)\": expected \(count) F32 elements, found \(tensor.shape)")
        }
        let values = (0..<count).map {
            Double(tensor.bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self))
        }
        guard values.allSatisfy({ $0.isFinite && $0 > 0 }) else {
            throw ModelError(.invalidWeights, "tensor \"\(tensorName)\": expected numbers above 0")
        }
        return values
    }

    func missing(_ name: String) -> ModelError {
        ModelError(.invalidConfig, "the GGUF metadata lacks \(prefix).\(name)")
    }

    func invalid(_ name: String, _ reason: String) -> ModelError {
        ModelError(.invalidConfig, "GGUF metadata \(prefix).\(name): \(reason)")
    }
}
