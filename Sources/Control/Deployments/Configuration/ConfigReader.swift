import ServingJSON

/// Reads fields of a config and collects what is wrong with them.
struct ConfigReader {
    enum Strictness {
        /// What a user sent: all of it must be right.
        case checked
        /// What an earlier or later pbctl stored: types must fit, ranges and unknown names don't matter.
        case stored
    }

    private(set) var config: DeploymentConfig
    private(set) var faults: [ConfigFault] = []
    private let strictness: Strictness

    init(_ config: DeploymentConfig, strictness: Strictness) {
        self.config = config
        self.strictness = strictness
    }

    /// Takes every member of `object`; null leaves a field as it is.
    mutating func read(_ object: JSONObject) {
        var given: [DeploymentConfigField: JSONValue] = [:]
        for (key, value) in object.members {
            guard let field = DeploymentConfigField(spelling: key) else {
                if strictness == .checked { rejectUnknown(key) }
                continue
            }
            guard !value.isNull else { continue }
            if let earlier = given[field], earlier != value {
                fault(field, nil, "is given twice, once as \(key), with different values")
                continue
            }
            given[field] = value
            set(field, value)
        }
    }

    mutating func fault(_ field: DeploymentConfigField, _ value: JSONValue?, _ expected: String) {
        let shown = field == .hfToken && value != nil ? JSONValue.string(DeploymentConfigField.mask) : value
        faults.append(ConfigFault(field: field.wireName, value: shown, expected: expected))
    }

    private mutating func rejectUnknown(_ key: String) {
        // A body of nothing but unknown keys is not worth the work of guessing what each was meant to be.
        guard faults.count < Self.mostFaults else { return }
        let shown = key.utf8.count <= 80 ? key : "\(key.prefix(60))..."
        let hint = DeploymentConfigField.nearest(to: key).map { " (did you mean \($0)?)" } ?? ""
        faults.append(ConfigFault(field: shown, value: nil, expected: "unknown field\(hint)"))
    }

    private static let mostFaults = 100

    private mutating func set(_ field: DeploymentConfigField, _ value: JSONValue) {
        switch field {
        case .baseModel: if let text = text(field, value) { config.baseModel = text }
        case .accelerator: set(\.accelerator, optionalText(field, value))
        case .computeSpec: set(\.computeSpec, computeSpec(value))
        case .cooldownTime: if let time = seconds(field, value) { config.cooldown = time }
        case .hfToken where value.stringValue == DeploymentConfigField.mask: break
        case .hfToken: set(\.hubToken, optionalText(field, value))
        case .minReplicas: set(\.minReplicas, count(field, value, ConfigRange.minReplicas))
        case .maxReplicas: set(\.maxReplicas, count(field, value, ConfigRange.maxReplicas))
        case .scaleUpRequestThreshold: set(\.scaleUpThreshold, count(field, value, ConfigRange.threshold))
        case .quantization: set(\.quantization, choice(field, value, ConfigRange.quantizations))
        case .maxTotalTokens: set(\.maxTotalTokens, optionalCount(field, value, ConfigRange.totalTokens))
        case .maxNumBatchedTokens: set(\.maxBatchedTokens, optionalCount(field, value, ConfigRange.batchedTokens))
        case .loraxImageTag: set(\.engineImageTag, optionalText(field, value))
        case .preloadedAdapters: set(\.preloadedAdapters, adapters(value))
        case .speculator: set(\.speculator, optionalText(field, value))
        case .speculationDisableByBatchSize:
            set(\.speculationBatchLimit, optionalCount(field, value, ConfigRange.speculationBatch))
        case .backend: set(\.backend, choice(field, value, ConfigRange.backends))
        case .customArgs: set(\.customArguments, arguments(value))
        default: setFlag(field, value)
        }
    }

    private mutating func set<Value>(_ path: WritableKeyPath<DeploymentConfig, Value>, _ value: Value?) {
        if let value { config[keyPath: path] = value }
    }

    private mutating func setFlag(_ field: DeploymentConfigField, _ value: JSONValue) {
        guard let flag = value.boolValue else { return fault(field, value, "expected true or false") }
        switch field {
        case .usesGuaranteedCapacity: config.usesGuaranteedCapacity = flag
        case .requestLoggingEnabled: config.logsRequests = flag
        case .directIngress: config.hasDirectIngress = flag
        case .prefixCaching: config.usesPrefixCache = flag
        case .chunkedPrefill: config.usesChunkedPrefill = flag
        case .disableAdapters: config.disablesAdapters = flag
        case .mergeAdapter: config.mergesAdapter = flag
        case .cacheModel: config.cachesModel = flag
        default: break
        }
    }
}

// MARK: - Values of each kind

extension ConfigReader {
    private mutating func text(_ field: DeploymentConfigField, _ value: JSONValue) -> String? {
        guard let text = value.stringValue else {
            fault(field, value, "expected a text")
            return nil
        }
        guard strictness == .stored || Self.isPlain(text) else {
            fault(field, value, "expected at most 1024 bytes without control characters")
            return nil
        }
        return text
    }

