import Foundation
import ServingJSON
import ServingModelFiles
import ServingTensors
import Testing

/// Writes a Hugging Face folder's model as converters to GGUF do: names and metadata of the GGUF specification, query
/// and key rows of llama reordered so that neighbours turn together, Gemma's norm weights plus one.
struct GGUFConversion {
    private let folder: ModelFolder
    private let architecture: String
    private let matrixType: TensorType

    /// - Parameter matrixType: F32 or Q8_0, for all but norms and biases.
    init(_ fixture: ModelFixture, matrixType: TensorType = .f32) throws {
        folder = try fixture.folder()
        self.matrixType = matrixType
        switch folder.config["model_type"]?.stringValue {
        case "llama", "mistral": architecture = "llama"
        case "gemma3_text": architecture = "gemma3"
        case let name: architecture = try #require(name)
        }
    }

    private var isGemma: Bool { architecture.hasPrefix("gemma") }

    /// The file, in memory.
    func file() throws -> GGUFFile {
        var writer = GGUFWriter()
        writer.set("general.architecture", .string(architecture))
        try addSizes(to: &writer)
        try addRope(to: &writer)
        let shards = try folder.openTensors()
        for name in shards.names {
            let tensor = try #require(try shards.tensor(named: name))
            try add(tensor, as: Self.name(of: name, isGemma: isGemma), to: &writer)
        }
        return try GGUFFile(MappedFile(name: architecture, copying: writer.bytes()))
    }

    private func count(_ name: String) -> UInt32? { folder.config[name]?.intValue.map { UInt32($0) } }

    private func addSizes(to writer: inout GGUFWriter) throws {
        let counts = [
            ("block_count", "num_hidden_layers"), ("embedding_length", "hidden_size"),
            ("feed_forward_length", "intermediate_size"), ("attention.head_count", "num_attention_heads"),
            ("attention.head_count_kv", "num_key_value_heads"), ("context_length", "max_position_embeddings"),
            ("attention.key_length", "head_dim"), ("attention.value_length", "head_dim"),
            ("attention.sliding_window", "sliding_window"),
        ]
        for (key, name) in counts {
            if let count = count(name) { writer.set("\(architecture).\(key)", .uint32(count)) }
        }
        let numbers = [
            ("attention.layer_norm_rms_epsilon", "rms_norm_eps"), ("attn_logit_softcapping", "attn_logit_softcapping"),
            ("final_logit_softcapping", "final_logit_softcapping"),
        ]
        for (key, name) in numbers {
            if let number = folder.config[name]?.doubleValue {
                writer.set("\(architecture).\(key)", .float32(Float(number)))
            }
        }
    }

