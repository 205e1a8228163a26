package import Deployments
package import ServingJSON

/// The server about itself.
package struct ServerView: WireView {
    package static let noun = "server"

    package var version: String
    package var processID: Int
    package var startedAt: Timestamp
    package var url: String
    package var stateFolder: String
    /// What starts replicas: `local`, `kubernetes`, `slurm`.
    package var launcher: String
    package var deployments: Int
    package var replicas: Int

    package init(version: String, processID: Int, startedAt: Timestamp, url: String, stateFolder: String) {
        self.version = version
        self.processID = processID
        self.startedAt = startedAt
        self.url = url
        self.stateFolder = stateFolder
        launcher = "local"
        (deployments, replicas) = (0, 0)
    }

    package var json: JSONObject {
        JSONObject([
            ("version", .string(version)), ("pid", JSONValue(processID)), ("startedAt", JSONValue(startedAt)),
            ("url", .string(url)), ("stateFolder", .string(stateFolder)), ("launcher", .string(launcher)),
            ("deployments", JSONValue(deployments)), ("replicas", JSONValue(replicas)),
        ])
    }

    package init(_ json: JSONValue, at path: String) throws(WireFault) {
        let fields = try WireFields(json, at: path)
        version = try fields.text("version")
        processID = try fields.count("pid")
        startedAt = try fields.time("startedAt")
        url = try fields.text("url")
        stateFolder = try fields.optionalText("stateFolder") ?? ""
        launcher = try fields.optionalText("launcher") ?? "local"
        deployments = try fields.optionalCount("deployments") ?? 0
        replicas = try fields.optionalCount("replicas") ?? 0
    }
}
