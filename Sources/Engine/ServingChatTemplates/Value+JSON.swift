import ServingJSON

extension Value {
    /// A JSON value as Python's reader would give it.
    init(_ json: JSONValue) throws(Failure) {
        switch json {
        case .null: self = .none
        case .bool(let value): self = .bool(value)
        case .integer(let value): self = .integer(Int(value))
        case .number(let value): self = .float(value)
        case .string(let value): self = .text(value)
        case .array(let elements):
            var values: [Value] = []
            values.reserveCapacity(elements.count)
            for element in elements { values.append(try Value(element)) }
            self = .list(try ListValue(values))
        case .object(let object):
            let dictionary = DictionaryValue()
            for (key, value) in object.members { try dictionary.set(.text(key), try Value(value)) }
            self = .dictionary(dictionary)
        }
    }
}

/// Python's `json.dumps`, which is what the `tojson` filter is in chat templates (no escapes for HTML).
struct PythonJSONWriter {
    /// What stands for one level of indentation; nil keeps all on one line.
    var indent: Text?
    var itemSeparator: Text = ", "
    var keySeparator: Text = ": "
    var sortsKeys = false
    private(set) var bytes: [UInt8] = []
    private let byteLimit: Int

    init(byteLimit: Int) { self.byteLimit = byteLimit }

    mutating func write(_ value: Value, level: Int = 0) throws(Failure) {
        guard bytes.count <= byteLimit else { throw Failure(.limit, "JSON longer than \(byteLimit) bytes") }
        switch value {
        case .none: append("null")
        case .bool(let value): append(value ? "true" : "false")
        case .integer(let value): append(String(value))
        case .float(let value): append(Self.number(value))
        case .string(let text): quote(text)
        case .list(let list), .tuple(let list):
            try sequence("[", "]", count: list.elements.count, level: level) { (writer, index) throws(Failure) in
                try writer.write(list.elements[index], level: level + 1)
            }
        case .dictionary(let dictionary): try write(dictionary, level: level)
        default: throw Failure(.type, "Object of type \(value.typeName) is not JSON serializable")
        }
    }

    private mutating func write(_ dictionary: DictionaryValue, level: Int) throws(Failure) {
        var order = Array(0..<dictionary.count)
        if sortsKeys {
            order = try dictionary.keys.sortedPositions { (left, right) throws(Failure) in
                try Value.isOrdered(left, right, by: .less)
            }
        }
        try sequence("{", "}", count: order.count, level: level) { (writer, index) throws(Failure) in
            writer.quote(try Self.key(dictionary.keys[order[index]]))
            writer.bytes.append(contentsOf: writer.keySeparator.bytes)
            try writer.write(dictionary.values[order[index]], level: level + 1)
        }
    }

    private mutating func sequence(
        _ open: String, _ close: String, count: Int, level: Int,
        _ write: (inout PythonJSONWriter, Int) throws(Failure) -> Void
    ) throws(Failure) {
        append(open)
        for index in 0..<count {
            if index > 0 { bytes.append(contentsOf: itemSeparator.bytes) }
            breakLine(level: level + 1)
            try write(&self, index)
        }
        if count > 0 { breakLine(level: level) }
        append(close)
    }

    private mutating func breakLine(level: Int) {
        guard let indent else { return }
        bytes.append(0x0A)
        for _ in 0..<level where bytes.count <= byteLimit { bytes.append(contentsOf: indent.bytes) }
    }

    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        return value.isInfinite ? (value < 0 ? "-Infinity" : "Infinity") : value.pythonText
    }

    private static func key(_ value: Value) throws(Failure) -> Text {
        switch value {
        case .string(let text): return text
        case .none: return "null"
        case .bool(let value): return value ? "true" : "false"
        case .integer(let value): return Text(String(value))
        case .float(let value): return Text(number(value))
        default:
            throw Failure(.type, "keys must be str, int, float, bool or None, not \(value.typeName)")
        }
    }

    private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

    private mutating func appendEscape(_ unit: UInt16) {
        let digits = String(unit, radix: 16)
        append("\\u" + String(repeating: "0", count: 4 - digits.count) + digits)
    }

    private mutating func quote(_ text: Text) {
        append("\"")
        for byte in text.bytes {
            switch byte {
            case UInt8(ascii: "\""): append("\\\"")
            case UInt8(ascii: "\\"): append("\\\\")
            case 0x0A: append("\\n")
            case 0x0D: append("\\r")
            case 0x09: append("\\t")
            case 0x0C: append("\\f")
            case 0x08: append("\\b")
            case ..<0x20: appendEscape(UInt16(byte))
            default: bytes.append(byte)
            }
        }
        append("\"")
    }

    /// JSON text with everything beyond ASCII as `\uXXXX`, as `ensure_ascii` asks.
    static func asciiOnly(_ text: Text) -> Text {
        var result: [UInt8] = []
        for unit in text.string.utf16 {
            if unit < 0x7F {
                result.append(UInt8(unit))
            } else {
                let digits = String(unit, radix: 16)
                result.append(contentsOf: ("\\u" + String(repeating: "0", count: 4 - digits.count) + digits).utf8)
            }
        }
        return Text(bytes: result)
    }
}
