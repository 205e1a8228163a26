import ServingModels
import ServingTensors

/// Which part of a decoder a module's name means.
enum AdapterModule: Hashable {
    case embedding
    case head
    case finalNorm
    case linear(layer: Int, Linear)
    case norm(layer: Int, Norm)

    /// Linear modules of a layer, by Hugging Face's names; the fused ones hold rows of several.
    enum Linear: String, CaseIterable {
        case query = "self_attn.q_proj"
        case key = "self_attn.k_proj"
        case value = "self_attn.v_proj"
        case output = "self_attn.o_proj"
        case gate = "mlp.gate_proj"
        case up = "mlp.up_proj"
        case down = "mlp.down_proj"
        case queryKeyValue = "self_attn.qkv_proj"
        case gateUp = "mlp.gate_up_proj"

        /// What the rows of a fused module are; the module itself where it is not fused.
        var parts: [Linear] {
            switch self {
            case .queryKeyValue: [.query, .key, .value]
            case .gateUp: [.gate, .up]
            default: [self]
            }
        }

        /// (out, in).
        func shape(_ config: DecoderConfig) -> [Int] {
            let queryRows = config.headCount * config.headDimension
            let keyRows = config.keyValueHeadCount * config.headDimension
            return switch self {
            case .query: [queryRows, config.hiddenSize]
            case .key, .value: [keyRows, config.hiddenSize]
            case .output: [config.hiddenSize, queryRows]
            case .gate, .up: [config.feedForwardSize, config.hiddenSize]
            case .down: [config.hiddenSize, config.feedForwardSize]
            case .queryKeyValue: [queryRows + 2 * keyRows, config.hiddenSize]
            case .gateUp: [2 * config.feedForwardSize, config.hiddenSize]
            }
        }
    }

    /// Norms of a layer.
    enum Norm: Hashable {
        case attention, query, key, postAttention, feedForward, postFeedForward
    }

    /// Finds a module by its name in a Hugging Face model; prefixes of text towers are as good as none.
    ///
    /// - Parameter hasSandwichNorms: whether `post_attention_layernorm` is a norm on attention's result, not before the
    ///   feed-forward layer.
    init?(_ name: String, hasSandwichNorms: Bool) {
        var words = name.split(separator: ".").map(String.init)[...]
        while let first = words.first, words.count > 1, ["model", "language_model"].contains(first) {
            words = words.dropFirst()
        }
        switch words.joined(separator: ".") {
        case "embed_tokens": self = .embedding
        case "lm_head": self = .head
        case "norm": self = .finalNorm
        default:
            guard words.count >= 3, words.removeFirst() == "layers", let number = words.popFirst(),
                let layer = Int(number), layer >= 0, String(layer) == number
            else { return nil }
            let rest = words.joined(separator: ".")
            if let linear = Linear(rawValue: rest) {
                self = .linear(layer: layer, linear)
            } else if let norm = Norm(rest, hasSandwichNorms: hasSandwichNorms) {
                self = .norm(layer: layer, norm)
            } else {
                return nil
            }
        }
    }

    var layer: Int? {
        switch self {
        case .embedding, .head, .finalNorm: nil
        case .linear(let layer, _), .norm(let layer, _): layer
        }
    }
}

extension AdapterModule.Norm {
    fileprivate init?(_ name: String, hasSandwichNorms: Bool) {
        switch name {
        case "input_layernorm": self = .attention
        case "self_attn.q_norm": self = .query
        case "self_attn.k_norm": self = .key
        case "post_attention_layernorm": self = hasSandwichNorms ? .postAttention : .feedForward
        case "pre_feedforward_layernorm" where hasSandwichNorms: self = .feedForward
        case "post_feedforward_layernorm" where hasSandwichNorms: self = .postFeedForward
        default: return nil
        }
    }
}
