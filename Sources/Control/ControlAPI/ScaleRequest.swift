package import ServingJSON

/// What is asked of a deployment's number of replicas.
package enum ScaleRequest: WireView {
    package static let noun = "request"

    /// Pin a number; the autoscaler rests.
    case replicas(Int)
    /// Pin so many more or fewer than are wanted now.
    case delta(Int)
    /// Set limits and let the autoscaler decide.
    case limits(ScaleLimits)
    /// Let the autoscaler decide within the limits there are.
    case automatic

    package var json: JSONObject {
        switch self {
        case .replicas(let count): JSONObject([("replicas", JSONValue(count))])
        case .delta(let change): JSONObject([("delta", JSONValue(change))])
        case .limits(let limits): limits.json
        case .automatic: JSONObject([("replicas", .null)])
        }
    }

    /// Exactly one of the three forms; `{"replicas": null}` is ``automatic``.
    package init(_ json: JSONValue, at path: String) throws(WireFault) {
        let fields = try WireFields(json, at: path)
        let limits = try ScaleLimits(json, at: path)
        let forms = [
            fields.object["replicas"] != nil, fields.value("delta") != nil, !limits.isEmpty,
        ]
        guard forms.count(where: { $0 }) == 1 else {
            throw WireFault(path: path, expected: "one of replicas, delta, or limits such as minReplicas")
        }
        if let change = try fields.optionalCount("delta") {
            self = .delta(change)
        } else if !limits.isEmpty {
            self = .limits(limits)
        } else if let count = try fields.optionalCount("replicas") {
            self = .replicas(count)
        } else {
            self = .automatic
        }
    }
}

/// A deployment to be made, or changes to one: no name, and only what changes.
package struct DeploymentRequest: WireView {
    package static let noun = "request"

    package var name: String?
    /// Fields in camel case; null leaves a field as it is, or at its default.
    package var config: JSONObject?
    package var description: String?

    package init(name: String? = nil, config: JSONObject? = nil, description: String? = nil) {
        self.name = name
        self.config = config
        self.description = description
    }

    package var json: JSONObject {
        var object = JSONObject()
        if let name { object["name"] = .string(name) }
        if let config { object["config"] = .object(config) }
        if let description { object["description"] = .string(description) }
        return object
    }

    package init(_ json: JSONValue, at path: String) throws(WireFault) {
        let fields = try WireFields(json, at: path)
        name = try fields.optionalText("name")
        config = try fields.optionalObject("config")
        description = try fields.optionalText("description")
    }
}
