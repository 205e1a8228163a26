import Deployments
import ServingJSON

/// What has to be sent so that a deployment's config becomes what a file says, fields that the file leaves out at their
/// defaults.
enum DesiredConfig {
    /// The whole config that a file describes, as the server would tell it. A token that is left out stays.
    static func whole(_ config: JSONObject, current: JSONObject?) throws(DeploymentConfigError) -> JSONObject {
        var given = config
        // A file without a model keeps the one there is.
        if given["baseModel"] == nil { given["baseModel"] = current?["baseModel"] ?? .null }
        var whole = try DeploymentConfig(creating: .object(given)).json(revealingSecrets: true)
        if let token = current?["hfToken"], whole["hfToken"]?.isNull != false { whole["hfToken"] = token }
        return whole
    }

    /// The body of an update from `current` to `whole`. Null means "as it is" on the wire, so that fields which are to
    /// be at no value are sent as that which takes the default back.
    static func update(from current: JSONObject, to whole: JSONObject) -> JSONObject {
        let difference = ConfigDifference(from: current, to: whole)
        return JSONObject(
            difference.changes.map { change in
                (change.field, change.new.isNull ? reset(change.old, field: change.field) : change.new)
            })
    }

    private static func reset(_ old: JSONValue, field: String) -> JSONValue {
        switch old {
        case .string: ""
        case .integer, .number: 0
        case .array: []
        case .object: [:]
        case .bool, .null: .null
        }
    }
}
