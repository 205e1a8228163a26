import Deployments
import ServingJSON

/// What a replica's `replica.json` says: who it is and, once there is one, its process.
///
/// Written without a process before the process is started (the intent) and with it right after. Environment is not in
/// it: that is where secrets are.
struct ReplicaRecord: Sendable, Hashable {
    var id: ReplicaID
    var deployment: DeploymentName
    var deploymentID: String
    var revision: Int
    var templateMark: String
    var arguments: [String]
    var launchedAt: Timestamp
    /// Nil in an intent.
    var process: ProcessIdentity?

    init(_ request: ReplicaLaunchRequest, arguments: [String], launchedAt: Timestamp) {
        id = request.id
        deployment = request.deployment
        deploymentID = request.deploymentID
        revision = request.revision
        templateMark = request.templateMark
        self.arguments = arguments
        self.launchedAt = launchedAt
    }

    var json: JSONValue {
        var object = JSONObject()
        object["version"] = 1
        object["id"] = .string(id.text)
        object["deployment"] = .string(deployment.text)
        object["deploymentID"] = .string(deploymentID)
        object["revision"] = .integer(Int64(revision))
        object["templateMark"] = .string(templateMark)
        object["arguments"] = .array(arguments.map { .string($0) })
        object["launchedAt"] = .integer(launchedAt.milliseconds)
        if let process {
            object["pid"] = .integer(Int64(process.pid))
            // As text: it need not fit in a double, which is what other readers of JSON know.
            object["startTicks"] = .string(String(process.startTicks))
            object["bootID"] = .string(process.bootID)
        }
        return .object(object)
    }

    /// Nil where the value is no record.
    init?(_ json: JSONValue) {
        guard let id = json["id"]?.stringValue, let name = json["deployment"]?.stringValue,
            let deployment = try? DeploymentName(name), let deploymentID = json["deploymentID"]?.stringValue,
            let revision = json["revision"]?.intValue, let mark = json["templateMark"]?.stringValue,
            let arguments = json["arguments"]?.arrayValue, let launchedAt = json["launchedAt"]?.intValue
        else { return nil }
        self.id = ReplicaID(id)
        self.deployment = deployment
        self.deploymentID = deploymentID
        self.revision = revision
        templateMark = mark
        self.arguments = arguments.compactMap(\.stringValue)
        self.launchedAt = Timestamp(milliseconds: Int64(launchedAt))
        if let pid = json["pid"]?.intValue.flatMap({ Int32(exactly: $0) }), pid > 1,
            let ticks = json["startTicks"]?.stringValue.flatMap({ UInt64($0) }), let boot = json["bootID"]?.stringValue
        {
            process = ProcessIdentity(pid: pid, startTicks: ticks, bootID: boot)
        }
    }
}

extension ReplicaExit {
    /// What `exit.json` says; the last lines stay in the log.
    var json: JSONValue {
        var object = JSONObject()
        object["code"] = code.map { .integer(Int64($0)) } ?? .null
        object["signal"] = signal.map { .integer(Int64($0)) } ?? .null
        object["at"] = .integer(at.milliseconds)
        return .object(object)
    }

    init?(_ json: JSONValue, lastLines: [String]) {
        guard let at = json["at"]?.intValue else { return nil }
        self.init(
            code: json["code"]?.intValue.flatMap { Int32(exactly: $0) },
            signal: json["signal"]?.intValue.flatMap { Int32(exactly: $0) }, lastLines: lastLines,
            at: Timestamp(milliseconds: Int64(at)))
    }
}
