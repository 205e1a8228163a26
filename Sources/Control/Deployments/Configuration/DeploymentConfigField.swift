package import ServingJSON

/// The fields of a deployment's config, by their names on the wire. Files may spell them in snake case as well.
package enum DeploymentConfigField: String, Sendable, Hashable, CaseIterable {
    case baseModel
    case accelerator
    case computeSpec
    case cooldownTime
    case hfToken
    case minReplicas
    case maxReplicas
    case scaleUpRequestThreshold
    case quantization
    case usesGuaranteedCapacity
    case maxTotalTokens
    case maxNumBatchedTokens
    case loraxImageTag
    case requestLoggingEnabled
    case directIngress
    case preloadedAdapters
    case speculator
    case speculationDisableByBatchSize
    case prefixCaching
    case chunkedPrefill
    case backend
    case disableAdapters
    case mergeAdapter
    case cacheModel
    case customArgs

    /// Its name on the wire.
    package var wireName: String { rawValue }

    /// Its name in snake case, as Predibase's SDK and files of settings have it.
    package var snakeName: String {
        var name = ""
        for character in rawValue {
            if character.isUppercase { name += "_" }
            name += character.lowercased()
        }
        return name
    }

    /// Whether updates leave it as it is.
    package var isFixedAtCreation: Bool { self == .baseModel || self == .accelerator }

    /// What stands for a token where it is not to be shown. Given back by a client it leaves the token as it is.
    package static let mask = "***"

    /// The field of a name on the wire, in snake case, or by which an earlier Predibase knew it.
    package init?(spelling: String) {
        guard let field = Self.bySpelling[spelling] else { return nil }
        self = field
    }

    /// The name that `word` was likely meant to be.
    package static func nearest(to word: String) -> String? {
        let isSnake = word.contains("_")
        let names = allCases.map { isSnake ? $0.snakeName : $0.wireName } + (isSnake ? [] : ["scaleUpThreshold"])
        return Spelling.nearest(to: word, among: names)
    }

    private static let bySpelling: [String: DeploymentConfigField] = {
        var table: [String: DeploymentConfigField] = [
            "quantize": .quantization, "scaleUpThreshold": .scaleUpRequestThreshold,
            "scale_up_threshold": .scaleUpRequestThreshold,
        ]
        for field in allCases {
            table[field.wireName] = field
            table[field.snakeName] = field
        }
        return table
    }()
}

extension DeploymentConfig {
    /// A field's value as JSON; null where the engine or the server chooses. A token comes as it is.
    package func json(of field: DeploymentConfigField) -> JSONValue {
        switch field {
        case .baseModel: .string(baseModel)
        case .accelerator: .optional(accelerator)
        case .computeSpec: computeSpec?.json ?? .null
        case .cooldownTime: cooldown.json
        case .hfToken: .optional(hubToken)
        case .minReplicas: .integer(Int64(minReplicas))
        case .maxReplicas: .integer(Int64(maxReplicas))
        case .scaleUpRequestThreshold: .integer(Int64(scaleUpThreshold))
        case .quantization: .optional(quantization)
        case .usesGuaranteedCapacity: .bool(usesGuaranteedCapacity)
        case .maxTotalTokens: .optional(maxTotalTokens)
        case .maxNumBatchedTokens: .optional(maxBatchedTokens)
        case .loraxImageTag: .optional(engineImageTag)
        case .requestLoggingEnabled: .bool(logsRequests)
        case .directIngress: .bool(hasDirectIngress)
        case .preloadedAdapters: .array(preloadedAdapters.map { .string($0) })
        case .speculator: .optional(speculator)
        case .speculationDisableByBatchSize: .optional(speculationBatchLimit)
        case .prefixCaching: .bool(usesPrefixCache)
        case .chunkedPrefill: usesChunkedPrefill.map { .bool($0) } ?? .null
        case .backend: .optional(backend)
        case .disableAdapters: .bool(disablesAdapters)
        case .mergeAdapter: .bool(mergesAdapter)
        case .cacheModel: .bool(cachesModel)
        case .customArgs: .array(customArguments.map { .string($0) })
        }
    }

    /// All fields by their names on the wire, as reads of a deployment show them.
    package func json(revealingSecrets: Bool) -> JSONObject {
        JSONObject(
            DeploymentConfigField.allCases.map { field in
                let value = json(of: field)
                let isHidden = field == .hfToken && !revealingSecrets && !value.isNull
                return (field.wireName, isHidden ? .string(DeploymentConfigField.mask) : value)
            })
    }

    /// The fields that differ from a config made with the same model and nothing else, in the enum's order.
    package var changedFields: [DeploymentConfigField] {
        let defaults = DeploymentConfig(baseModel: "")
        return DeploymentConfigField.allCases.filter { json(of: $0) != defaults.json(of: $0) }
    }

    /// The fields whose values differ between two configs.
    package func fieldsDiffering(from other: DeploymentConfig) -> [DeploymentConfigField] {
        DeploymentConfigField.allCases.filter { json(of: $0) != other.json(of: $0) }
    }
}

extension DeploymentConfig.ComputeSpec {
    /// Predibase's form, in which the SKU lies two objects down.
    fileprivate var json: JSONValue {
        var object = JSONObject()
        if let sku { object["requests"] = ["inference": ["sku": .string(sku)]] }
        if let region { object["region"] = .string(region) }
        return .object(object)
    }
}

extension Duration {
    /// Seconds: a whole number where it is one.
    fileprivate var json: JSONValue {
        let (seconds, attoseconds) = components
        return attoseconds == 0 ? .integer(seconds) : .number(inSeconds)
    }
}

extension JSONValue {
    static func optional(_ text: String?) -> JSONValue { text.map { .string($0) } ?? .null }
    static func optional(_ number: Int?) -> JSONValue { number.map { .integer(Int64($0)) } ?? .null }
}
