package import Deployments
import GRDB
import ServingJSON

/// A deployment as the store has it: what its owner asked for, and how far the control plane got with it.
package struct StoredDeployment: Sendable, Hashable {
    package var spec: DeploymentSpec
    /// Nil before the reconciler looked at it first.
    package var condition: DeploymentCondition?
    /// Replicas that the autoscaler asked for last.
    package var desiredReplicaCount: Int
    package var memory: DeploymentMemory
    /// When it became history; nil while it lives.
    package var deletedAt: Timestamp?

    package init(
        spec: DeploymentSpec, condition: DeploymentCondition? = nil, desiredReplicaCount: Int = 0,
        memory: DeploymentMemory = DeploymentMemory(), deletedAt: Timestamp? = nil
    ) {
        self.spec = spec
        self.condition = condition
        self.desiredReplicaCount = desiredReplicaCount
        self.memory = memory
        self.deletedAt = deletedAt
    }
}

/// How far the control plane got with a deployment: all of a ``StoredDeployment`` that isn't its owner's.
package struct DeploymentProgress: Sendable, Hashable {
    package var id: String
    package var condition: DeploymentCondition
    package var desiredReplicaCount: Int
    package var memory: DeploymentMemory

    package init(id: String, condition: DeploymentCondition, desiredReplicaCount: Int, memory: DeploymentMemory) {
        self.id = id
        self.condition = condition
        self.desiredReplicaCount = desiredReplicaCount
        self.memory = memory
    }
}

/// A config that a deployment had.
package struct DeploymentRevision: Sendable, Hashable {
    package var number: Int
    package var config: DeploymentConfig
    /// What made it (`created`, `updated`, `rolled back to 3`).
    package var cause: String
    package var createdAt: Timestamp

    package init(number: Int, config: DeploymentConfig, cause: String, createdAt: Timestamp) {
        self.number = number
        self.config = config
        self.cause = cause
        self.createdAt = createdAt
    }
}

extension StoredDeployment {
    init(_ row: Row) throws {
        self.init(spec: try DeploymentSpec(stored: JSONValue(stored: row["spec"])))
        if let condition: String = row["condition"] {
            self.condition = try DeploymentCondition(stored: JSONValue(stored: condition))
        }
        desiredReplicaCount = row["desired"]
        memory = try DeploymentMemory(stored: JSONValue(stored: row["memory"]))
        deletedAt = (row["deleted"] as Int64?).map { Timestamp(milliseconds: $0) }
    }
}

extension DeploymentRevision {
    init(_ row: Row) throws {
        self.init(
            number: row["number"], config: try DeploymentConfig(stored: JSONValue(stored: row["config"])),
            cause: row["cause"], createdAt: Timestamp(milliseconds: row["created"]))
    }
}

extension DeploymentCondition {
    var storedText: String {
        var object = JSONObject()
        object["status"] = .string(status.rawValue)
        object["reason"] = .string(reason)
        object["message"] = .string(message)
        return object.storedText
    }

    init(stored value: JSONValue) throws(StoredFormError) {
        guard let text = value["status"]?.stringValue, let status = DeploymentStatus(rawValue: text) else {
            throw StoredFormError(field: "condition.status", expected: "a status of a deployment")
        }
        self.init(
            status, reason: value["reason"]?.stringValue ?? "", message: value["message"]?.stringValue ?? "")
    }
}

extension JSONValue {
    /// Reads a column.
    init(stored text: String) throws(JSONParseError) { try self.init(parsing: text) }
}

extension JSONObject {
    /// As a column holds it.
    var storedText: String { JSONValue.object(self).text() }
}
