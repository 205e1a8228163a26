import ServingJSON

/// Typed access to the fields of an adapter_config.json: each error names file, field, what was expected and found.
struct AdapterConfigReader {
    let object: JSONObject

    func value(_ name: String) -> JSONValue? {
        guard let value = object[name], !value.isNull else { return nil }
        return value
    }

    func invalid(_ name: String, _ expected: String, _ found: JSONValue?) -> AdapterError {
        let found = found.map { "found " + String($0.text().prefix(80)) } ?? "it is missing"
        return AdapterError(
            .invalidAdapter, "\(AdapterConfig.fileName): \(Self.shown(name)): expected \(expected), \(found)")
    }

    /// A name out of a file, for a message.
    static func shown(_ name: String) -> String { JSONValue.string(String(name.prefix(120))).text() }

    func checkType() throws(AdapterError) {
        guard let type = value("peft_type") else { throw invalid("peft_type", "\"LORA\"", nil) }
        guard let name = type.stringValue else { throw invalid("peft_type", "\"LORA\"", type) }
        guard name == "LORA" else {
            throw AdapterError(
                .unsupported,
                "\(AdapterConfig.fileName): peft_type \(Self.shown(name)) is not supported (LoRA adapters are: \"LORA\")"
            )
        }
    }

    /// Most entries of `rank_pattern` and of `alpha_pattern`; each is matched against each module.
    private static let exceptionLimit = 4096

    /// What each field that is set but not applied does.
    private static let unsupported: [String: String] = [
        "trainable_token_indices": "trained single tokens", "alora_invocation_tokens": "is an activated LoRA",
        "layer_replication": "repeats layers", "target_parameters": "changes parameters that are no modules",
        "use_qalora": "pools its inputs (QALoRA)", "use_bdlora": "is block diagonal (BD-LoRA)",
        "arrow_config": "routes between adapters (Arrow)", "kasa_config": "has singular values of its own (KaSA)",
        "monteclora_config": "samples its weights (MonteCLoRA)", "enable_lora": "updates parts of fused modules",
    ]

    /// Fields that are read here, or tell of training and bookkeeping only.
    private static let harmless: Set<String> = [
        "alpha_pattern", "auto_mapping", "base_model_name_or_path", "bias", "corda_config", "ensure_weight_tying",
        "eva_config", "exclude_modules", "fan_in_fan_out", "inference_mode", "init_lora_weights", "layers_pattern",
        "layers_to_transform", "loftq_config", "lora_alpha", "lora_bias", "lora_dropout", "lora_ga_config",
        "megatron_config", "megatron_core", "merge_weights", "modules_to_save", "peft_type", "peft_version",
        "qalora_group_size", "r", "rank_pattern", "revision", "runtime_config", "target_modules", "task_type",
        "use_dora", "use_rslora", "velora_config", "unsloth_fixed",
    ]

    /// Ways to begin training that leave the model's own weights as they are.
    private static let plainBeginnings: Set<String> = ["gaussian", "eva", "orthogonal"]

    /// Refuses adapters that were trained on weights other than the model's: PiSSA, OLoRA, CorDA, LoftQ and LoRA-GA
    /// take a part out of the base when training begins, and PEFT does so again when it loads them.
    func checkBeginning() throws(AdapterError) {
        guard let value = value("init_lora_weights"), let name = value.stringValue,
            !Self.plainBeginnings.contains(name.lowercased())
        else { return }
        throw AdapterError(
            .unsupported,
            "\(AdapterConfig.fileName): init_lora_weights is \(Self.shown(name)): the adapter belongs to a changed base, which is "
                + "not applied (save it with PEFT's path_initial_model_for_weight_conversion)")
    }

    /// Whether a value asks for something.
    static func isSet(_ value: JSONValue) -> Bool {
        switch value {
        case .null: false
        case .bool(let flag): flag
        case .array(let elements): !elements.isEmpty
        case .object(let members): !members.isEmpty
        case .string(let text): !text.isEmpty
        case .integer, .number: true
        }
    }

    func checkKnown() throws(AdapterError) {
        for (name, value) in object.members where Self.isSet(value) && !Self.harmless.contains(name) {
            let reason = Self.unsupported[name].map { "the adapter \($0)" } ?? "the field is not known here"
            throw AdapterError(
                .unsupported,
                "\(AdapterConfig.fileName): \(Self.shown(name)) is set: \(reason), which would not be applied")
        }
    }

    func requiredRank() throws(AdapterError) -> Int { try rank("r", value("r")) }

    func rank(_ name: String, _ value: JSONValue?) throws(AdapterError) -> Int {
        guard let value, let rank = value.intValue, rank >= 1 else {
            throw invalid(name, "a rank from 1", value)
        }
        guard AdapterConfig.mergedRanks.contains(rank) else {
            throw invalid(name, "a rank from 1 to \(AdapterConfig.mergedRanks.upperBound)", value)
        }
        return rank
    }

