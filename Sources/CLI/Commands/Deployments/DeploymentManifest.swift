import ControlAPI
import Deployments
import ServingJSON

/// A deployment in the form of the files that `deploy -f` and `apply -f` take, out of what a server tells.
enum DeploymentManifest {
    /// Only fields that differ from their defaults.
    static func json(of view: DeploymentView) -> JSONObject {
        var object = JSONObject([
            ("apiVersion", .string(Resource.version)), ("kind", "Deployment"), ("name", .string(view.name)),
        ])
        if !view.description.isEmpty { object["description"] = .string(view.description) }
        object["config"] = .object(config(view.config))
        return object
    }

    /// A config without fields at their defaults, and without secrets, which no server tells.
    static func config(_ config: JSONObject) -> JSONObject {
        let defaults = DeploymentConfig(baseModel: "").json(revealingSecrets: false)
        return JSONObject(
            config.members.filter { key, value in
                key == DeploymentConfigField.baseModel.wireName
                    || (!value.isNull && defaults[key] != value && value.stringValue != DeploymentConfigField.mask)
            }.map { ($0.0, $0.1) })
    }

    /// As YAML, with a word on what is left out.
    static func yaml(of view: DeploymentView) -> String {
        let hasSecret = view.config[DeploymentConfigField.hfToken.wireName]?.stringValue != nil
        let note = hasSecret ? "# hfToken is kept by the server and not shown\n" : ""
        return note + YAMLText.text(of: .object(json(of: view)))
    }
}

/// How one config differs from another, field by field.
struct ConfigDifference: Sendable, Equatable {
    struct Change: Sendable, Equatable {
        let field: String
        let old: JSONValue
        let new: JSONValue
    }

    let changes: [Change]

    /// Fields of `new` that are something else in `old`; null and absent are the same.
    init(from old: JSONObject, to new: JSONObject) {
        changes = DeploymentConfigField.allCases.compactMap { field in
            let (before, after) = (old[field.wireName] ?? .null, new[field.wireName] ?? .null)
            return before == after ? nil : Change(field: field.wireName, old: before, new: after)
        }
    }

    var isEmpty: Bool { changes.isEmpty }

    /// A line for what goes and one for what comes, for each field.
    func text(colored: Bool) -> String {
        changes.map { change in
            var lines: [String] = []
            if !change.old.isNull { lines.append(TextLine.removed("\(change.field): \(change.old.text())", colored)) }
            if !change.new.isNull { lines.append(TextLine.added("\(change.field): \(change.new.text())", colored)) }
            return lines.map { $0 + "\n" }.joined()
        }.joined()
    }
}
