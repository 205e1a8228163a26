package import ServingJSON

/// Why a stored value could not be read back.
package struct StoredFormError: Error, Hashable, CustomStringConvertible {
    /// Where in the value (`config.minReplicas`).
    package var field: String
    package var expected: String

    package init(field: String, expected: String) {
        self.field = field
        self.expected = expected
    }

    package var description: String { "stored \(field): expected \(expected)" }
}

extension DeploymentSpec {
    /// The spec as the store keeps it, tokens included. Read by ``init(stored:)`` of this and of other versions.
    package var storedJSON: JSONObject {
        var object = JSONObject()
        object["name"] = .string(name.text)
        object["id"] = .string(id)
        object["description"] = .string(description)
        object["config"] = .object(config.storedJSON)
        object["revision"] = .integer(Int64(revision))
        object["generation"] = .integer(Int64(generation))
        object["intent"] = .string(intent.rawValue)
        if let pinnedReplicaCount { object["pinnedReplicas"] = .integer(Int64(pinnedReplicaCount)) }
        object["restarts"] = .integer(Int64(restartCount))
        object["createdAt"] = .integer(createdAt.milliseconds)
        object["updatedAt"] = .integer(updatedAt.milliseconds)
        return object
    }

    /// Reads what ``storedJSON`` wrote. Members that this version doesn't know are passed over, and those that an
    /// earlier one didn't write have their defaults; only name, id and model must be there.
    package init(stored value: JSONValue) throws(StoredFormError) {
        let form = try StoredForm(value, path: "spec")
        let nameText = try form.text("name")
        guard let name = try? DeploymentName(nameText) else {
            throw StoredFormError(field: "spec.name", expected: "a deployment's name")
        }
        let config = try DeploymentConfig(stored: form["config"] ?? .null)
        self.init(
            name: name, id: try form.text("id"), description: try form.text("description", default: ""), config: config,
            createdAt: Timestamp(milliseconds: Int64(try form.integer("createdAt", default: 0))))
        revision = max(1, try form.integer("revision", default: 1))
        generation = max(1, try form.integer("generation", default: 1))
        let intentText = try form.text("intent", default: Intent.running.rawValue)
        guard let intent = Intent(rawValue: intentText) else {
            throw StoredFormError(field: "spec.intent", expected: "running, stopped or deleted")
        }
        self.intent = intent
        pinnedReplicaCount = try form.optionalInteger("pinnedReplicas")
        restartCount = max(0, try form.integer("restarts", default: 0))
        let created = Int(clamping: createdAt.milliseconds)
        updatedAt = Timestamp(milliseconds: Int64(try form.integer("updatedAt", default: created)))
    }
}

extension DeploymentConfig {
    /// The config as the store keeps it: the model and what differs from the defaults, tokens included.
    package var storedJSON: JSONObject {
        var object = JSONObject([(DeploymentConfigField.baseModel.wireName, .string(baseModel))])
        for field in changedFields { object[field.wireName] = json(of: field) }
        return object
    }

    /// Reads what ``storedJSON`` wrote. Types must fit; ranges are not looked at, because another version's may differ.
    package init(stored value: JSONValue) throws(StoredFormError) {
        guard let object = value.objectValue else {
            throw StoredFormError(field: "config", expected: "an object")
        }
        guard object[DeploymentConfigField.baseModel.wireName]?.stringValue != nil else {
            throw StoredFormError(field: "config.baseModel", expected: "a text")
        }
        var reader = ConfigReader(DeploymentConfig(baseModel: ""), strictness: .stored)
        reader.read(object)
        if let fault = reader.faults.first {
            throw StoredFormError(field: "config.\(fault.field)", expected: fault.expected)
        }
        self = reader.config
    }
}
