/// The types of metadata values, with GGUF's codes (gguf.md, `enum gguf_metadata_value_type`).
public enum GGUFValueType: UInt32, Sendable, CaseIterable {
    case uint8 = 0
    case int8 = 1
    case uint16 = 2
    case int16 = 3
    case uint32 = 4
    case int32 = 5
    case float32 = 6
    case bool = 7
    case string = 8
    case array = 9
    case uint64 = 10
    case int64 = 11
    case float64 = 12

    /// Bytes of a value, or nil for strings and arrays, whose size varies.
    public var byteCount: Int? {
        switch self {
        case .uint8, .int8, .bool: 1
        case .uint16, .int16: 2
        case .uint32, .int32, .float32: 4
        case .uint64, .int64, .float64: 8
        case .string, .array: nil
        }
    }
}

/// A metadata value of a GGUF file. Strings and arrays are views of the file and are decoded when asked.
public enum GGUFValue: Sendable {
    case uint8(UInt8)
    case int8(Int8)
    case uint16(UInt16)
    case int16(Int16)
    case uint32(UInt32)
    case int32(Int32)
    case float32(Float)
    case bool(Bool)
    case string(GGUFString)
    case array(GGUFArray)
    case uint64(UInt64)
    case int64(Int64)
    case float64(Double)

    /// A string that is not from a file, for writing.
    public static func string(_ text: String) -> GGUFValue { .string(GGUFString(text)) }

    /// The value's type.
    public var type: GGUFValueType {
        switch self {
        case .uint8: .uint8
        case .int8: .int8
        case .uint16: .uint16
        case .int16: .int16
        case .uint32: .uint32
        case .int32: .int32
        case .float32: .float32
        case .bool: .bool
        case .string: .string
        case .array: .array
        case .uint64: .uint64
        case .int64: .int64
        case .float64: .float64
        }
    }

    /// The whole number, whatever integer type it has, if it fits in Int.
    public var intValue: Int? {
        switch self {
        case .uint8(let value): Int(value)
        case .int8(let value): Int(value)
        case .uint16(let value): Int(value)
        case .int16(let value): Int(value)
        case .uint32(let value): Int(value)
        case .int32(let value): Int(value)
        case .uint64(let value): Int(exactly: value)
        case .int64(let value): Int(exactly: value)
        default: nil
        }
    }

    /// The number, whatever integer or floating-point type it has.
    public var doubleValue: Double? {
        switch self {
        case .float32(let value): Double(value)
        case .float64(let value): value
        case .uint64(let value): Double(value)
        default: intValue.map(Double.init)
        }
    }

    /// The Boolean, if it is one.
    public var boolValue: Bool? { if case .bool(let value) = self { value } else { nil } }

    /// The text, if it is a string; bytes that are not UTF-8 become U+FFFD.
    public var stringValue: String? { if case .string(let value) = self { value.text } else { nil } }

    /// The array, if it is one.
    public var arrayValue: GGUFArray? { if case .array(let value) = self { value } else { nil } }
}

/// A string of a GGUF file: bytes of the mapping, by custom UTF-8, by contract any bytes.
public struct GGUFString: Sendable, Equatable {
    /// Keeps the bytes mapped.
    public let file: MappedFile
    let range: Range<Int>

    init(file: MappedFile, range: Range<Int>) {
        self.file = file
        self.range = range
    }

    /// A string that is not from a file.
    public init(_ text: String) {
        self.init(file: MappedFile(name: "string", copying: text.utf8), range: 0..<text.utf8.count)
    }

    /// The bytes, valid while this value or its file lives.
    public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: file.bytes[range]) }

    /// The text; bytes that are not UTF-8 become U+FFFD.
    public var text: String { file.withBytes { String(decoding: $0[range], as: UTF8.self) } }

    /// Strings are equal when their bytes are.
    public static func == (left: GGUFString, right: GGUFString) -> Bool {
        withExtendedLifetime((left, right)) { left.bytes.elementsEqual(right.bytes) }
    }
}
