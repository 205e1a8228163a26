import ServingJSON
public import ServingModelFiles
import ServingTensors

/// A model as its files describe it: config and weights by role, ready to be uploaded to a backend.
public struct ModelDescription: Sendable {
    /// What the model is.
    public let config: DecoderConfig
    /// Its tensors, still in the files.
    public let weights: DecoderWeights

    /// A model put together from its parts.
    public init(config: DecoderConfig, weights: DecoderWeights) {
        self.config = config
        self.weights = weights
    }

    /// Describes the model of a GGUF file.
    ///
    /// - Parameter contextLength: the longest sequence to be served, or nil for what the model was made for.
    public init(gguf file: GGUFFile, contextLength: Int? = nil) throws {
        config = try DecoderConfig(gguf: file, contextLength: contextLength)
        // Phi-3 has gate and up in one tensor, which is then called "up" and twice as tall.
        let up = file.tensor(named: "blk.0.ffn_up.weight")
        let hasFusedGateUp = up?.shape.first == 2 * config.feedForwardSize
        weights = try DecoderWeights(
            tensors: file.tensors, naming: .gguf(hasFusedGateUp: hasFusedGateUp), config: config)
    }

    /// Describes the model of a Hugging Face folder.
    public init(folder: ModelFolder, contextLength: Int? = nil) throws {
        guard let configObject = folder.config.objectValue else {
            throw ModelError(.invalidConfig, "config.json: expected an object")
        }
        config = try DecoderConfig(huggingFace: configObject, contextLength: contextLength)
        let shards: SafetensorsShards
        do {
            shards = try folder.openTensors()
        } catch {
            throw ModelError(.invalidWeights, error.description)
        }
        let names = Set(shards.names)
        // Text towers of multimodal checkpoints carry a longer prefix, and sit beside towers we don't run.
        let prefixes = ["model.", "language_model.model.", "model.language_model.", ""]
        guard let prefix = prefixes.first(where: { names.contains("\($0)embed_tokens.weight") }) else {
            throw ModelError(.invalidWeights, "tensor \"model.embed_tokens.weight\" is missing")
        }
        let isTextTower = prefix.contains("language_model")
        let hasSandwichNorms = config.normWeightOffset == 1
        var naming = TensorNaming.huggingFace(prefix: prefix, hasSandwichNorms: hasSandwichNorms)
        if isTextTower, names.contains("language_model.lm_head.weight") {
            naming.head = "language_model.lm_head.weight"
        }
        var tensors: [StoredTensor] = []
        for name in shards.names where naming.mayUse(name, isTextTower: isTextTower) {
            do {
                if let tensor = try shards.tensor(named: name) { tensors.append(tensor) }
            } catch {
                throw ModelError(.invalidWeights, error.description)
            }
        }
        weights = try DecoderWeights(tensors: tensors, naming: naming, config: config)
    }
}

extension TensorNaming {
    /// Whether a tensor of the file belongs to the decoder at all.
    fileprivate func mayUse(_ name: String, isTextTower: Bool) -> Bool {
        (!isTextTower || name.contains("language_model") || name == head)
            && !ignoredSuffixes.contains { name.hasSuffix($0) }
    }
}