    func requiredAlpha() throws(AdapterError) -> Double { try alpha("lora_alpha", value("lora_alpha")) }

    func alpha(_ name: String, _ value: JSONValue?) throws(AdapterError) -> Double {
        guard let value, let alpha = value.doubleValue, alpha != 0, Float(alpha).isFinite else {
            throw invalid(name, "a finite number other than 0", value)
        }
        return alpha
    }

    func flag(_ name: String) throws(AdapterError) -> Bool {
        guard let value = value(name) else { return false }
        guard let flag = value.boolValue else { throw invalid(name, "true or false", value) }
        return flag
    }

    func text(_ name: String) throws(AdapterError) -> String? {
        guard let value = value(name) else { return nil }
        guard let text = value.stringValue else { throw invalid(name, "a string", value) }
        return text
    }

    func names(_ name: String) throws(AdapterError) -> [String] {
        guard let value = value(name) else { return [] }
        guard let elements = value.arrayValue else { throw invalid(name, "a list of module names", value) }
        var names: [String] = []
        for element in elements {
            guard let text = element.stringValue, !text.isEmpty else {
                throw invalid(name, "a list of module names", value)
            }
            names.append(text)
        }
        return names
    }

    func bias() throws(AdapterError) -> AdapterConfig.Bias {
        guard let value = value("bias") else { return .none }
        guard let bias = value.stringValue.flatMap(AdapterConfig.Bias.init(rawValue:)) else {
            throw invalid("bias", "\"none\", \"all\" or \"lora_only\"", value)
        }
        return bias
    }

    /// Which modules a field names: a list, or one regular expression.
    func targets(_ name: String) throws(AdapterError) -> AdapterConfig.Targets? {
        guard let value = value(name), Self.isSet(value) else { return nil }
        guard let text = value.stringValue else {
            guard value.arrayValue != nil else {
                throw invalid(name, "a list of module names or a regular expression", value)
            }
            return .names(try names(name))
        }
        if text.lowercased() == "all-linear" { return .allLinear }
        if let pattern = ModulePattern(text) { return .pattern(pattern) }
        // Valid in Python and unknown here: whether modules match is then not checked.
        guard ["(?=", "(?!", "(?<", "(?P"].contains(where: text.contains) else {
            throw invalid(name, "a list of module names or a regular expression", value)
        }
        return .unknownPattern
    }

    /// `layers_pattern`, which PEFT takes only with `layers_to_transform`, and that only with a list of modules.
    func layersPatterns(_ layers: [Int]?, _ targets: AdapterConfig.Targets?) throws(AdapterError) -> [String] {
        switch targets {
        case .pattern, .unknownPattern:
            if layers != nil {
                throw AdapterError(
                    .invalidAdapter,
                    "\(AdapterConfig.fileName): layers_to_transform can't be used when target_modules is one text")
            }
        default: break
        }
        guard let value = value("layers_pattern"), Self.isSet(value) else { return [] }
        let patterns: [String]
        if let text = value.stringValue { patterns = [text] } else { patterns = try names("layers_pattern") }
        guard layers != nil else {
            throw AdapterError(
                .invalidAdapter, "\(AdapterConfig.fileName): layers_pattern is set, and layers_to_transform is not")
        }
        return patterns
    }

    func layers() throws(AdapterError) -> [Int]? {
        guard let value = value("layers_to_transform") else { return nil }
        let elements = value.arrayValue ?? [value]
        var layers: [Int] = []
        for element in elements {
            guard let layer = element.intValue, layer >= 0 else {
                throw invalid("layers_to_transform", "numbers of layers, from 0", value)
            }
            layers.append(layer)
        }
        return layers.isEmpty ? nil : layers
    }

    func exceptions<Value>(
        _ name: String, _ read: (String, JSONValue?) throws(AdapterError) -> Value
    ) throws(AdapterError) -> [AdapterConfig.Exception<Value>] {
        guard let value = value(name) else { return [] }
        guard let members = value.objectValue else {
            throw invalid(name, "an object with a value a module name", value)
        }
        guard members.keys.count <= Self.exceptionLimit else {
            throw AdapterError(
                .unsupported,
                "\(AdapterConfig.fileName): \(Self.shown(name)) has \(members.keys.count) entries; at most "
                    + "\(Self.exceptionLimit) are read")
        }
        var exceptions: [AdapterConfig.Exception<Value>] = []
        for (key, value) in members.members {
            guard let pattern = ModulePattern(key) else {
                throw AdapterError(
                    .unsupported,
                    "\(AdapterConfig.fileName): \(Self.shown(name)): the pattern \(Self.shown(key)) uses syntax that is "
                        + "not supported (name the modules in full)")
            }
            exceptions.append(
                AdapterConfig.Exception(pattern: pattern, value: try read("\(name).\(key)", value)))
        }
        return exceptions
    }
}
