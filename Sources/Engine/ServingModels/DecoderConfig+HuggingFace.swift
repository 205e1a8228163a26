public import ServingJSON
import ServingTensors

extension DecoderConfig {
    /// Reads a Hugging Face config.json, in the form of transformers 4 (`rope_theta`, `rope_scaling`) or 5
    /// (`rope_parameters`).
    ///
    /// - Parameter contextLength: the longest sequence to be served, or nil for what the model was made for. LongRoPE
    ///   models use their long factors only where this exceeds the length they were first trained with, and serve that
    ///   length by default.
    public init(huggingFace config: JSONObject, contextLength requestedContext: Int? = nil) throws {
        let outer = ConfigReader(object: config)
        guard let outerType = try outer.string("model_type") else { throw outer.missing("model_type") }
        let reader = try outer.nested("text_config") ?? outer
        let type = try reader.string("model_type") ?? outerType
        guard let family = HuggingFaceFamily(modelType: type) else {
            throw ModelError(
                .unsupported,
                "config.json: model_type \"\(type)\" is not supported (supported: \(HuggingFaceFamily.namesForUsers))")
        }
        let headCount = try family.count("num_attention_heads", reader)
        let hiddenSize = try reader.requiredCount("hidden_size")
        let layerCount = try reader.requiredCount("num_hidden_layers")
        let headDimension: Int
        if let stated = try reader.count("head_dim") {
            headDimension = stated
        } else if family.isGemma {
            headDimension = 256
        } else {
            guard hiddenSize.isMultiple(of: headCount) else {
                throw ModelError(
                    .invalidConfig,
                    "config.json: hidden_size \(hiddenSize) is not a multiple of num_attention_heads \(headCount)")
            }
            headDimension = hiddenSize / headCount
        }
        let ropes = try HuggingFaceRopes(
            reader, family: family, headDimension: headDimension, requestedContext: requestedContext)
        self.init(
            architecture: type, vocabularyCount: try family.count("vocab_size", reader), hiddenSize: hiddenSize,
            feedForwardSize: try reader.requiredCount("intermediate_size"), headCount: headCount,
            keyValueHeadCount: try reader.count("num_key_value_heads") ?? family.defaultCounts["num_key_value_heads"]
                ?? headCount, headDimension: headDimension,
            contextLength: ropes.contextLength,
            normEpsilon: Float(try reader.positiveNumber("rms_norm_eps") ?? 1e-6),
            activation: try family.activation(reader), softmaxScale: 1 / Float(headDimension).squareRoot(),
            rotaries: ropes.rotaries,
            layers: try family.layers(reader, count: layerCount, hasLocalRotary: ropes.rotaries.count > 1),
            tiesEmbeddings: try outer.flag("tie_word_embeddings") ?? reader.flag("tie_word_embeddings"))
        try family.adjust(&self, reader)
        try checkShape()
    }

    /// Relations between sizes that the forward pass relies on.
    func checkShape() throws {
        guard layerCount <= 4096 else {
            throw ModelError(.invalidConfig, "\(layerCount) layers are more than any model has (limit 4096)")
        }
        guard headCount.isMultiple(of: keyValueHeadCount) else {
            throw ModelError(
                .invalidConfig, "\(headCount) attention heads can't share \(keyValueHeadCount) key-value heads evenly")
        }
        guard headDimension <= 1024, headCount <= 4096 else {
            throw ModelError(
                .unsupported, "\(headCount) heads of \(headDimension) elements exceed what is supported (4096, 1024)")
        }
    }
}

/// The families we read from config.json, and what each adds to the common llama form.
private enum HuggingFaceFamily {
    case llama, mistral, qwen2, qwen3, gemma2, gemma3, phi3, granite

    static let namesForUsers = "llama, mistral, qwen2, qwen3, gemma2, gemma3, phi3, granite"

    init?(modelType: String) {
        switch modelType {
        case "llama": self = .llama
        case "mistral": self = .mistral
        case "qwen2": self = .qwen2
        case "qwen3": self = .qwen3
        case "gemma2": self = .gemma2
        case "gemma3_text", "gemma3": self = .gemma3
        case "phi3": self = .phi3
        case "granite": self = .granite
        default: return nil
        }
    }

    var isGemma: Bool { self == .gemma2 || self == .gemma3 }

    /// Counts that files of the family leave out where they are these. (Gemma 3's text configs hold only what differs
    /// from the defaults of transformers' `Gemma3TextConfig`.)
    var defaultCounts: [String: Int] {
        self == .gemma3 ? ["vocab_size": 262_208, "num_attention_heads": 8, "num_key_value_heads": 4] : [:]
    }

    func count(_ name: String, _ reader: ConfigReader) throws -> Int {
        guard let count = try reader.count(name) ?? defaultCounts[name] else { throw reader.missing(name) }
        return count
    }

    /// Rotary base where the file states none.
    var defaultRopeBase: Double { self == .gemma3 ? 1_000_000 : 10_000 }

