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
    /// GPUs that replicas are placed on.
    package var gpus: [GPUView]
    /// Why there are none, where one might expect some.
    package var gpuProblem: String?

    package init(version: String, processID: Int, startedAt: Timestamp, url: String, stateFolder: String) {
        self.version = version
        self.processID = processID
        self.startedAt = startedAt
        self.url = url
        self.stateFolder = stateFolder
        launcher = "local"
        (deployments, replicas, gpus) = (0, 0, [])
    }

    package var json: JSONObject {
        JSONObject([
            ("version", .string(version)), ("pid", JSONValue(processID)), ("startedAt", JSONValue(startedAt)),
            ("url", .string(url)), ("stateFolder", .string(stateFolder)), ("launcher", .string(launcher)),
            ("deployments", JSONValue(deployments)), ("replicas", JSONValue(replicas)),
            ("gpus", .array(gpus.map { .object($0.json) })), ("gpuProblem", JSONValue(gpuProblem)),
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
        gpus = try fields.viewsIfThere("gpus")
        gpuProblem = try fields.optionalText("gpuProblem")
    }
}

/// A GPU of the server's machine.
package struct GPUView: WireView {
    package static let noun = "GPU"

    /// `cuda:0`.
    package var device: String
    package var name: String
    package var memoryBytes: Int
    /// Replicas on it that have not ended.
    package var replicas: Int

    package init(device: String, name: String, memoryBytes: Int, replicas: Int) {
        self.device = device
        self.name = name
        self.memoryBytes = memoryBytes
        self.replicas = replicas
    }

    package var json: JSONObject {
        JSONObject([
            ("device", .string(device)), ("name", .string(name)), ("memoryBytes", JSONValue(memoryBytes)),
            ("replicas", JSONValue(replicas)),
        ])
    }

    package init(_ json: JSONValue, at path: String) throws(WireFault) {
        let fields = try WireFields(json, at: path)
        device = try fields.text("device")
        name = try fields.text("name")
        memoryBytes = try fields.optionalCount("memoryBytes") ?? 0
        replicas = try fields.optionalCount("replicas") ?? 0
    }
}
