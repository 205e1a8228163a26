package import Deployments
package import ServingJSON

/// One config in a deployment's history.
package struct RevisionView: WireView {
    package static let noun = "revision"

    package var revision: Int
    package var createdAt: Timestamp
    /// What made it: `created`, `updated`, `rolled back to 2`.
    package var cause: String
    package var config: JSONObject
    /// Whether it is the deployment's config now.
    package var isCurrent: Bool

    package init(revision: Int, createdAt: Timestamp, cause: String, config: JSONObject, isCurrent: Bool) {
        self.revision = revision
        self.createdAt = createdAt
        self.cause = cause
        self.config = config
        self.isCurrent = isCurrent
    }

    package var json: JSONObject {
        JSONObject([
            ("revision", JSONValue(revision)), ("createdAt", JSONValue(createdAt)), ("cause", .string(cause)),
            ("config", .object(config)), ("current", .bool(isCurrent)),
        ])
    }

    package init(_ json: JSONValue, at path: String) throws(WireFault) {
        let fields = try WireFields(json, at: path)
        revision = try fields.count("revision")
        createdAt = try fields.time("createdAt")
        cause = try fields.optionalText("cause") ?? ""
        config = try fields.object("config")
        isCurrent = try fields.optionalFlag("current") ?? false
    }
}
