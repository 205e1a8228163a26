package import ServingJSON

extension DeploymentMemory {
    /// The memory as the store keeps it. How far replicas had got with loading is left out: it is seen again.
    package var storedJSON: JSONObject {
        var object = JSONObject()
        if let failingTemplateMark { object["failingTemplate"] = .string(failingTemplateMark) }
        if failureCount != 0 { object["failures"] = .integer(Int64(failureCount)) }
        if let lastFailure { object["lastFailure"] = .object(lastFailure.storedJSON) }
        if let lastFailureCause { object["lastFailureCause"] = .string(lastFailureCause) }
        if hasGivenUp { object["hasGivenUp"] = true }
        if wasEverReady { object["wasEverReady"] = true }
        var notes = JSONObject()
        for (id, note) in replicas.sorted(by: { $0.key < $1.key }) {
            let members = note.storedJSON
            if !members.isEmpty { notes[id.text] = .object(members) }
        }
        if !notes.isEmpty { object["replicas"] = .object(notes) }
        return object
    }

    /// Reads what ``storedJSON`` wrote; members that this version doesn't know are passed over.
    package init(stored value: JSONValue) throws(StoredFormError) {
        let form = try StoredForm(value, path: "memory")
        self.init()
        failingTemplateMark = try form.optionalText("failingTemplate")
        failureCount = max(0, try form.integer("failures", default: 0))
        if let exit = form["lastFailure"] { lastFailure = try ReplicaExit(stored: exit) }
        lastFailureCause = try form.optionalText("lastFailureCause")
        hasGivenUp = try form.flag("hasGivenUp")
        wasEverReady = try form.flag("wasEverReady")
        guard let notes = form["replicas"] else { return }
        guard let members = notes.objectValue else {
            throw StoredFormError(field: "memory.replicas", expected: "an object")
        }
        for (id, note) in members.members { replicas[ReplicaID(id)] = try ReplicaNote(stored: note) }
    }
}

extension ReplicaNote {
    fileprivate var storedJSON: JSONObject {
        var object = JSONObject()
        if let ending { object["ending"] = .string(ending.rawValue) }
        if let endingSince { object["since"] = .integer(endingSince.milliseconds) }
        if let askedAt { object["askedAt"] = .integer(askedAt.milliseconds) }
        if isKilled { object["isKilled"] = true }
        if isExitCounted { object["isExitCounted"] = true }
        return object
    }

    fileprivate init(stored value: JSONValue) throws(StoredFormError) {
        let form = try StoredForm(value, path: "memory.replicas")
        // A kind of ending that a later version made up is at least an ending.
        self.init()
        ending = try form.optionalText("ending").map { Ending(rawValue: $0) ?? .drain }
        endingSince = try form.optionalInteger("since").map { Timestamp(milliseconds: Int64($0)) }
        askedAt = try form.optionalInteger("askedAt").map { Timestamp(milliseconds: Int64($0)) }
        isKilled = try form.flag("isKilled")
        isExitCounted = try form.flag("isExitCounted")
    }
}

extension ReplicaExit {
    /// An exit as the store keeps it.
    package var storedJSON: JSONObject {
        var object = JSONObject()
        if let code { object["code"] = .integer(Int64(code)) }
        if let signal { object["signal"] = .integer(Int64(signal)) }
        if !lastLines.isEmpty { object["lastLines"] = .array(lastLines.map { .string($0) }) }
        object["at"] = .integer(at.milliseconds)
        return object
    }

    /// Reads what ``storedJSON`` wrote.
    package init(stored value: JSONValue) throws(StoredFormError) {
        let form = try StoredForm(value, path: "exit")
        self.init(
            code: try form.optionalInteger("code").map { Int32(clamping: $0) },
            signal: try form.optionalInteger("signal").map { Int32(clamping: $0) },
            lastLines: try form.texts("lastLines"),
            at: Timestamp(milliseconds: Int64(try form.integer("at", default: 0))))
    }
}
