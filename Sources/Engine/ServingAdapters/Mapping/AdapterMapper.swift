import ServingModelFiles
public import ServingModels
import ServingTensors

extension AdapterFolder {
    /// What the adapter does to one model: every tensor of the file by role, each used exactly once.
    ///
    /// Query and key rows are brought into the order of `base` where a GGUF file has its own. Tensors stay in the
    /// memory of this folder where nothing about them changes. A table saved beside an update of embedding or head that
    /// equals the model's own is left out.
    /// - Parameters:
    ///   - decoder: the model.
    ///   - base: its weights, which say what is tied and which norms there are.
    /// - Throws: `incompatible` where shapes or layers are not this model's, `invalidAdapter` where tensors and config
    ///   contradict each other or values are not finite, `unsupported` for tensors that would not be applied.
    public func weights(for decoder: DecoderConfig, base: DecoderWeights) throws(AdapterError) -> AdapterWeights {
        var mapper = AdapterMapper(config: config, decoder: decoder, base: base)
        for entry in tensors.entries {
            if let tensor = try tensor(entry) { try mapper.add(tensor) }
        }
        return try mapper.weights()
    }
}

/// Sorts an adapter's tensors by module and turns them into updates of a model.
struct AdapterMapper {
    let config: AdapterConfig
    let decoder: DecoderConfig
    let base: DecoderWeights
    private(set) var modules: [AdapterModule: AdapterModuleTensors] = [:]

    init(config: AdapterConfig, decoder: DecoderConfig, base: DecoderWeights) {
        self.config = config
        self.decoder = decoder
        self.base = base
    }

    private var hasSandwichNorms: Bool { base.layers.first?.postAttentionNorm != nil }

    /// Takes one tensor of the file.
    mutating func add(_ tensor: StoredTensor) throws(AdapterError) {
        guard let name = AdapterTensorName(tensor.name),
            let module = AdapterModule(name.module, hasSandwichNorms: hasSandwichNorms)
        else {
            throw AdapterError(
                .unsupported,
                "tensor \(Self.shown(tensor)) would not be used: this model, of architecture \(decoder.architecture), has "
                    + "no such part")
        }
        if let layer = module.layer, layer >= decoder.layerCount {
            throw AdapterError(
                .incompatible,
                "tensor \(Self.shown(tensor)) changes layer \(layer), the model has layers 0 to "
                    + "\(decoder.layerCount - 1)\(guess)")
        }
        try modules.add(tensor, name, module)
    }

    /// All updates.
    func weights() throws(AdapterError) -> AdapterWeights {
        try AdapterConsistency(config: config, layerCount: decoder.layerCount, modules: modules).check()
        var weights = AdapterWeights(layerCount: decoder.layerCount)
        weights.normWeightOffset = decoder.architecture.hasPrefix("gemma") ? 1 : 0
        for (module, tensors) in modules.sorted(by: { $0.value.name < $1.value.name }) {
            switch module {
            case .embedding: weights.embedding = try embedding(tensors)
            case .head:
                weights.head = try linear(tensors, [decoder.vocabularyCount, decoder.hiddenSize], of: base.head.weight)
            case .finalNorm: weights.finalNorm = try norm(tensors, decoder.hiddenSize, exists: true)
            case .norm(let layer, let norm): try add(norm, tensors, to: &weights.layers[layer], base.layers[layer])
            case .linear(let layer, let linear): try add(linear, tensors, to: &weights.layers[layer])
            }
        }
        try shareTable(&weights)
        return weights
    }

    static func shown(_ tensor: StoredTensor) -> String { AdapterConfigReader.shown(tensor.name) }

    /// The end of a message about shapes that do not fit.
    private var guess: String {
        let name = config.baseModel.map { ", it names \(AdapterConfigReader.shown($0)) as its base" } ?? ""
        return ": the adapter was probably made for another model\(name)"
    }

    private func check(_ tensor: StoredTensor, _ shape: [Int]) throws(AdapterError) {
        guard tensor.shape != shape else { return }
        throw AdapterError(
            .incompatible,
            "tensor \(Self.shown(tensor)) has shape \(tensor.shape), this model needs \(shape)\(guess)")
    }

    // MARK: Parts

    /// The two factors and the bias, for a module of shape (out, in).
    private func lowRank(
        _ tensors: AdapterModuleTensors, _ shape: [Int], a: AdapterTensorName.Part, b: AdapterTensorName.Part
    ) throws(AdapterError) -> LowRankUpdate? {
        guard let (loraA, loraB) = try tensors.factors(a, b, config) else { return nil }
        let rank = config.rank(of: tensors.name)
        try check(loraA, [rank, shape[1]])
        try check(loraB, [shape[0], rank])
        let bias = tensors.parts[.loraBias]
        if let bias { try check(bias, [shape[0]]) }
        return LowRankUpdate(
            loraA: loraA, loraB: loraB, scaling: Float(config.scaling(of: tensors.name)), bias: bias)
    }

    /// Everything that is done to a linear module of shape (out, in).
    private func linear(
        _ tensors: AdapterModuleTensors, _ shape: [Int], of baseWeight: StoredTensor? = nil
    ) throws(AdapterError) -> LinearUpdate? {
        if let tensor = tensors.parts[.embeddingA] ?? tensors.parts[.embeddingB] {
            throw AdapterError(
                .invalidAdapter, "tensor \(Self.shown(tensor)) is for an embedding, \(tensors.name) is a linear module")
        }
        var update = LinearUpdate(lowRank: try lowRank(tensors, shape, a: .loraA, b: .loraB))
        if let magnitude = tensors.parts[.magnitude] {
            update.magnitude = magnitude.flattened()
            if magnitude.shape.count > 2 || update.magnitude?.shape != [shape[0]] { try check(magnitude, [shape[0]]) }
        }
        if let bias = tensors.parts[.bias] {
            try check(bias, [shape[0]])
            update.bias = bias
        }
        if let weight = tensors.parts[.weight] {
            try check(weight, shape)
            if !(baseWeight?.holdsSameValues(as: weight) ?? false) { update.weight = weight }
        }
        let isEmpty = update.lowRank == nil && update.bias == nil && update.weight == nil
        return isEmpty ? nil : update
    }

