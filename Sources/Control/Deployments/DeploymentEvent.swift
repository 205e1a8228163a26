package import ServingJSON

/// Something that happened to a deployment, kept in its history.
package struct DeploymentEvent: Sendable, Hashable {
    package enum Severity: String, Sendable, Hashable { case normal, warning }

    /// Ascending over all deployments; 0 before the store has taken it.
    package var number: Int64
    package var deploymentID: String
    package var deployment: DeploymentName
    package var at: Timestamp
    package var severity: Severity
    /// One word in upper camel case (`Created`, `ScaledUp`, `ReplicaReady`, `ReplicaCrashed`, ...).
    package var reason: String
    package var message: String
    /// The numbers of it, for scripts.
    package var data: JSONObject

    package init(
        deploymentID: String, deployment: DeploymentName, at: Timestamp, severity: Severity = .normal, reason: String,
        message: String, data: JSONObject = JSONObject(), number: Int64 = 0
    ) {
        self.deploymentID = deploymentID
        self.deployment = deployment
        self.at = at
        self.severity = severity
        self.reason = reason
        self.message = message
        self.data = data
        self.number = number
    }
}
