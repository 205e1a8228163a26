public import ServingJSON

/// What PEFT's adapter_config.json says of a LoRA adapter, every field checked.
///
/// Fields that change results and that are not applied here are an error, and so are fields that are not known and set:
/// nothing an adapter asks for is dropped in silence. Format: PEFT's `LoraConfig`
/// (https://huggingface.co/docs/peft/package_reference/lora).
public struct AdapterConfig: Sendable, Equatable {
    /// Which modules carry low-rank updates.
    public enum Targets: Sendable, Equatable {
        /// Modules of these names, or whose name ends in one after a dot.
        case names([String])
        /// Modules whose whole name matches a regular expression.
        case pattern(ModulePattern)
        /// A regular expression with syntax that is not known here.
        case unknownPattern
        /// All linear modules but the head.
        case allLinear
    }

    /// Which biases were trained.
    public enum Bias: String, Sendable, CaseIterable {
        case none
        case all
        case loraOnly = "lora_only"
    }

    /// A value for the modules that a pattern matches.
    struct Exception<Value: Sendable & Equatable>: Sendable, Equatable {
        let pattern: ModulePattern
        let value: Value
    }

    /// Ranks that are served beside a model.
    public static let ranks = 1...256
    /// Ranks that can be merged into a model: more than any of its matrices has.
    static let mergedRanks = 1...1 << 20

    /// R of modules that ``rank(of:)`` has no exception for.
    public let rank: Int
    /// lora_alpha.
    public let alpha: Double
    /// target_modules; nil where the file leaves it to the architecture.
    public let targets: Targets?
    /// Whether the scaling is alpha / sqrt(R) (rsLoRA) rather than alpha / R.
    public let usesRankStabilizedScaling: Bool
    /// DoRA.
    public let usesMagnitudes: Bool
    /// lora_bias.
    public let hasLoRABias: Bool
    /// bias.
    public let bias: Bias
    /// Modules that were trained in full.
    public let modulesToSave: [String]
    /// Numbers of the layers that carry updates; nil for all.
    public let layersToTransform: [Int]?
    /// exclude_modules: those that carry no updates although target_modules names them; nil for none.
    public let exclusions: Targets?
    /// layers_pattern: what the lists of layers are called that layers_to_transform counts in; empty for any.
    let layersPatterns: [String]
    /// Whether embedding and head stay one where the model has them so.
    public let ensuresWeightTying: Bool
    /// The model it was trained on, as its author named it.
    public let baseModel: String?
    /// fan_in_fan_out: how the layers of the base store their weights. Says nothing about the adapter's own tensors.
    public let fanInFanOut: Bool
    let rankExceptions: [Exception<Int>]
    let alphaExceptions: [Exception<Double>]

    /// The file's name in an adapter's folder.
    public static let fileName = "adapter_config.json"

    /// Reads the members of an adapter_config.json.
    ///
    /// - Throws: `invalidAdapter` for missing or malformed fields, `unsupported` for what would not be applied.
    public init(_ object: JSONObject) throws(AdapterError) {
        let reader = AdapterConfigReader(object: object)
        try reader.checkType()
        try reader.checkKnown()
        try reader.checkBeginning()
        rank = try reader.requiredRank()
        alpha = try reader.requiredAlpha()
        targets = try reader.targets("target_modules")
        usesRankStabilizedScaling = try reader.flag("use_rslora")
        usesMagnitudes = try reader.flag("use_dora")
        hasLoRABias = try reader.flag("lora_bias")
        // PEFT refuses the two together as well.
        if usesMagnitudes, hasLoRABias {
            throw AdapterError(.unsupported, "\(Self.fileName): use_dora and lora_bias together are not supported")
        }
        bias = try reader.bias()
        modulesToSave = try reader.names("modules_to_save")
        layersToTransform = try reader.layers()
        exclusions = try reader.targets("exclude_modules")
        layersPatterns = try reader.layersPatterns(layersToTransform, targets)
        ensuresWeightTying = try reader.flag("ensure_weight_tying")
        baseModel = try reader.text("base_model_name_or_path")
        fanInFanOut = try reader.flag("fan_in_fan_out")
        rankExceptions = try reader.exceptions("rank_pattern", reader.rank)
        alphaExceptions = try reader.exceptions("alpha_pattern", reader.alpha)
    }

    /// R of a module, by its name in the base model. The first pattern that matches counts, as in PEFT.
    public func rank(of module: String) -> Int {
        rankExceptions.first { $0.pattern.matchesTail(of: module) }?.value ?? rank
    }

    /// The factor on a module's low-rank product: alpha / R, or alpha / sqrt(R).
    public func scaling(of module: String) -> Double {
        let alpha = alphaExceptions.first { $0.pattern.matchesTail(of: module) }?.value ?? alpha
        let rank = Double(rank(of: module))
        return alpha / (usesRankStabilizedScaling ? rank.squareRoot() : rank)
    }
}
