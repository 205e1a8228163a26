package import ServingJSON

/// The body of an answer that is not a success.
package struct APIProblem: WireView, Error, CustomStringConvertible {
    package static let noun = "error"

    /// What went wrong with which thing, for people.
    package var message: String
    /// One word for programs (`notFound`, `nameTaken`, `conflict`, `badConfig`, ...).
    package var code: String
    /// What to do about it, where the message does not say it.
    package var hint: String?
    /// Fields of the config that can't be, where that is the problem.
    package var faults: [FaultView]

    package init(_ message: String, code: String, hint: String? = nil, faults: [FaultView] = []) {
        self.message = message
        self.code = code
        self.hint = hint
        self.faults = faults
    }

    package var description: String { message }

    package var json: JSONObject {
        var object = JSONObject([("error", .string(message)), ("code", .string(code))])
        if let hint { object["hint"] = .string(hint) }
        if !faults.isEmpty { object["faults"] = .array(faults.map { .object($0.json) }) }
        return object
    }

    /// Also reads OpenAI's form, `{"error": {"message": ...}}`, which the gateway's routes have.
    package init(_ json: JSONValue, at path: String) throws(WireFault) {
        let fields = try WireFields(json, at: path)
        if let inner = fields.value("error")?.objectValue {
            let inner = WireFields(object: inner, path: "\(path).error")
            let code = inner.value("code") ?? inner.value("type")
            self.init(try inner.text("message"), code: code?.stringValue ?? "")
            return
        }
        self.init(
            try fields.text("error"), code: try fields.optionalText("code") ?? "",
            hint: try fields.optionalText("hint"), faults: try fields.viewsIfThere("faults"))
    }
}

/// One field of a config that can't be.
package struct FaultView: WireView {
    package static let noun = "fault"

    package var field: String
    /// What was given, as text.
    package var value: String
    package var expected: String

    package init(field: String, value: String, expected: String) {
        self.field = field
        self.value = value
        self.expected = expected
    }

    package var json: JSONObject {
        JSONObject([("field", .string(field)), ("value", .string(value)), ("expected", .string(expected))])
    }

    /// The value may be of any type.
    package init(_ json: JSONValue, at path: String) throws(WireFault) {
        let fields = try WireFields(json, at: path)
        field = try fields.text("field")
        let value = fields.value("value") ?? .null
        self.value = value.stringValue ?? value.text()
        expected = try fields.text("expected")
    }
}
