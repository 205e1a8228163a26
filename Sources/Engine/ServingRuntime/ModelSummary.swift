public import ServingJSON
import ServingModelFiles
import ServingModels
import ServingTensors

/// What a model is made of, read from its files without loading weights.
public struct ModelSummary: Sendable {
    /// The facts by name, sizes in bytes.
    public let json: JSONValue

    /// Reads a GGUF file or a Hugging Face folder.
    public init(path: String) throws {
        let source = try ModelSource.detect(path: path)
        let description: ModelDescription
        let format: String
        let tokenizer: String?
        switch source {
        case .gguf(let path):
            let file = try GGUFFile(path: path)
            description = try ModelDescription(gguf: file)
            format = "GGUF v\(file.version)"
            tokenizer = [file["tokenizer.ggml.model"]?.stringValue, file["tokenizer.ggml.pre"]?.stringValue]
                .compactMap { $0 }.joined(separator: ", ")
        case .folder(let path):
            let folder = try ModelFolder(path: path)
            description = try ModelDescription(folder: folder)
            format = "Hugging Face folder"
            tokenizer = folder.tokenizer.tokenizerJSONPath ?? folder.tokenizer.tokenizerModelPath
        default:
            throw RuntimeError(.notAModel, "\(path) holds no model's weights")
        }
        json = Self.facts(description, path: path, format: format, tokenizer: tokenizer)
    }

    private static func facts(
        _ description: ModelDescription, path: String, format: String, tokenizer: String?
    ) -> JSONValue {
        let config = description.config
        let tensors = description.weights.allTensors
        var types: [String: Int] = [:]
        for tensor in tensors { types[tensor.type.name, default: 0] += 1 }
        let parameters = tensors.reduce(0) { $0 + $1.rowCount * $1.columnCount }
        let bytes = tensors.reduce(0) { $0 + $1.bytes.count }
        let windows = Set(config.layers.compactMap(\.slidingWindow))
        var object = JSONObject([
            ("path", .string(path)), ("format", .string(format)), ("architecture", .string(config.architecture)),
            ("parameters", .integer(Int64(parameters))), ("weight_bytes", .integer(Int64(bytes))),
        ])
        let ranked = types.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
        object["tensor_types"] = .string(ranked.map { "\($0.key) x \($0.value)" }.joined(separator: ", "))
        let counts: [(String, Int)] = [
            ("layers", config.layerCount), ("hidden_size", config.hiddenSize),
            ("feed_forward_size", config.feedForwardSize), ("attention_heads", config.headCount),
            ("key_value_heads", config.keyValueHeadCount), ("head_dimension", config.headDimension),
            ("vocabulary", config.vocabularyCount), ("context_length", config.contextLength),
        ]
        for (name, value) in counts { object[name] = .integer(Int64(value)) }
        if let window = windows.max() { object["sliding_window"] = .integer(Int64(window)) }
        if let tokenizer, !tokenizer.isEmpty { object["tokenizer"] = .string(tokenizer) }
        return .object(object)
    }
}

extension DecoderWeights {
    /// Every tensor once.
    fileprivate var allTensors: [StoredTensor] {
        var tensors = [embedding, finalNorm]
        if head.weight.name != embedding.name { tensors.append(head.weight) }
        tensors += [head.bias].compactMap { $0 }
        for layer in layers {
            let linears = [layer.query, layer.key, layer.value, layer.output, layer.gate, layer.up, layer.down]
            tensors += linears.map(\.weight) + linears.compactMap(\.bias)
            tensors += [layer.attentionNorm, layer.feedForwardNorm]
            tensors += [layer.queryNorm, layer.keyNorm, layer.postAttentionNorm, layer.postFeedForwardNorm]
                .compactMap { $0 }
        }
        return tensors
    }
}