    private func addRope(to writer: inout GGUFWriter) throws {
        let parameters = folder.config["rope_parameters"]
        let rope = parameters?["full_attention"] ?? parameters ?? folder.config["rope_scaling"]
        let base = rope?["rope_theta"]?.doubleValue ?? folder.config["rope_theta"]?.doubleValue ?? 10_000
        writer.set("\(architecture).rope.freq_base", .float32(Float(base)))
        switch rope?["rope_type"]?.stringValue ?? rope?["type"]?.stringValue {
        case "linear":
            writer.set("\(architecture).rope.scaling.type", .string("linear"))
            writer.set(
                "\(architecture).rope.scaling.factor", .float32(Float(try #require(rope?["factor"]?.doubleValue))))
        case "llama3":
            let divisors = try llama3Divisors(try #require(rope), base: base)
            writer.add("rope_freqs.weight", .f32, shape: [divisors.count], bytes: divisors.littleEndianBytes)
        default: break
        }
    }

    /// Llama 3.1's scaling as one divisor a pair.
    private func llama3Divisors(_ rope: JSONValue, base: Double) throws -> [Float] {
        func number(_ name: String) throws -> Double { try #require(rope[name]?.doubleValue) }
        let (factor, low, high) = (try number("factor"), try number("low_freq_factor"), try number("high_freq_factor"))
        let original = try number("original_max_position_embeddings")
        let width = Int(
            try #require(count("head_dim") ?? count("hidden_size").map { $0 / (count("num_attention_heads") ?? 1) }))
        return stride(from: 0, to: width, by: 2).map { element in
            let turns = original * pow(base, -Double(element) / Double(width)) / (2 * Double.pi)
            if turns < low { return Float(factor) }
            if turns > high { return 1 }
            let smooth = (turns - low) / (high - low)
            return Float(1 / ((1 - smooth) / factor + smooth))
        }
    }

    private func add(_ tensor: StoredTensor, as name: String, to writer: inout GGUFWriter) throws {
        var values = try tensor.floats()
        if isGemma, name.contains("norm") { values = values.map { $0 + 1 } }
        for (part, heads) in [("attn_q.", "num_attention_heads"), ("attn_k.", "num_key_value_heads")]
        where architecture == "llama" && name.contains(part) {
            values = Self.withNeighbours(
                values, headCount: Int(try #require(count(heads))),
                columns: tensor.shape.count == 2 ? tensor.shape[1] : 1)
        }
        let isMatrix = tensor.shape.count == 2
        if isMatrix, matrixType == .q8_0 {
            writer.add(name, .q8_0, shape: tensor.shape, bytes: Self.q8(values))
        } else {
            writer.add(name, .f32, shape: tensor.shape, bytes: values.littleEndianBytes)
        }
    }

    /// Rows i and i + D / 2 of each head side by side.
    private static func withNeighbours(_ values: [Float], headCount: Int, columns: Int) -> [Float] {
        let width = values.count / headCount / columns
        var result: [Float] = []
        for head in 0..<headCount {
            for pair in 0..<width / 2 {
                for row in [pair, pair + width / 2] {
                    let start = (head * width + row) * columns
                    result += values[start..<start + columns]
                }
            }
        }
        return result
    }

    /// Blocks of 32: a half-precision scale and 32 signed bytes (ggml-common.h, `block_q8_0`).
    private static func q8(_ values: [Float]) -> [UInt8] {
        var bytes: [UInt8] = []
        for start in stride(from: 0, to: values.count, by: 32) {
            let block = values[start..<start + 32]
            let scale = (block.map(abs).max() ?? 0) / 127
            withUnsafeBytes(of: Float16(scale).bitPattern.littleEndian) { bytes += $0 }
            for value in block {
                let level = scale == 0 ? 0 : (value / scale).rounded()
                bytes.append(UInt8(bitPattern: Int8(max(-127, min(127, level)))))
            }
        }
        return bytes
    }

    private static func name(of name: String, isGemma: Bool) -> String {
        let replacements = [
            ("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"), ("lm_head", "output"),
            ("model.layers.", "blk."), ("input_layernorm", "attn_norm"), ("self_attn.q_proj", "attn_q"),
            ("self_attn.k_proj", "attn_k"), ("self_attn.v_proj", "attn_v"), ("self_attn.qkv_proj", "attn_qkv"),
            ("self_attn.o_proj", "attn_output"), ("self_attn.q_norm", "attn_q_norm"),
            ("self_attn.k_norm", "attn_k_norm"),
            ("post_attention_layernorm", isGemma ? "post_attention_norm" : "ffn_norm"),
            ("pre_feedforward_layernorm", "ffn_norm"), ("post_feedforward_layernorm", "post_ffw_norm"),
            ("mlp.gate_up_proj", "ffn_up"), ("mlp.gate_proj", "ffn_gate"), ("mlp.up_proj", "ffn_up"),
            ("mlp.down_proj", "ffn_down"),
        ]
        return replacements.reduce(name) { $0.replacingOccurrences(of: $1.0, with: $1.1) }
    }
}

extension StoredTensor {
    /// The elements of an F32 or BF16 tensor.
    func floats() throws -> [Float] {
        defer { withExtendedLifetime(owner) {} }
        let elementCount = shape.reduce(1, *)
        switch type {
        case .f32: return (0..<elementCount).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
        case .bf16:
            return (0..<elementCount).map {
                Float(bitPattern: UInt32(bytes.loadUnaligned(fromByteOffset: 2 * $0, as: UInt16.self)) << 16)
            }
        default:
            Issue.record("unexpected \(type.name)")
            return []
        }
    }
}

extension [Float] {
    /// The elements as they stand in files.
    var littleEndianBytes: [UInt8] {
        flatMap { value in Swift.withUnsafeBytes(of: value.bitPattern.littleEndian) { [UInt8]($0) } }
    }
}
