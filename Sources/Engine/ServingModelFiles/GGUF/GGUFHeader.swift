import ServingTensors

/// The parts of a GGUF file before the tensors' data (ggml's docs/gguf.md), as they are read.
struct GGUFHeader {
    /// What is written at the file's start, and how that looks from a big-endian machine.
    static let magic: [UInt8] = Array("GGUF".utf8)
    /// The alignment where `general.alignment` is absent.
    static let defaultAlignment = 32
    /// ggml's `GGML_MAX_DIMS`.
    static let dimensionLimit = 4

    struct TensorInfo {
        let name: String
        let type: TensorType
        /// Outermost first.
        let shape: [Int]
        let byteCount: Int
        /// From the start of the data section.
        let offset: Int
    }

    let version: UInt32
    private(set) var keys: [String] = []
    private(set) var values: [NameBytes: GGUFValue] = [:]
    private(set) var tensors: [TensorInfo] = []
    private(set) var alignment = Self.defaultAlignment
    /// Where the tensors' data start.
    private(set) var dataOffset = 0

    init(_ file: MappedFile) throws(ModelFileError) {
        guard file.bytes.starts(with: Self.magic) else {
            if file.count < 4, Self.magic.starts(with: file.bytes) {
                throw ModelFileError(
                    .truncated, file: file.path, "ends inside the magic number", hint: ByteReader.incompleteHint)
            }
            throw FileContent(file.bytes).error(file.path, expected: "a GGUF file")
        }
        var reader = ByteReader(file, at: 4)
        version = try reader.integer("header")
        try Self.check(version: version, file)
        let tensorCount = try Self.count("tensors", atLeast: 24, &reader)
        let keyCount = try Self.count("metadata entries", atLeast: 13, &reader)
        for _ in 0..<keyCount { try readEntry(&reader) }
        if let value = values[NameBytes("general.alignment")] {
            guard case .uint32(let number) = value, number.nonzeroBitCount == 1 else {
                throw ModelFileError(
                    .malformed, file: file.path, subject: "metadata \"general.alignment\"",
                    "is not an alignment", expected: "a 32-bit power of two")
            }
            alignment = Int(number)
        }
        var names: Set<NameBytes> = []
        for _ in 0..<tensorCount {
            let (info, start) = try Self.tensor(&reader)
            guard names.insert(NameBytes(info.name)).inserted else {
                throw ModelFileError(
                    .duplicateTensor, file: file.path, offset: start, subject: Self.subject(info.name),
                    "occurs twice")
            }
            tensors.append(info)
        }
        guard let dataOffset = TensorSize.aligned(reader.offset, to: alignment) else {
            throw ModelFileError(.malformed, file: file.path, "alignment \(alignment) is too large")
        }
        self.dataOffset = dataOffset
    }

    static func subject(_ tensor: String) -> String { "tensor " + ModelFileError.quoted(tensor) }

    private static func check(version: UInt32, _ file: MappedFile) throws(ModelFileError) {
        switch version {
        case 2, 3: return
        case 1:
            throw ModelFileError(
                .unsupportedVersion, file: file.path, offset: 4, "is GGUF version 1", expected: "version 2 or 3",
                hint: "convert it with a current llama.cpp")
        case _ where (1...3).contains(version.byteSwapped):
            throw ModelFileError(
                .bigEndian, file: file.path, offset: 4, "is a big-endian GGUF file", expected: "little-endian")
        default:
            throw ModelFileError(
                .unsupportedVersion, file: file.path, offset: 4, "is GGUF version \(version)",
                expected: "version 2 or 3")
        }
    }

    /// A count of things that take at least `size` bytes each, so that an absurd one shows at once.
    private static func count(
        _ things: String, atLeast size: Int, _ reader: inout ByteReader
    ) throws(ModelFileError) -> Int {
        let start = reader.offset
        let count: UInt64 = try reader.integer("header")
        guard count <= UInt64(reader.remaining / size) else {
            throw ModelFileError(
                .limitExceeded, file: reader.file.path, offset: start,
                "announces \(count) \(things), more than \(reader.file.count) bytes can hold",
                hint: ByteReader.incompleteHint)
        }
        return Int(count)
    }

    private mutating func readEntry(_ reader: inout ByteReader) throws(ModelFileError) {
        let start = reader.offset
        let key = try reader.name("metadata key")
        let subject = "metadata " + ModelFileError.quoted(key)
        let type = try reader.valueType(subject)
        let value = try reader.value(type, subject)
        guard values.updateValue(value, forKey: NameBytes(key)) == nil else {
            throw ModelFileError(
                .duplicateKey, file: reader.file.path, offset: start, subject: subject, "occurs twice")
        }
        keys.append(key)
    }

