package import Deployments
package import ServingJSON

/// Something that happened to a deployment, as clients see it.
package struct EventView: WireView {
    package static let noun = "event"

    /// Ascending over all deployments; what `after` compares.
    package var number: Int64
    package var deployment: String
    package var uuid: String
    package var at: Timestamp
    package var severity: DeploymentEvent.Severity
    package var reason: String
    package var message: String
    package var data: JSONObject

    package init(_ event: DeploymentEvent) {
        number = event.number
        deployment = event.deployment.text
        uuid = event.deploymentID
        at = event.at
        severity = event.severity
        reason = event.reason
        message = event.message
        data = event.data
    }

    package var json: JSONObject {
        JSONObject([
            ("number", .integer(number)), ("deployment", .string(deployment)), ("uuid", .string(uuid)),
            ("at", JSONValue(at)), ("severity", .string(severity.rawValue)), ("reason", .string(reason)),
            ("message", .string(message)), ("data", .object(data)),
        ])
    }

    package init(_ json: JSONValue, at path: String) throws(WireFault) {
        let fields = try WireFields(json, at: path)
        number = Int64(try fields.count("number"))
        deployment = try fields.text("deployment")
        uuid = try fields.optionalText("uuid") ?? ""
        at = try fields.time("at")
        let severity = try fields.optionalText("severity") ?? "normal"
        guard let known = DeploymentEvent.Severity(rawValue: severity) else {
            throw WireFault(path: "\(path).severity", expected: "normal or warning")
        }
        self.severity = known
        reason = try fields.text("reason")
        message = try fields.optionalText("message") ?? ""
        data = try fields.optionalObject("data") ?? JSONObject()
    }
}
