/// A JSON document as a value.
///
/// Unlike Foundation's types it keeps the order of object members (chat templates print them in order), keeps integers
/// apart from floating-point numbers, and reads a 9 MB tokenizer.json in tens of milliseconds.
/// Read with ``init(parsing:limits:)``, written with ``JSONValue/text(style:)``.
public enum JSONValue: Sendable, Hashable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)
}

/// The members of a JSON object, in the order of the text. Where a key is repeated the last value wins and keeps the
/// place of the first, as in Python.
public struct JSONObject: Sendable, Hashable {
    /// The keys, in order.
    public private(set) var keys: [String] = []
    /// The values, `values[i]` under `keys[i]`.
    public private(set) var values: [JSONValue] = []
    /// Position by key; only kept once there are more members than a linear search is good for.
    private var index: [KeyBytes: Int] = [:]

    /// A key compared byte by byte: `String`'s own equality takes canonically equivalent spellings for one, which
    /// would lose entries of a vocabulary.
    private struct KeyBytes: Hashable, Sendable {
        let key: String

        static func == (left: KeyBytes, right: KeyBytes) -> Bool { left.key.utf8.elementsEqual(right.key.utf8) }

        func hash(into hasher: inout Hasher) {
            var key = key
            key.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        }
    }

    private static let linearSearchLimit = 8

    /// An object without members.
    public init() {}

    /// An object with the given members; a repeated key takes the last value.
    public init(_ members: some Sequence<(String, JSONValue)>) {
        for (key, value) in members { self[key] = value }
    }

    /// How many members there are.
    public var count: Int { keys.count }
    /// Whether there are no members.
    public var isEmpty: Bool { keys.isEmpty }

    /// The members as pairs, in order.
    public var members: Zip2Sequence<[String], [JSONValue]> { zip(keys, values) }

    /// The value under a key, or nil. Setting nil removes the member.
    public subscript(key: String) -> JSONValue? {
        get { position(of: key).map { values[$0] } }
        set {
            guard let newValue else {
                remove(key)
                return
            }
            if let position = position(of: key) {
                values[position] = newValue
            } else {
                append(key, newValue)
            }
        }
    }

    private func position(of key: String) -> Int? {
        keys.count <= Self.linearSearchLimit
            ? keys.firstIndex { $0.utf8.elementsEqual(key.utf8) } : index[KeyBytes(key: key)]
    }

    private mutating func append(_ key: String, _ value: JSONValue) {
        keys.append(key)
        values.append(value)
        if keys.count == Self.linearSearchLimit + 1 {
            for (position, key) in keys.enumerated() { index[KeyBytes(key: key)] = position }
        } else if keys.count > Self.linearSearchLimit {
            index[KeyBytes(key: key)] = keys.count - 1
        }
    }

    private mutating func remove(_ key: String) {
        guard let position = position(of: key) else { return }
        keys.remove(at: position)
        values.remove(at: position)
        index = [:]
        if keys.count > Self.linearSearchLimit {
            for (position, key) in keys.enumerated() { index[KeyBytes(key: key)] = position }
        }
    }

    /// Objects are equal when they hold the same members, in whatever order.
    public static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.count == right.count && left.members.allSatisfy { right[$0] == $1 }
    }

    /// Hashes the members regardless of order.
    public func hash(into hasher: inout Hasher) {
        var combined = 0
        for (key, value) in members {
            var member = Hasher()
            member.combine(key)
            member.combine(value)
            combined ^= member.finalize()
        }
        hasher.combine(combined)
    }
}

extension JSONValue {
    /// The member of an object, or nil where this is no object or lacks the key.
    public subscript(key: String) -> JSONValue? {
        if case .object(let object) = self { object[key] } else { nil }
    }

    /// The element of an array, or nil where this is no array or is shorter.
    public subscript(position: Int) -> JSONValue? {
        if case .array(let elements) = self, elements.indices.contains(position) { elements[position] } else { nil }
    }

    /// Whether this is null.
    public var isNull: Bool { self == .null }

    /// The Boolean, if it is one.
    public var boolValue: Bool? { if case .bool(let value) = self { value } else { nil } }

    /// The string, if it is one.
    public var stringValue: String? { if case .string(let value) = self { value } else { nil } }

    /// The elements, if it is an array.
    public var arrayValue: [JSONValue]? { if case .array(let value) = self { value } else { nil } }

    /// The members, if it is an object.
    public var objectValue: JSONObject? { if case .object(let value) = self { value } else { nil } }

    /// The whole number, if it is one that fits in Int (`3` and `3.0` both are).
    public var intValue: Int? {
        switch self {
        case .integer(let value): Int(exactly: value)
        case .number(let value): Int(exactly: value)
        default: nil
        }
    }

    /// The number, if it is one.
    public var doubleValue: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByNilLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    /// A string.
    public init(stringLiteral value: String) { self = .string(value) }
    /// A whole number.
    public init(integerLiteral value: Int64) { self = .integer(value) }
    /// A number.
    public init(floatLiteral value: Double) { self = .number(value) }
    /// A Boolean.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// Null.
    public init(nilLiteral: ()) { self = .null }
    /// An array.
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    /// An object, members in the order written.
    public init(dictionaryLiteral elements: (String, JSONValue)...) { self = .object(JSONObject(elements)) }
}