    private static func tensor(_ reader: inout ByteReader) throws(ModelFileError) -> (info: TensorInfo, start: Int) {
        let start = reader.offset
        let path = reader.file.path
        let name = try reader.name("tensor name")
        let subject = subject(name)
        let dimensionCount: UInt32 = try reader.integer(subject)
        guard (1...UInt32(dimensionLimit)).contains(dimensionCount) else {
            throw ModelFileError(
                .invalidShape, file: path, offset: start, subject: subject, "has \(dimensionCount) dimensions",
                expected: "1 to \(dimensionLimit)")
        }
        var dimensions: [UInt64] = []
        for _ in 0..<dimensionCount { dimensions.append(try reader.integer(subject)) }
        let code: UInt32 = try reader.integer(subject)
        let offset: UInt64 = try reader.integer(subject)
        guard let type = TensorType(rawValue: code) else {
            let known = typeNames[code].map { "\($0) (type \(code))" } ?? "type \(code)"
            throw ModelFileError(
                .unsupportedTensorType, file: path, offset: start, subject: subject,
                "is encoded as \(known), which is not supported",
                expected: "one of " + TensorType.allCases.map(\.name).joined(separator: " "))
        }
        // GGUF stores the innermost dimension first.
        let shape = dimensions.reversed().map { Int(clamping: $0) }
        guard shape.last.map({ $0 % type.blockElementCount == 0 }) ?? false else {
            throw ModelFileError(
                .invalidShape, file: path, offset: start, subject: subject,
                "has rows of \(shape.last ?? 0) elements",
                expected: "a multiple of \(type.blockElementCount) for \(type.name)")
        }
        guard let byteCount = TensorSize.byteCount(type, shape), let offset = Int(exactly: offset) else {
            throw ModelFileError(
                .invalidShape, file: path, offset: start, subject: subject,
                "shape \(dimensions) at \(offset) overflows")
        }
        return (TensorInfo(name: name, type: type, shape: shape, byteCount: byteCount, offset: offset), start)
    }

    /// Names of ggml's tensor types that are not supported (ggml.h, `enum ggml_type`).
    private static let typeNames: [UInt32: String] = [
        4: "Q4_2", 5: "Q4_3", 9: "Q8_1", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S",
        20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64",
        29: "IQ1_M", 31: "Q4_0_4_4", 32: "Q4_0_4_8", 33: "Q4_0_8_8", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
    ]
}

extension ByteReader {
    /// Deepest nesting of arrays; no known file nests at all.
    private static let depthLimit = 4

    /// A string that must be UTF-8, because it is looked up by name.
    fileprivate mutating func name(_ part: String) throws(ModelFileError) -> String {
        let start = offset
        let range = try string(part)
        guard let name = String(validating: file.bytes[range], as: UTF8.self) else {
            throw ModelFileError(.malformed, file: file.path, offset: start, subject: part, "is not UTF-8")
        }
        return name
    }

    fileprivate mutating func valueType(_ part: String) throws(ModelFileError) -> GGUFValueType {
        let start = offset
        let code: UInt32 = try integer(part)
        guard let type = GGUFValueType(rawValue: code) else {
            throw ModelFileError(
                .malformed, file: file.path, offset: start, subject: part, "has the unknown value type \(code)")
        }
        return type
    }

    mutating func value(
        _ type: GGUFValueType, _ part: @autoclosure () -> String, depth: Int = 0
    ) throws(ModelFileError) -> GGUFValue {
        switch type {
        case .uint8: .uint8(try integer(part()))
        case .int8: .int8(try integer(part()))
        case .uint16: .uint16(try integer(part()))
        case .int16: .int16(try integer(part()))
        case .uint32: .uint32(try integer(part()))
        case .int32: .int32(try integer(part()))
        case .uint64: .uint64(try integer(part()))
        case .int64: .int64(try integer(part()))
        case .float32: .float32(Float(bitPattern: try integer(part())))
        case .float64: .float64(Double(bitPattern: try integer(part())))
        case .bool: .bool(try bool(part()))
        case .string: .string(GGUFString(file: file, range: try string(part())))
        case .array: .array(try array(part(), depth: depth))
        }
    }

    private mutating func bool(_ part: String) throws(ModelFileError) -> Bool {
        let byte: UInt8 = try integer(part)
        guard byte <= 1 else {
            throw ModelFileError(
                .malformed, file: file.path, offset: offset - 1, subject: part, "is the Boolean \(byte)",
                expected: "0 or 1")
        }
        return byte == 1
    }

    private mutating func array(_ part: String, depth: Int) throws(ModelFileError) -> GGUFArray {
        let start = offset
        guard depth < Self.depthLimit else {
            throw ModelFileError(
                .limitExceeded, file: file.path, offset: start, subject: part,
                "nests arrays more than \(Self.depthLimit) deep")
        }
        let elementType = try valueType(part)
        let count: UInt64 = try integer(part)
        // A string takes at least its length's 8 bytes, an array its type's 4 and its count's 8.
        let leastSize = elementType.byteCount ?? (elementType == .string ? 8 : 12)
        guard count <= UInt64(remaining / leastSize) else {
            throw ModelFileError(
                .truncated, file: file.path, offset: start, subject: part,
                "announces \(count) elements, more than the remaining \(remaining) bytes can hold",
                hint: Self.incompleteHint)
        }
        let elements = offset
        if let size = elementType.byteCount {
            try skip(Int(count) * size, part)
            if elementType == .bool, let position = file.bytes[elements..<offset].firstIndex(where: { $0 > 1 }) {
                throw ModelFileError(
                    .malformed, file: file.path, offset: position, subject: part,
                    "is the Boolean \(file.bytes[position])", expected: "0 or 1")
            }
        } else if elementType == .string {
            for _ in 0..<count { _ = try string(part) }
        } else {
            for _ in 0..<count { _ = try array(part, depth: depth + 1) }
        }
        return GGUFArray(elementType: elementType, count: Int(count), file: file, range: elements..<offset)
    }
}
