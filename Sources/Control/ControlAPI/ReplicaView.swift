package import Deployments
package import ServingJSON

/// One replica of a deployment as clients see it.
package struct ReplicaView: WireView {
    package static let noun = "replica"

    package var id: String
    /// ``ReplicaPhase/name``.
    package var phase: String
    /// How much of the model is loaded; nil where it is not loading.
    package var percent: Int?
    package var revision: Int
    /// Whether it runs an earlier config and is to be replaced.
    package var isOutdated: Bool
    package var launchedAt: Timestamp
    package var readyAt: Timestamp?
    /// `host:port`; nil until it listens.
    package var endpoint: String?
    package var processID: Int?
    /// What it computes on: `cpu`, `cuda:0`; nil where that was left to it.
    package var device: String?
    /// Share of the machine's processors or of the GPU in the last few seconds, 0 to 1; nil until it is known.
    package var utilization: Double?
    /// Bytes of the GPU's memory in use, by all programs; nil without a GPU.
    package var gpuMemoryBytes: Int?
    /// Requests under way.
    package var requests: Int
    /// What it waits for or how it ended.
    package var message: String

    package init(id: String, phase: String, revision: Int, launchedAt: Timestamp) {
        self.id = id
        self.phase = phase
        self.revision = revision
        self.launchedAt = launchedAt
        isOutdated = false
        requests = 0
        message = ""
    }

    package var json: JSONObject {
        var object = JSONObject()
        object["id"] = .string(id)
        object["phase"] = .string(phase)
        object["percent"] = JSONValue(percent)
        object["revision"] = JSONValue(revision)
        object["outdated"] = .bool(isOutdated)
        object["launchedAt"] = JSONValue(launchedAt)
        object["readyAt"] = JSONValue(readyAt)
        object["endpoint"] = JSONValue(endpoint)
        object["pid"] = JSONValue(processID)
        object["device"] = JSONValue(device)
        object["utilization"] = JSONValue(utilization)
        object["gpuMemoryBytes"] = JSONValue(gpuMemoryBytes)
        object["requests"] = JSONValue(requests)
        object["message"] = .string(message)
        return object
    }

    package init(_ json: JSONValue, at path: String) throws(WireFault) {
        let fields = try WireFields(json, at: path)
        id = try fields.text("id")
        phase = try fields.text("phase")
        percent = try fields.optionalCount("percent")
        revision = try fields.optionalCount("revision") ?? 1
        isOutdated = try fields.optionalFlag("outdated") ?? false
        launchedAt = try fields.time("launchedAt")
        readyAt = try fields.optionalTime("readyAt")
        endpoint = try fields.optionalText("endpoint")
        processID = try fields.optionalCount("pid")
        device = try fields.optionalText("device")
        utilization = try fields.optionalNumber("utilization")
        gpuMemoryBytes = try fields.optionalCount("gpuMemoryBytes")
        requests = try fields.optionalCount("requests") ?? 0
        message = try fields.optionalText("message") ?? ""
    }
}

/// A line that a replica wrote.
package struct LogLineView: WireView {
    package static let noun = "line"

    package var replica: String
    package var at: Timestamp?
    package var text: String

    package init(replica: String, at: Timestamp?, text: String) {
        self.replica = replica
        self.at = at
        self.text = text
    }

    package var json: JSONObject {
        JSONObject([("replica", .string(replica)), ("at", JSONValue(at)), ("text", .string(text))])
    }

    package init(_ json: JSONValue, at path: String) throws(WireFault) {
        let fields = try WireFields(json, at: path)
        replica = try fields.text("replica")
        at = try fields.optionalTime("at")
        text = try fields.text("text")
    }
}