    func activation(_ reader: ConfigReader) throws -> GatedActivation {
        let name = try isGemma ? reader.string("hidden_activation") : reader.string("hidden_act")
        switch name ?? (isGemma ? "gelu_pytorch_tanh" : "silu") {
        case "silu", "swish": return .silu
        case "gelu_pytorch_tanh", "gelu_new", "gelu_fast": return .geluTanh
        case "gelu": return .geluErf
        case let other:
            throw ModelError(
                .unsupported,
                "config.json: activation \"\(other)\" is not supported (supported: silu, gelu, gelu_pytorch_tanh)")
        }
    }

    func layers(
        _ reader: ConfigReader, count: Int, hasLocalRotary: Bool
    ) throws -> [DecoderConfig.Layer] {
        let window = try slidingWindow(reader)
        let isSliding: [Bool]
        if let types = reader.value("layer_types") {
            guard let types = types.arrayValue, types.count == count else {
                throw ModelError(.invalidConfig, "config.json: layer_types: expected \(count) names")
            }
            isSliding = try types.map { type throws in
                switch type.stringValue {
                case "sliding_attention": return true
                case "full_attention": return false
                default:
                    throw reader.invalid("layer_types", "expected sliding_attention or full_attention", found: type)
                }
            }
        } else {
            isSliding = try slidingByPosition(reader, count: count)
        }
        if isSliding.contains(true), window == nil, isGemma { throw reader.missing("sliding_window") }
        return isSliding.map { isSliding in
            DecoderConfig.Layer(
                slidingWindow: isSliding ? window : nil, rotaryIndex: isSliding && hasLocalRotary ? 1 : 0)
        }
    }

    private func slidingWindow(_ reader: ConfigReader) throws -> Int? {
        switch self {
        case .llama, .granite: return nil
        case .qwen2, .qwen3:
            return try reader.flag("use_sliding_window") ?? false ? reader.count("sliding_window") : nil
        case .mistral, .phi3, .gemma2, .gemma3: return try reader.count("sliding_window")
        }
    }

    private func slidingByPosition(_ reader: ConfigReader, count: Int) throws -> [Bool] {
        switch self {
        case .gemma2: return (0..<count).map { $0.isMultiple(of: 2) }
        case .gemma3:
            let pattern = try reader.count("sliding_window_pattern") ?? reader.count("_sliding_window_pattern") ?? 6
            return (0..<count).map { !($0 + 1).isMultiple(of: pattern) }
        case .qwen2, .qwen3:
            let first = try reader.number("max_window_layers") ?? 28
            return (0..<count).map { Double($0) >= first }
        case .mistral, .phi3: return Array(repeating: true, count: count)
        case .llama, .granite: return Array(repeating: false, count: count)
        }
    }

    func adjust(_ config: inout DecoderConfig, _ reader: ConfigReader) throws {
        switch self {
        case .llama, .mistral, .qwen2, .qwen3, .phi3: break
        case .gemma2, .gemma3:
            config.normWeightOffset = 1
            config.embeddingScale = Float(config.hiddenSize).squareRoot()
            let scalar = try reader.positiveNumber("query_pre_attn_scalar") ?? 256
            config.softmaxScale = Float(1 / scalar.squareRoot())
            config.attentionSoftCap = try softCap(reader, "attn_logit_softcapping", default: 50)
            config.logitSoftCap = try softCap(reader, "final_logit_softcapping", default: 30)
            config.tiesEmbeddings = config.tiesEmbeddings ?? true
        case .granite:
            config.embeddingScale = Float(try reader.positiveNumber("embedding_multiplier") ?? 1)
            config.residualScale = Float(try reader.positiveNumber("residual_multiplier") ?? 1)
            config.softmaxScale = Float(try reader.positiveNumber("attention_multiplier") ?? 1)
            config.logitScale = Float(1 / (try reader.positiveNumber("logits_scaling") ?? 1))
        }
    }

    /// Gemma 2 caps by default and switches off by null; Gemma 3 caps only where a number is given.
    private func softCap(_ reader: ConfigReader, _ name: String, default cap: Double) throws -> Float? {
        if let stated = try reader.positiveNumber(name) { return Float(stated) }
        return self == .gemma2 && reader.object[name] == nil ? Float(cap) : nil
    }
}

/// The rotations of a config.json and the context length that goes with them.
private struct HuggingFaceRopes {
    private(set) var rotaries: [RotaryEmbedding] = []
    private(set) var contextLength: Int
    private let reader: ConfigReader
    private let headDimension: Int
    private let requestedContext: Int?
    private let statedContext: Int

