package import ServingJSON

extension DeploymentConfig {
    /// The config of a new deployment, from what its owner sent: a body of Predibase's API, or a file in either
    /// spelling.
    ///
    /// Null and absent fields have their defaults. An empty text or a zero takes the default as well where that is for
    /// the engine or server to choose.
    /// - Throws: all that is wrong with it.
    package init(creating value: JSONValue) throws(DeploymentConfigError) {
        let object = try Self.members(of: value)
        var reader = ConfigReader(DeploymentConfig(baseModel: ""), strictness: .checked)
        reader.read(object)
        for spelling in [DeploymentConfigField.hfToken.wireName, DeploymentConfigField.hfToken.snakeName]
        where object[spelling]?.stringValue == DeploymentConfigField.mask {
            reader.fault(.hfToken, .string(""), "stands for a token that isn't shown; give the token itself")
        }
        self = try reader.checkedConfig()
    }

    /// The config after an update, from what its owner sent. Null and absent fields stay as they are, as does a token
    /// of which the mask comes back; an empty text or a zero takes a default back as in ``init(creating:)``.
    /// - Throws: all that is wrong with it; the model and the accelerator can't be changed.
    package func updated(by value: JSONValue) throws(DeploymentConfigError) -> DeploymentConfig {
        var reader = ConfigReader(self, strictness: .checked)
        reader.read(try Self.members(of: value))
        for field in DeploymentConfigField.allCases where field.isFixedAtCreation {
            let (old, new) = (json(of: field), reader.config.json(of: field))
            guard old != new else { continue }
            reader.fault(
                field, new,
                "can't be changed (it is \(ConfigFault.excerpt(old))); delete the deployment and make it anew")
        }
        return try reader.checkedConfig()
    }

    private static func members(of value: JSONValue) throws(DeploymentConfigError) -> JSONObject {
        guard let object = value.objectValue else {
            throw DeploymentConfigError(faults: [
                ConfigFault(field: "config", value: value, expected: "expected an object")
            ])
        }
        return object
    }
}

extension ConfigReader {
    /// The config, if nothing was wrong with it and its fields agree with each other.
    fileprivate func checkedConfig() throws(DeploymentConfigError) -> DeploymentConfig {
        // A field that couldn't be read has its old value, of which there is nothing to say.
        let known = Set(faults.map(\.field))
        let all = faults + config.contradictions().filter { !known.contains($0.field) }
        guard all.isEmpty else { throw DeploymentConfigError(faults: all) }
        return config
    }
}

extension DeploymentConfig {
    /// What is wrong between fields that are right each by itself.
    package func contradictions() -> [ConfigFault] {
        var faults: [ConfigFault] = []
        func fault(_ field: DeploymentConfigField, _ expected: String, value: JSONValue? = nil) {
            faults.append(ConfigFault(field: field.wireName, value: value ?? json(of: field), expected: expected))
        }
        if baseModel.isEmpty {
            faults.append(ConfigFault(field: "baseModel", value: nil, expected: "is missing; name the model to serve"))
        } else if baseModel.hasPrefix("-") {
            fault(.baseModel, "expected a path, a name or a hub reference, not an option")
        }
        if minReplicas > maxReplicas { fault(.minReplicas, "expected at most maxReplicas, which is \(maxReplicas)") }
        if mergesAdapter, preloadedAdapters.count != 1 {
            fault(
                .mergeAdapter,
                "needs exactly one adapter in preloadedAdapters, and there are \(preloadedAdapters.count)")
        }
        if disablesAdapters, !preloadedAdapters.isEmpty {
            fault(.disableAdapters, "can't be together with preloadedAdapters")
        }
        if disablesAdapters, mergesAdapter { fault(.disableAdapters, "can't be together with mergeAdapter") }
        faults += EngineCommandLine(self).faults
        return faults
    }
}