    private func embedding(_ tensors: AdapterModuleTensors) throws(AdapterError) -> EmbeddingUpdate? {
        let shape = [decoder.vocabularyCount, decoder.hiddenSize]
        for part in [AdapterTensorName.Part.loraA, .loraB, .loraBias, .bias, .magnitude] {
            guard let tensor = tensors.parts[part] else { continue }
            throw AdapterError(
                .unsupported,
                part == .magnitude
                    ? "tensor \(Self.shown(tensor)): DoRA on embeddings is not supported"
                    : "tensor \(Self.shown(tensor)) would not be used: the embedding is no linear module")
        }
        // As (out, in) the embedding is (E, V): its factors are A (R, V) and B (E, R).
        var update = EmbeddingUpdate(
            lowRank: try lowRank(tensors, shape.reversed(), a: .embeddingA, b: .embeddingB))
        if let table = tensors.parts[.weight] {
            try check(table, shape)
            if !base.embedding.holdsSameValues(as: table) { update.table = table }
        }
        return update.lowRank == nil && update.table == nil ? nil : update
    }

    /// Where head and embedding are one tensor in the model, a table saved beside an update stands in for both, as it
    /// does in PEFT, which loads it into the one tensor. A module that was trained in full is a copy of its own.
    private func shareTable(_ weights: inout AdapterWeights) throws(AdapterError) {
        guard base.head.weight.bytes.baseAddress == base.embedding.bytes.baseAddress else { return }
        if config.ensuresWeightTying, weights.embedding != nil || weights.head != nil {
            throw AdapterError(
                .unsupported,
                "\(AdapterConfig.fileName): ensure_weight_tying is set: changing embedding and head as one is not supported"
            )
        }
        if let table = weights.embedding?.table, weights.embedding?.lowRank != nil,
            modules[.head]?.parts[.weight] == nil
        {
            if weights.head == nil { weights.head = LinearUpdate() }
            weights.head?.weight = table
        } else if let table = weights.head?.weight, weights.head?.lowRank != nil,
            modules[.embedding]?.parts[.weight] == nil
        {
            if weights.embedding == nil { weights.embedding = EmbeddingUpdate() }
            weights.embedding?.table = table
        }
    }

    private func norm(
        _ tensors: AdapterModuleTensors, _ count: Int, exists: Bool
    ) throws(AdapterError) -> StoredTensor? {
        for (part, tensor) in tensors.parts where part != .weight || !exists {
            throw AdapterError(
                .unsupported,
                "tensor \(Self.shown(tensor)) would not be used: "
                    + (exists ? "norms have a weight only" : "this model has no such norm"))
        }
        guard let weight = tensors.parts[.weight] else { return nil }
        try check(weight, [count])
        return weight
    }

    private func add(
        _ norm: AdapterModule.Norm, _ tensors: AdapterModuleTensors, to update: inout DecoderLayerUpdate,
        _ base: DecoderLayerWeights
    ) throws(AdapterError) {
        let (hidden, head) = (decoder.hiddenSize, decoder.headDimension)
        switch norm {
        case .attention: update.attentionNorm = try self.norm(tensors, hidden, exists: true)
        case .query: update.queryNorm = try self.norm(tensors, head, exists: base.queryNorm != nil)
        case .key: update.keyNorm = try self.norm(tensors, head, exists: base.keyNorm != nil)
        case .postAttention:
            update.postAttentionNorm = try self.norm(tensors, hidden, exists: base.postAttentionNorm != nil)
        case .feedForward: update.feedForwardNorm = try self.norm(tensors, hidden, exists: true)
        case .postFeedForward:
            update.postFeedForwardNorm = try self.norm(tensors, hidden, exists: base.postFeedForwardNorm != nil)
        }
    }

    /// Splits a fused module's rows, brings query and key rows into the model's order, and files the updates.
    private func add(
        _ linear: AdapterModule.Linear, _ tensors: AdapterModuleTensors, to layer: inout DecoderLayerUpdate
    ) throws(AdapterError) {
        guard let whole = try self.linear(tensors, linear.shape(decoder)) else { return }
        var first = 0
        for part in linear.parts {
            let rows = first..<first + part.shape(decoder)[0]
            first = rows.upperBound
            var update = linear.parts.count == 1 ? whole : whole.mapRows { $0.outer(rows) }
            if part == .query || part == .key, decoder.rotaries.contains(where: { $0.pairing == .neighbours }) {
                update = update.mapRows { $0.permutedRows(headDimension: decoder.headDimension) }
            }
            guard layer[keyPath: part.place] == nil else {
                throw AdapterError(
                    .invalidAdapter,
                    "\(tensors.name) is changed both by itself and as a part of a fused module")
            }
            layer[keyPath: part.place] = update
        }
    }
}

extension AdapterModule.Linear {
    /// Where a module's update is filed. Only for modules that are not fused.
    fileprivate var place: WritableKeyPath<DecoderLayerUpdate, LinearUpdate?> {
        switch self {
        case .query, .queryKeyValue: \.query
        case .key: \.key
        case .value: \.value
        case .output: \.output
        case .gate, .gateUp: \.gate
        case .up: \.up
        case .down: \.down
        }
    }
}
