import ServingTensors

/// Whether an adapter's tensors are those that its config speaks of: nothing missing, nothing that PEFT would not load.
struct AdapterConsistency {
    let config: AdapterConfig
    /// Layers of the model; nil where the adapter is looked at without one.
    let layerCount: Int?
    let modules: [AdapterModule: AdapterModuleTensors]

    func check() throws(AdapterError) {
        guard !modules.isEmpty else {
            throw AdapterError(
                .invalidAdapter, "\(AdapterFolder.tensorsFileName): holds no tensors: the adapter changes nothing")
        }
        try checkParts()
        switch config.targets {
        case .names(let names): try checkTargets(names)
        case .pattern(let pattern): try checkPattern(pattern)
        default: break
        }
        try checkExclusions()
        try checkLayers()
        for name in config.modulesToSave {
            let isThere = modules.values.contains { Self.matches($0.name, name) && $0.parts[.weight] != nil }
            guard isThere else {
                throw AdapterError(
                    .invalidAdapter,
                    "\(AdapterConfig.fileName): modules_to_save names \(AdapterConfigReader.shown(name)), "
                        + "\(AdapterFolder.tensorsFileName) has no weight of such a module")
            }
        }
    }

    /// DoRA's magnitudes and LoRA biases: where the config has them, and only there.
    private func checkParts() throws(AdapterError) {
        for tensors in modules.values.sorted(by: { $0.name < $1.name }) {
            let pairs: [(AdapterTensorName.Part, Bool, String)] = [
                (.magnitude, config.usesMagnitudes, "use_dora"), (.loraBias, config.hasLoRABias, "lora_bias"),
            ]
            for (part, isExpected, field) in pairs {
                let isThere = tensors.parts[part] != nil
                if isThere, !isExpected || tensors.parts[.loraA] == nil, let tensor = tensors.parts[part],
                    tensors.parts[.embeddingA] == nil
                {
                    throw AdapterError(
                        .invalidAdapter,
                        "tensor \(AdapterMapper.shown(tensor)) contradicts \(AdapterConfig.fileName), where \(field) is "
                            + "\(isExpected): it needs \(field) and a lora_A beside it")
                }
                guard isExpected, !isThere, let loraA = tensors.parts[.loraA] else { continue }
                throw AdapterError(
                    .invalidAdapter,
                    "\(AdapterConfig.fileName): \(field) is true, but \(AdapterMapper.shown(loraA)) has no "
                        + (part == .magnitude ? "lora_magnitude_vector" : "lora_B.bias") + " beside it")
            }
        }
    }

    private static func matches(_ module: String, _ name: String) -> Bool {
        module == name || module.hasSuffix("." + name)
    }

    private var lowRankModules: [(module: AdapterModule, name: String)] {
        modules.filter { $0.value.parts.keys.contains(where: \.isLowRank) }
            .map { ($0.key, $0.value.name) }.sorted { $0.name < $1.name }
    }

    /// Names that mean nothing in this family of models are no fault: lists are often made for many families.
    private func checkTargets(_ names: [String]) throws(AdapterError) {
        let lowRankModules = lowRankModules
        for (_, module) in lowRankModules where !names.contains(where: { Self.matches(module, $0) }) {
            throw AdapterError(
                .invalidAdapter,
                "\(AdapterFolder.tensorsFileName) changes \(AdapterConfigReader.shown(module)), which target_modules of "
                    + "\(AdapterConfig.fileName) does not name")
        }
        let known = Set(
            AdapterModule.Linear.allCases.flatMap { [$0.rawValue, String($0.rawValue.split(separator: ".")[1])] }
                + ["embed_tokens", "lm_head"])
        for name in names {
            let found = lowRankModules.filter { Self.matches($0.name, name) }
            guard known.contains(name) || !found.isEmpty else { continue }
            guard !found.isEmpty else {
                throw AdapterError(
                    .invalidAdapter,
                    "\(AdapterConfig.fileName): target_modules names \(AdapterConfigReader.shown(name)), "
                        + "\(AdapterFolder.tensorsFileName) has no tensors of such a module")
            }
            let layers = Set(found.compactMap(\.module.layer))
            guard let layerCount, known.contains(name), !layers.isEmpty, config.layersToTransform == nil,
                config.exclusions == nil,
                layers.count != layerCount
            else { continue }
            throw AdapterError(
                .incompatible,
                "the adapter changes \(AdapterConfigReader.shown(name)) in \(layers.count) layers, the model has "
                    + "\(layerCount): it was probably made for another model")
        }
    }

    /// As PEFT does: the whole name must match.
    private func checkPattern(_ pattern: ModulePattern) throws(AdapterError) {
        for (_, module) in lowRankModules where !pattern.matchesWhole(module) {
            throw AdapterError(
                .invalidAdapter,
                "\(AdapterFolder.tensorsFileName) changes \(AdapterConfigReader.shown(module)), which target_modules of "
                    + "\(AdapterConfig.fileName), \(AdapterConfigReader.shown(pattern.source)), does not match as a whole"
            )
        }
    }

    private func checkExclusions() throws(AdapterError) {
        for (_, module) in lowRankModules {
            let isExcluded =
                switch config.exclusions {
                case .names(let names): names.contains { Self.matches(module, $0) }
                case .pattern(let pattern): pattern.matchesWhole(module)
                default: false
                }
            guard isExcluded else { continue }
            throw AdapterError(
                .invalidAdapter,
                "\(AdapterFolder.tensorsFileName) changes \(AdapterConfigReader.shown(module)), which exclude_modules of "
                    + "\(AdapterConfig.fileName) takes out")
        }
    }

    /// Whether a module stands in a numbered list that `layers_pattern` names.
    private func isInNamedLayers(_ module: String) -> Bool {
        let words = module.split(separator: ".")
        return config.layersPatterns.isEmpty
            || words.indices.dropLast(2).contains { index in
                config.layersPatterns.contains(String(words[index])) && Int(words[index + 1]) != nil
            }
    }

    private func checkLayers() throws(AdapterError) {
        guard let layers = config.layersToTransform else { return }
        if let (_, module) = lowRankModules.first(where: { !isInNamedLayers($0.name) }) {
            throw AdapterError(
                .invalidAdapter,
                "\(AdapterFolder.tensorsFileName) changes \(AdapterConfigReader.shown(module)), which is in no list of layers "
                    + "that layers_pattern of \(AdapterConfig.fileName) names")
        }
        if let layerCount, let layer = layers.first(where: { $0 >= layerCount }) {
            throw AdapterError(
                .incompatible,
                "\(AdapterConfig.fileName): layers_to_transform names layer \(layer), the model has layers 0 to "
                    + "\(layerCount - 1): the adapter was probably made for another model")
        }
        let changed = Set(lowRankModules.compactMap(\.module.layer))
        if let layer = changed.subtracting(layers).min() {
            throw AdapterError(
                .invalidAdapter,
                "\(AdapterFolder.tensorsFileName) changes layer \(layer), which layers_to_transform of "
                    + "\(AdapterConfig.fileName) does not name")
        }
        if let layer = Set(layers).subtracting(changed).min() {
            throw AdapterError(
                .invalidAdapter,
                "\(AdapterConfig.fileName): layers_to_transform names layer \(layer), "
                    + "\(AdapterFolder.tensorsFileName) has no tensors of it")
        }
    }
}
