package import Deployments
package import ServingJSON

/// Why a JSON text is not what the control plane's API says it is.
package struct WireFault: Error, Hashable, CustomStringConvertible {
    /// Where: `deployment.replicas[0].phase`.
    package let path: String
    /// What should be there: `text`, `a whole number`.
    package let expected: String

    package init(path: String, expected: String) {
        self.path = path
        self.expected = expected
    }

    package var description: String { "\(path): expected \(expected)" }
}

/// A value as the control plane's API tells it. Unknown keys are left alone, so that older clients read newer servers;
/// a known key with a value of the wrong type is a fault.
package protocol WireView: Sendable, Hashable {
    /// The value for the wire.
    var json: JSONObject { get }
    /// The value from the wire.
    init(_ json: JSONValue, at path: String) throws(WireFault)
    /// What the value is called in faults.
    static var noun: String { get }
}

extension WireView {
    package init(_ json: JSONValue) throws(WireFault) { try self.init(json, at: Self.noun) }

    /// All values of a list `{"data": [...]}`.
    package static func list(_ json: JSONValue) throws(WireFault) -> [Self] {
        try WireFields(json, at: "answer").views("data")
    }

    /// Values as a list `{"data": [...]}`.
    package static func list(_ values: some Sequence<Self>) -> JSONObject {
        JSONObject([("data", .array(values.map { .object($0.json) }))])
    }

    /// The value of `{"data": {...}}`.
    package static func enveloped(_ json: JSONValue) throws(WireFault) -> Self {
        try WireFields(json, at: "answer").view("data")
    }

    /// The value as `{"data": {...}}`.
    package var enveloped: JSONObject { JSONObject([("data", .object(json))]) }
}

/// The members of one JSON object, read by type; each fault says where it lies.
package struct WireFields: Sendable {
    package let object: JSONObject
    package let path: String

    package init(_ json: JSONValue, at path: String) throws(WireFault) {
        guard let object = json.objectValue else { throw WireFault(path: path, expected: "an object") }
        self.object = object
        self.path = path
    }

    /// The value under a key; nil where it is missing or null.
    package func value(_ key: String) -> JSONValue? {
        guard let value = object[key], !value.isNull else { return nil }
        return value
    }

    package init(object: JSONObject, path: String) {
        self.object = object
        self.path = path
    }

    private func fault(_ key: String, _ expected: String) -> WireFault {
        WireFault(path: "\(path).\(key)", expected: expected)
    }

    private func required<Value>(_ value: Value?, _ key: String, _ expected: String) throws(WireFault) -> Value {
        guard let value else { throw fault(key, expected) }
        return value
    }

    package func optionalText(_ key: String) throws(WireFault) -> String? {
        guard let value = value(key) else { return nil }
        return try required(value.stringValue, key, "text")
    }

    package func text(_ key: String) throws(WireFault) -> String { try required(optionalText(key), key, "text") }

    package func optionalCount(_ key: String) throws(WireFault) -> Int? {
        guard let value = value(key) else { return nil }
        return try required(value.intValue, key, "a whole number")
    }

    package func count(_ key: String) throws(WireFault) -> Int {
        try required(optionalCount(key), key, "a whole number")
    }

    package func optionalNumber(_ key: String) throws(WireFault) -> Double? {
        guard let value = value(key) else { return nil }
        return try required(value.doubleValue, key, "a number")
    }

    package func number(_ key: String) throws(WireFault) -> Double {
        try required(optionalNumber(key), key, "a number")
    }

    package func optionalFlag(_ key: String) throws(WireFault) -> Bool? {
        guard let value = value(key) else { return nil }
        return try required(value.boolValue, key, "true or false")
    }

    package func optionalTime(_ key: String) throws(WireFault) -> Timestamp? {
        guard let value = value(key) else { return nil }
        let time = value.stringValue.flatMap { Timestamp(iso8601: $0) }
        return try required(time, key, "a time such as 2026-01-31T12:00:00.000Z")
    }

    package func time(_ key: String) throws(WireFault) -> Timestamp {
        try required(optionalTime(key), key, "a time such as 2026-01-31T12:00:00.000Z")
    }

    package func optionalObject(_ key: String) throws(WireFault) -> JSONObject? {
        guard let value = value(key) else { return nil }
        return try required(value.objectValue, key, "an object")
    }

    package func object(_ key: String) throws(WireFault) -> JSONObject {
        try required(optionalObject(key), key, "an object")
    }

    package func optionalView<View: WireView>(_ key: String) throws(WireFault) -> View? {
        guard let value = value(key) else { return nil }
        return try View(value, at: "\(path).\(key)")
    }

    package func view<View: WireView>(_ key: String) throws(WireFault) -> View {
        try View(required(value(key), key, "an object"), at: "\(path).\(key)")
    }

    /// A list of objects.
    package func views<View: WireView>(_ key: String) throws(WireFault) -> [View] {
        let elements = try required(value(key)?.arrayValue, key, "a list")
        var views: [View] = []
        for (position, element) in elements.enumerated() {
            views.append(try View(element, at: "\(path).\(key)[\(position)]"))
        }
        return views
    }

    /// A list of objects that older servers may leave out.
    package func viewsIfThere<View: WireView>(_ key: String) throws(WireFault) -> [View] {
        value(key) == nil ? [] : try views(key)
    }
}

extension JSONValue {
    /// Text, or null.
    package init(_ text: String?) { self = text.map { .string($0) } ?? .null }
    /// A whole number, or null.
    package init(_ count: Int?) { self = count.map { .integer(Int64($0)) } ?? .null }
    /// A number, or null.
    package init(_ number: Double?) { self = number.map { .number($0) } ?? .null }
    /// A time, or null.
    package init(_ time: Timestamp?) { self = time.map { .string($0.iso8601) } ?? .null }
}
