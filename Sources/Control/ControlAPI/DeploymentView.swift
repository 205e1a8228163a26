package import Deployments
package import ServingJSON

/// A deployment as clients see it: Predibase's object and what pbctl adds.
package struct DeploymentView: WireView {
    package static let noun = "deployment"

    package var name: String
    package var uuid: String
    package var description: String
    /// Always `private` here; Predibase has other kinds.
    package var type: String
    package var status: DeploymentStatus
    package var statusReason: String
    package var statusMessage: String
    /// Name of the model that is served.
    package var model: String
    /// Most tokens of a prompt; 0 where that is not known yet.
    package var maxInputLength: Int
    package var accelerator: String
    package var quantization: String?
    /// Replicas that are ready.
    package var currentReplicas: Int
    package var desiredReplicas: Int
    /// The number set by hand, which stops the autoscaler; nil lets it decide.
    package var pinnedReplicas: Int?
    package var usesGuaranteedCapacity: Bool
    /// Fields in camel case as on the wire; secrets are masked.
    package var config: JSONObject
    package var revision: Int
    package var generation: Int
    package var createdAt: Timestamp
    package var updatedAt: Timestamp
    package var deletedAt: Timestamp?
    /// What its owner should know about fields of the config.
    package var notes: [NoteView]
    package var endpoint: EndpointView
    package var replicas: [ReplicaView]
    package var load: LoadView
    /// The last minute; nil where there is nothing to tell.
    package var figures: FiguresView?
    /// Replicas wanted before a `scale`; only in its answer.
    package var replicasBefore: Int?

    /// A deployment without replicas, load or notes, in revision 1.
    package init(
        name: String, uuid: String, status: DeploymentStatus, model: String, config: JSONObject, createdAt: Timestamp
    ) {
        self.name = name
        self.uuid = uuid
        self.status = status
        self.model = model
        self.config = config
        self.createdAt = createdAt
        updatedAt = createdAt
        (description, type, statusReason, statusMessage) = ("", "private", "", "")
        (maxInputLength, accelerator) = (0, "cpu")
        (currentReplicas, desiredReplicas, revision, generation) = (0, 0, 1, 1)
        usesGuaranteedCapacity = false
        (notes, replicas) = ([], [])
        endpoint = EndpointView(openai: "", native: "", predibase: "")
        load = LoadView(running: 0, queued: 0)
    }

    package var json: JSONObject {
        // One by one: the type checker takes minutes for one literal of so many.
        var object = JSONObject()
        object["name"] = .string(name)
        object["uuid"] = .string(uuid)
        object["description"] = .string(description)
        object["type"] = .string(type)
        object["status"] = .string(status.rawValue)
        object["statusReason"] = .string(statusReason)
        object["statusMessage"] = .string(statusMessage)
        object["model"] = ["name": .string(model), "maxInputLength": JSONValue(maxInputLength)]
        object["accelerator"] = ["id": .string(accelerator)]
        object["quantization"] = JSONValue(quantization)
        object["currentReplicas"] = JSONValue(currentReplicas)
        object["desiredReplicas"] = JSONValue(desiredReplicas)
        object["pinnedReplicas"] = JSONValue(pinnedReplicas)
        object["usesGuaranteedCapacity"] = .bool(usesGuaranteedCapacity)
        object["config"] = .object(config)
        object["revision"] = JSONValue(revision)
        object["generation"] = JSONValue(generation)
        object["createdAt"] = JSONValue(createdAt)
        object["updatedAt"] = JSONValue(updatedAt)
        object["deletedAt"] = JSONValue(deletedAt)
        object["notes"] = .array(notes.map { .object($0.json) })
        object["endpoint"] = .object(endpoint.json)
        object["replicas"] = .array(replicas.map { .object($0.json) })
        object["load"] = .object(load.json)
        object["figures"] = figures.map { .object($0.json) } ?? .null
        if let replicasBefore { object["before"] = ["replicas": JSONValue(replicasBefore)] }
        return object
    }

    package init(_ json: JSONValue, at path: String) throws(WireFault) {
        let fields = try WireFields(json, at: path)
        name = try fields.text("name")
        uuid = try fields.text("uuid")
        description = try fields.optionalText("description") ?? ""
        type = try fields.optionalText("type") ?? "private"
        let status = try fields.text("status")
        guard let known = DeploymentStatus(rawValue: status) else {
            throw WireFault(path: "\(path).status", expected: "a status that this pbctl knows, not \"\(status)\"")
        }
        self.status = known
        statusReason = try fields.optionalText("statusReason") ?? ""
        statusMessage = try fields.optionalText("statusMessage") ?? ""
        let model = try WireFields(.object(fields.object("model")), at: "\(path).model")
        self.model = try model.text("name")
        maxInputLength = try model.optionalCount("maxInputLength") ?? 0
        let accelerator = try WireFields(.object(fields.object("accelerator")), at: "\(path).accelerator")
        self.accelerator = try accelerator.text("id")
        quantization = try fields.optionalText("quantization")
        currentReplicas = try fields.count("currentReplicas")
        desiredReplicas = try fields.optionalCount("desiredReplicas") ?? currentReplicas
        pinnedReplicas = try fields.optionalCount("pinnedReplicas")
        usesGuaranteedCapacity = try fields.optionalFlag("usesGuaranteedCapacity") ?? false
        config = try fields.object("config")
        revision = try fields.optionalCount("revision") ?? 1
        generation = try fields.optionalCount("generation") ?? 1
        createdAt = try fields.time("createdAt")
        updatedAt = try fields.optionalTime("updatedAt") ?? createdAt
        deletedAt = try fields.optionalTime("deletedAt")
        notes = try fields.viewsIfThere("notes")
        endpoint = try fields.view("endpoint")
        replicas = try fields.viewsIfThere("replicas")
        load = try fields.optionalView("load") ?? LoadView(running: 0, queued: 0)
        figures = try fields.optionalView("figures")
        let before = try fields.optionalObject("before")
        replicasBefore = try before.map { WireFields(object: $0, path: "\(path).before") }?.optionalCount("replicas")
    }
}