    /// A text; an empty one takes the default back.
    private mutating func optionalText(_ field: DeploymentConfigField, _ value: JSONValue) -> String?? {
        guard let text = text(field, value) else { return nil }
        return .some(text.isEmpty ? nil : text)
    }

    private mutating func choice(
        _ field: DeploymentConfigField, _ value: JSONValue, _ choices: [String]
    ) -> String?? {
        guard let text = text(field, value) else { return nil }
        guard !text.isEmpty else { return .some(nil) }
        guard strictness == .stored || choices.contains(text) else {
            fault(field, value, "expected one of \(choices.joined(separator: ", "))")
            return nil
        }
        return .some(text)
    }

    private mutating func count(
        _ field: DeploymentConfigField, _ value: JSONValue, _ range: ClosedRange<Int>
    ) -> Int? {
        guard let count = value.intValue, strictness == .stored || range.contains(count) else {
            fault(field, value, "expected a whole number from \(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return count
    }

    /// A count; zero takes the default back.
    private mutating func optionalCount(
        _ field: DeploymentConfigField, _ value: JSONValue, _ range: ClosedRange<Int>
    ) -> Int?? {
        if value.intValue == 0 { return .some(nil) }
        guard let count = count(field, value, range) else { return nil }
        return .some(count)
    }

    private mutating func seconds(_ field: DeploymentConfigField, _ value: JSONValue) -> Duration? {
        if strictness == .stored, case .number(let number) = value, number.magnitude < 1e12 {
            return .milliseconds(Int64((number * 1000).rounded()))
        }
        return count(field, value, ConfigRange.cooldownSeconds).map { .seconds($0) }
    }

    private mutating func computeSpec(_ value: JSONValue) -> DeploymentConfig.ComputeSpec?? {
        let form = "expected {\"requests\":{\"inference\":{\"sku\":\"...\"}},\"region\":\"...\"}"
        guard let object = value.objectValue else {
            fault(.computeSpec, value, form)
            return nil
        }
        var spec = DeploymentConfig.ComputeSpec()
        if let requests = object["requests"], !requests.isNull {
            let sku = requests["inference"]?["sku"]
            guard let text = sku?.stringValue, Self.isPlain(text) else {
                fault(.computeSpec, value, form)
                return nil
            }
            spec.sku = text.isEmpty ? nil : text
        }
        if let region = object["region"], !region.isNull {
            guard let text = region.stringValue, Self.isPlain(text) else {
                fault(.computeSpec, value, form)
                return nil
            }
            spec.region = text.isEmpty ? nil : text
        }
        if strictness == .checked, let key = object.keys.first(where: { $0 != "requests" && $0 != "region" }) {
            fault(.computeSpec, .string(key), "unknown member; \(form)")
            return nil
        }
        return .some(spec == DeploymentConfig.ComputeSpec() ? nil : spec)
    }

    private mutating func adapters(_ value: JSONValue) -> [String]? {
        let limit = ConfigRange.adapterCount
        guard let elements = value.arrayValue, elements.count <= limit else {
            fault(.preloadedAdapters, value, "expected a list of at most \(limit) adapters")
            return nil
        }
        var adapters: [String] = []
        for element in elements {
            guard let text = element.stringValue,
                strictness == .stored || !text.isEmpty && !text.hasPrefix("-") && Self.isPlain(text)
            else {
                fault(.preloadedAdapters, element, "expected the name of an adapter, without control characters")
                continue
            }
            guard !adapters.contains(text) else {
                fault(.preloadedAdapters, element, "is named twice")
                continue
            }
            adapters.append(text)
        }
        return adapters
    }

    /// A list of texts, or a map of names to values as Predibase's older configs have it (an empty value is a flag).
    private mutating func arguments(_ value: JSONValue) -> [String]? {
        let limit = ConfigRange.argumentCount
        let elements = value.objectValue.map(Self.argumentList) ?? value.arrayValue
        guard let elements, elements.count <= limit else {
            fault(.customArgs, value, "expected a list of at most \(limit) texts")
            return nil
        }
        var arguments: [String] = []
        for element in elements {
            guard let text = element.stringValue,
                strictness == .stored || text.utf8.count <= 4096 && !text.utf8.contains(0)
            else {
                fault(.customArgs, element, "expected a text of at most 4096 bytes without NUL")
                continue
            }
            arguments.append(text)
        }
        return arguments
    }

    private static func argumentList(_ map: JSONObject) -> [JSONValue] {
        map.members.flatMap { name, value -> [JSONValue] in
            let flag = JSONValue.string(name.hasPrefix("-") ? name : "--\(name)")
            return switch value {
            case .null, .string(""): [flag]
            case .integer(let number): [flag, .string(String(number))]
            case .number, .bool: [flag, .string(value.text())]
            default: [flag, value]
            }
        }
    }

    /// Whether a text can be a name or an argument.
    static func isPlain(_ text: String) -> Bool {
        text.utf8.count <= 1024 && !text.utf8.contains { $0 < 0x20 || $0 == 0x7F }
    }
}
