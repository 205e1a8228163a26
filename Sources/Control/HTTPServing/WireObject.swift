package import ServingJSON

/// The members of an object in a request body, read by name and type. Null stands for an absent member, as clients send
/// it.
package struct WireObject {
    package let object: JSONObject
    /// Path of the object itself, empty at the top.
    package let path: String

    package init(_ value: JSONValue, named name: String, path: String = "") throws(WireDecodingError) {
        guard case .object(let object) = value else {
            throw WireDecodingError(path: path, message: value.mismatch("struct \(name)"))
        }
        self.object = object
        self.path = path
    }

    package func path(of name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

    /// The member, or nil where it is absent or null.
    package subscript(name: String) -> JSONValue? {
        guard let value = object[name], !value.isNull else { return nil }
        return value
    }

    package func fails(_ name: String, _ message: String) -> WireDecodingError {
        WireDecodingError(path: path(of: name), message: message)
    }

    package func required(_ name: String) throws(WireDecodingError) -> JSONValue {
        guard let value = object[name] else {
            throw WireDecodingError(path: path, message: "missing field `\(name)`")
        }
        return value
    }

    package func requiredString(_ name: String) throws(WireDecodingError) -> String {
        let value = try required(name)
        guard let text = value.stringValue else { throw fails(name, value.mismatch("a string")) }
        return text
    }

    package func string(_ name: String) throws(WireDecodingError) -> String? {
        guard let value = self[name] else { return nil }
        guard let text = value.stringValue else { throw fails(name, value.mismatch("a string")) }
        return text
    }

    package func bool(_ name: String) throws(WireDecodingError) -> Bool? {
        guard let value = self[name] else { return nil }
        guard let flag = value.boolValue else { throw fails(name, value.mismatch("a boolean")) }
        return flag
    }

    /// A number that a float32 holds.
    package func float(_ name: String) throws(WireDecodingError) -> Float? {
        guard let value = self[name] else { return nil }
        guard let number = value.doubleValue else { throw fails(name, value.mismatch("f32")) }
        return Float(number)
    }

    package func integer<Value: FixedWidthInteger>(
        _ name: String, _ type: String, as _: Value.Type = Value.self
    ) throws(WireDecodingError) -> Value? {
        guard let value = self[name] else { return nil }
        return try Self.integer(value, type, path: path(of: name))
    }

    package static func integer<Value: FixedWidthInteger>(
        _ value: JSONValue, _ type: String, path: String
    ) throws(WireDecodingError) -> Value {
        switch value {
        case .integer(let number):
            if let exact = Value(exactly: number) { return exact }
            throw WireDecodingError(path: path, message: "invalid value: integer `\(number)`, expected \(type)")
        case .number(let number):
            // Whole numbers beyond Int64 come as doubles; a u64 seed may be one. The greatest come as a double beyond.
            if number >= 9.2e18, let exact = Value(exactly: number) { return exact }
            if number == 0x1p64, Value.max == UInt64.max { return Value.max }
            throw WireDecodingError(path: path, message: value.mismatch(type))
        default: throw WireDecodingError(path: path, message: value.mismatch(type))
        }
    }

    package func array(_ name: String) throws(WireDecodingError) -> [JSONValue]? {
        guard let value = self[name] else { return nil }
        guard let elements = value.arrayValue else { throw fails(name, value.mismatch("a sequence")) }
        return elements
    }

    package func strings(_ name: String) throws(WireDecodingError) -> [String]? {
        guard let elements = try array(name) else { return nil }
        var result: [String] = []
        for (index, element) in elements.enumerated() {
            guard let text = element.stringValue else { throw fails("\(name)[\(index)]", element.mismatch("a string")) }
            result.append(text)
        }
        return result
    }

    package func number(_ name: String) throws(WireDecodingError) -> Double? {
        guard let value = self[name] else { return nil }
        guard let number = value.doubleValue else { throw fails(name, value.mismatch("f32")) }
        return number
    }

    package func numbers(_ name: String) throws(WireDecodingError) -> [Double]? {
        guard let elements = try array(name) else { return nil }
        var result: [Double] = []
        for (index, element) in elements.enumerated() {
            guard let number = element.doubleValue else { throw fails("\(name)[\(index)]", element.mismatch("f32")) }
            result.append(number)
        }
        return result
    }

    package func object(_ name: String, named type: String) throws(WireDecodingError) -> WireObject? {
        guard let value = self[name] else { return nil }
        return try WireObject(value, named: type, path: path(of: name))
    }
}

extension JSONValue {
    /// serde's words for a value of another type than the one expected.
    package func mismatch(_ expected: String) -> String { "invalid type: \(serdeName), expected \(expected)" }

    private var serdeName: String {
        switch self {
        case .null: "null"
        case .bool(let value): "boolean `\(value)`"
        case .integer(let value): "integer `\(value)`"
        case .number(let value): "floating point `\(value)`"
        case .string(let value): "string \(JSONValue.string(String(value.prefix(60))).text())"
        case .array: "sequence"
        case .object: "map"
        }
    }
}