/// Something that the owner of a deployment should know about a field of its config.
package struct NoteView: WireView {
    package static let noun = "note"

    package var field: String
    package var text: String

    package init(field: String, text: String) {
        self.field = field
        self.text = text
    }

    package var json: JSONObject { JSONObject([("field", .string(field)), ("text", .string(text))]) }

    package init(_ json: JSONValue, at path: String) throws(WireFault) {
        let fields = try WireFields(json, at: path)
        field = try fields.text("field")
        text = try fields.text("text")
    }
}

/// Base URLs of a deployment by the kind of client.
package struct EndpointView: WireView {
    package static let noun = "endpoint"

    package var openai: String
    package var native: String
    package var predibase: String

    package init(openai: String, native: String, predibase: String) {
        self.openai = openai
        self.native = native
        self.predibase = predibase
    }

    package var json: JSONObject {
        JSONObject([("openai", .string(openai)), ("native", .string(native)), ("predibase", .string(predibase))])
    }

    package init(_ json: JSONValue, at path: String) throws(WireFault) {
        let fields = try WireFields(json, at: path)
        openai = try fields.text("openai")
        native = try fields.text("native")
        predibase = try fields.optionalText("predibase") ?? ""
    }
}

/// Requests under way and waiting.
package struct LoadView: WireView {
    package static let noun = "load"

    package var running: Int
    package var queued: Int

    package init(running: Int, queued: Int) {
        self.running = running
        self.queued = queued
    }

    package var json: JSONObject { JSONObject([("running", JSONValue(running)), ("queued", JSONValue(queued))]) }

    package init(_ json: JSONValue, at path: String) throws(WireFault) {
        let fields = try WireFields(json, at: path)
        running = try fields.optionalCount("running") ?? 0
        queued = try fields.optionalCount("queued") ?? 0
    }
}
