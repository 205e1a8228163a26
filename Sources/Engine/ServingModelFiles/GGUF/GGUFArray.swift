/// An array in a GGUF file's metadata: a view of the mapping. Nothing is decoded before it is asked for, since
/// vocabularies hold hundreds of thousands of strings.
public struct GGUFArray: Sendable {
    /// Type of the elements.
    public let elementType: GGUFValueType
    /// How many elements there are.
    public let count: Int
    /// Keeps the bytes mapped.
    public let file: MappedFile
    /// Where the encoded elements lie; checked when the file was opened.
    let range: Range<Int>

    init(elementType: GGUFValueType, count: Int, file: MappedFile, range: Range<Int>) {
        self.elementType = elementType
        self.count = count
        self.file = file
        self.range = range
    }

    /// The encoded elements, valid while this value or its file lives.
    public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: file.bytes[range]) }

    /// The elements, if they are integers that all fit in Int.
    public var integers: [Int]? {
        switch elementType {
        case .uint8: decode(UInt8.self)
        case .int8: decode(Int8.self)
        case .uint16: decode(UInt16.self)
        case .int16: decode(Int16.self)
        case .uint32: decode(UInt32.self)
        case .int32: decode(Int32.self)
        case .uint64: decode(UInt64.self)
        case .int64: decode(Int64.self)
        case .float32, .float64, .bool, .string, .array: nil
        }
    }

    /// The elements in single precision, if they are floating-point numbers.
    public var floats: [Float]? {
        switch elementType {
        case .float32: load(UInt32.self).map { Float(bitPattern: $0) }
        case .float64: load(UInt64.self).map { Float(Double(bitPattern: $0)) }
        default: nil
        }
    }

    /// The elements, if they are numbers of any kind.
    public var doubles: [Double]? {
        switch elementType {
        case .float32: load(UInt32.self).map { Double(Float(bitPattern: $0)) }
        case .float64: load(UInt64.self).map { Double(bitPattern: $0) }
        default: integers?.map(Double.init)
        }
    }

    /// The elements, if they are Booleans.
    public var bools: [Bool]? { elementType == .bool ? file.withBytes { $0[range].map { $0 != 0 } } : nil }

    /// The elements, if they are strings. Walks over all of them once; keep the result.
    public var strings: GGUFStringArray? { elementType == .string ? GGUFStringArray(self) : nil }

    /// All elements as values. Slow for large arrays; the accessors by type are not.
    public var values: [GGUFValue] {
        var reader = ByteReader(file, at: range.lowerBound)
        var values: [GGUFValue] = []
        for _ in 0..<count {
            // Cannot fail: the elements were read once when the file was opened.
            guard let value = try? reader.value(elementType, "element") else { break }
            values.append(value)
        }
        return values
    }

    private func load<Number: FixedWidthInteger>(_ type: Number.Type) -> [Number] {
        file.withBytes { bytes in
            (0..<count).map {
                let offset = range.lowerBound + $0 * MemoryLayout<Number>.size
                return Number(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Number.self))
            }
        }
    }

    private func decode<Number: FixedWidthInteger>(_ type: Number.Type) -> [Int]? {
        let numbers = load(type)
        guard numbers.allSatisfy({ Int(exactly: $0) != nil }) else { return nil }
        return numbers.map { Int(truncatingIfNeeded: $0) }
    }
}

/// The strings of an array, such as a vocabulary, found but not copied.
public struct GGUFStringArray: Sendable, RandomAccessCollection {
    /// Keeps the bytes mapped.
    public let file: MappedFile
    /// Where each string's bytes start in the file; the length stands in the eight bytes before.
    private let starts: [Int]
    private let end: Int

    init(_ array: GGUFArray) {
        file = array.file
        end = array.range.upperBound
        var starts: [Int] = []
        starts.reserveCapacity(array.count)
        var offset = array.range.lowerBound
        for _ in 0..<array.count {
            offset += 8
            starts.append(offset)
            offset += Self.length(array.file, before: offset, end: array.range.upperBound)
        }
        self.starts = starts
    }

    /// The length was checked when the file was opened; it is bounded again in case the file has changed since.
    private static func length(_ file: MappedFile, before start: Int, end: Int) -> Int {
        guard start <= end else { return 0 }
        let length = UInt64(littleEndian: file.bytes.loadUnaligned(fromByteOffset: start - 8, as: UInt64.self))
        return Int(Swift.min(length, UInt64(end - start)))
    }

    /// 0.
    public var startIndex: Int { 0 }
    /// How many strings there are.
    public var endIndex: Int { starts.count }

    /// The bytes of one string, valid while this value or its file lives. Any bytes, not necessarily UTF-8.
    public subscript(position: Int) -> UnsafeRawBufferPointer {
        let start = starts[position]
        let length = Self.length(file, before: start, end: end)
        return UnsafeRawBufferPointer(rebasing: file.bytes[start..<start + length])
    }

    /// One string as text; bytes that are not UTF-8 become U+FFFD.
    public func text(at position: Int) -> String {
        withExtendedLifetime(file) { String(decoding: self[position], as: UTF8.self) }
    }

    /// All strings back to back: string i is `bytes[offsets[i]..<offsets[i + 1]]`, so there is one offset more than
    /// there are strings.
    public func packed() -> (bytes: [UInt8], offsets: [Int]) {
        var offsets: [Int] = [0]
        offsets.reserveCapacity(count + 1)
        for position in 0..<count { offsets.append(offsets[position] + self[position].count) }
        let total = offsets[count]
        let bytes = [UInt8](unsafeUninitializedCapacity: total) { buffer, initializedCount in
            let target = UnsafeMutableRawBufferPointer(buffer)
            for position in 0..<count {
                UnsafeMutableRawBufferPointer(rebasing: target[offsets[position]..<offsets[position + 1]])
                    .copyMemory(from: self[position])
            }
            initializedCount = total
            withExtendedLifetime(file) {}
        }
        return (bytes, offsets)
    }
}

extension GGUFArray {
    /// An array that is not from a file, for writing.
    public init(_ texts: [String]) {
        var bytes: [UInt8] = []
        for text in texts {
            bytes.append(littleEndian: UInt64(text.utf8.count))
            bytes.append(contentsOf: text.utf8)
        }
        self.init(elementType: .string, count: texts.count, encoded: bytes)
    }

    /// An array that is not from a file, for writing.
    public init(_ numbers: [Int32]) {
        var bytes: [UInt8] = []
        for number in numbers { bytes.append(littleEndian: number) }
        self.init(elementType: .int32, count: numbers.count, encoded: bytes)
    }

    /// An array that is not from a file, for writing.
    public init(_ numbers: [Float]) {
        var bytes: [UInt8] = []
        for number in numbers { bytes.append(littleEndian: number.bitPattern) }
        self.init(elementType: .float32, count: numbers.count, encoded: bytes)
    }

    /// An array that is not from a file, for writing; all values must have the given type.
    public init(_ elementType: GGUFValueType, _ values: [GGUFValue]) {
        var bytes: [UInt8] = []
        for value in values {
            precondition(value.type == elementType, "an element of another type")
            value.encode(into: &bytes)
        }
        self.init(elementType: elementType, count: values.count, encoded: bytes)
    }

    private init(elementType: GGUFValueType, count: Int, encoded: [UInt8]) {
        let file = MappedFile(name: "array", copying: encoded)
        self.init(elementType: elementType, count: count, file: file, range: 0..<encoded.count)
    }
}

extension [UInt8] {
    mutating func append(littleEndian number: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: number.littleEndian) { append(contentsOf: $0) }
    }
}