    init(
        _ reader: ConfigReader, family: HuggingFaceFamily, headDimension: Int, requestedContext: Int?
    ) throws {
        self.reader = reader
        self.headDimension = headDimension
        self.requestedContext = requestedContext
        statedContext = try reader.count("max_position_embeddings") ?? (family == .gemma3 ? 131_072 : 4096)
        contextLength = requestedContext ?? statedContext
        let base = try reader.positiveNumber("rope_theta") ?? family.defaultRopeBase
        if let parameters = try reader.nested("rope_parameters") {
            if let full = try parameters.nested("full_attention") {
                try append(full, base: base)
                if let sliding = try parameters.nested("sliding_attention") { try append(sliding, base: 10_000) }
            } else {
                try append(parameters, base: base)
            }
        } else {
            try append(try reader.nested("rope_scaling"), base: base)
        }
        if family == .gemma3, rotaries.count == 1 {
            try append(nil, base: try reader.positiveNumber("rope_local_base_freq") ?? 10_000)
        }
        if let requestedContext, requestedContext > statedContext {
            throw ModelError(
                .invalidConfig,
                "context of \(requestedContext) tokens exceeds the model's \(statedContext) (max_position_embeddings)")
        }
    }

    private mutating func append(_ parameters: ConfigReader?, base defaultBase: Double) throws {
        let base = try parameters?.positiveNumber("rope_theta") ?? defaultBase
        let fraction =
            try parameters?.positiveNumber("partial_rotary_factor") ?? reader.positiveNumber("partial_rotary_factor")
            ?? 1
        guard base > 1, fraction <= 1 else {
            throw ModelError(
                .invalidConfig, "config.json: rope_theta \(base) must exceed 1, partial_rotary_factor \(fraction) not")
        }
        let rotatedCount = Int(Double(headDimension) * fraction) / 2 * 2
        var scaling = RopeScaling.none
        if let parameters { scaling = try self.scaling(parameters, pairCount: rotatedCount / 2) }
        rotaries.append(
            RotaryEmbedding(
                headDimension: headDimension,
                inverseFrequencies: scaling.inverseFrequencies(base: base, rotatedCount: rotatedCount),
                magnitude: scaling.magnitude, pairing: .halves))
    }

    private mutating func scaling(_ parameters: ConfigReader, pairCount: Int) throws -> RopeScaling {
        let type = try parameters.string("rope_type") ?? parameters.string("type") ?? "default"
        switch type {
        case "default", "mrope": return .none
        case "dynamic":
            // Only stretches beyond the trained length, which is never served here.
            return .none
        case "linear": return .linear(factor: try parameters.requiredPositiveNumber("factor"))
        case "llama3":
            return .llama3(
                factor: try parameters.requiredPositiveNumber("factor"),
                lowFrequencyFactor: try parameters.requiredPositiveNumber("low_freq_factor"),
                highFrequencyFactor: try parameters.requiredPositiveNumber("high_freq_factor"),
                originalContext: try parameters.requiredPositiveNumber("original_max_position_embeddings"))
        case "yarn": return try yarn(parameters)
        case "longrope", "su": return try longRope(parameters, pairCount: pairCount)
        default:
            throw ModelError(
                .unsupported,
                "config.json: rope scaling \"\(type)\" is not supported "
                    + "(supported: default, linear, dynamic, llama3, yarn, longrope)")
        }
    }

    private func yarn(_ parameters: ConfigReader) throws -> RopeScaling {
        let original = try parameters.positiveNumber("original_max_position_embeddings") ?? Double(statedContext)
        let factor = try parameters.positiveNumber("factor") ?? Double(statedContext) / original
        let magnitude: Double
        if let stated = try parameters.positiveNumber("attention_factor") {
            magnitude = stated
        } else if let weight = try parameters.number("mscale"), let all = try parameters.number("mscale_all_dim"),
            weight != 0, all != 0
        {
            magnitude =
                RopeScaling.yarnMagnitude(factor: factor, weight: weight)
                / RopeScaling.yarnMagnitude(factor: factor, weight: all)
        } else {
            magnitude = RopeScaling.yarnMagnitude(factor: factor)
        }
        return .yarn(
            factor: factor, betaFast: try parameters.positiveNumber("beta_fast") ?? 32,
            betaSlow: try parameters.positiveNumber("beta_slow") ?? 1, originalContext: original,
            truncate: try parameters.flag("truncate") ?? true, magnitude: magnitude)
    }

    private mutating func longRope(_ parameters: ConfigReader, pairCount: Int) throws -> RopeScaling {
        let topLevel = try reader.count("original_max_position_embeddings")
        let original = try topLevel ?? parameters.count("original_max_position_embeddings") ?? statedContext
        let isLong = (requestedContext ?? original) > original
        contextLength = requestedContext ?? original
        let divisors = try parameters.positiveNumbers(isLong ? "long_factor" : "short_factor", count: pairCount)
        // A length at the top level outranks a stated factor, as in the reference.
        let ratio = Double(statedContext) / Double(original)
        let factor = topLevel == nil ? try parameters.positiveNumber("factor") ?? ratio : ratio
        return .divisors(
            divisors,
            magnitude: try parameters.positiveNumber("attention_factor")
                ?? RopeScaling.longRopeMagnitude(factor: factor, originalContext: Double(original)))
    }
}
