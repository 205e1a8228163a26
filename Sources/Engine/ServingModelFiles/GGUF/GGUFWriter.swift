public import ServingTensors

/// Writes GGUF files, tensor by tensor, without holding the model in memory.
public struct GGUFWriter {
    private let version: UInt32
    private let alignment: Int
    private var metadata: [(key: String, value: GGUFValue)] = []
    private var tensors: [PendingTensor] = []

    /// A file without entries. The alignment, a power of two, applies to every tensor's start; one other than 32 is
    /// noted in the metadata.
    public init(version: UInt32 = 3, alignment: Int = 32) {
        precondition(alignment > 0 && alignment.nonzeroBitCount == 1, "alignment \(alignment)")
        self.version = version
        self.alignment = alignment
        if alignment != GGUFHeader.defaultAlignment { set("general.alignment", .uint32(UInt32(alignment))) }
    }

    /// Sets a metadata entry; one that is there keeps its place.
    public mutating func set(_ key: String, _ value: GGUFValue) {
        if let position = metadata.firstIndex(where: { $0.key.utf8.elementsEqual(key.utf8) }) {
            metadata[position].value = value
        } else {
            metadata.append((key, value))
        }
    }

    /// Adds a tensor whose bytes are made when the file is written: `write` hands the rows, encoded and in order, to
    /// its sink. The shape is outermost first and its rows are whole blocks.
    public mutating func add(
        _ name: String, _ type: TensorType, shape: [Int],
        write: @escaping (ByteSink) throws(ModelFileError) -> Void
    ) {
        guard let byteCount = TensorSize.byteCount(type, shape) else {
            preconditionFailure("tensor \(name): shape \(shape) does not fit \(type.name)")
        }
        tensors.append(
            PendingTensor(
                name: name, typeName: type.name, typeCode: type.rawValue, shape: shape, byteCount: byteCount,
                write: write))
    }

    /// Adds a tensor from memory.
    public mutating func add(_ name: String, _ type: TensorType, shape: [Int], bytes: [UInt8]) {
        add(name, type, shape: shape) { sink throws(ModelFileError) in try bytes.withBytes(sink) }
    }

    /// Adds a copy of another file's tensor.
    public mutating func add(_ tensor: StoredTensor) {
        add(tensor.name, tensor.type, shape: tensor.shape) { sink throws(ModelFileError) in
            defer { withExtendedLifetime(tensor) {} }
            try sink(tensor.bytes)
        }
    }

    /// Writes the file; it appears under its name only when complete.
    public func write(to path: String) throws(ModelFileError) {
        var output = try OutputFile(path: path)
        try write(file: path) { bytes throws(ModelFileError) in try output.append(bytes) }
        try output.finish()
    }

    /// The file's bytes.
    public func bytes() throws(ModelFileError) -> [UInt8] {
        var result: [UInt8] = []
        try write(file: "bytes") { bytes throws(ModelFileError) in result.append(contentsOf: bytes) }
        return result
    }

    private func write(file: String, sink: ByteSink) throws(ModelFileError) {
        var header = encodedHeader()
        header.append(contentsOf: padding(after: header.count))
        try header.withBytes(sink)
        for tensor in tensors {
            try tensor.write(to: sink, file: file)
            try padding(after: tensor.byteCount).withBytes(sink)
        }
    }

    private func encodedHeader() -> [UInt8] {
        var header = GGUFHeader.magic
        header.append(littleEndian: version)
        header.append(littleEndian: UInt64(tensors.count))
        header.append(littleEndian: UInt64(metadata.count))
        for (key, value) in metadata {
            header.append(ggufString: key.utf8)
            header.append(littleEndian: value.type.rawValue)
            value.encode(into: &header)
        }
        var offset = 0
        for tensor in tensors {
            header.append(ggufString: tensor.name.utf8)
            let dimensions = tensor.shape.isEmpty ? [1] : tensor.shape
            header.append(littleEndian: UInt32(dimensions.count))
            for dimension in dimensions.reversed() { header.append(littleEndian: UInt64(dimension)) }
            header.append(littleEndian: tensor.typeCode)
            header.append(littleEndian: UInt64(offset))
            offset += tensor.byteCount + padding(after: tensor.byteCount).count
        }
        return header
    }

    private func padding(after count: Int) -> [UInt8] {
        [UInt8](repeating: 0, count: (alignment - count % alignment) % alignment)
    }
}

extension GGUFValue {
    /// Appends the value as it stands in a file, without its type.
    func encode(into bytes: inout [UInt8]) {
        switch self {
        case .uint8(let value): bytes.append(littleEndian: value)
        case .int8(let value): bytes.append(littleEndian: value)
        case .uint16(let value): bytes.append(littleEndian: value)
        case .int16(let value): bytes.append(littleEndian: value)
        case .uint32(let value): bytes.append(littleEndian: value)
        case .int32(let value): bytes.append(littleEndian: value)
        case .uint64(let value): bytes.append(littleEndian: value)
        case .int64(let value): bytes.append(littleEndian: value)
        case .float32(let value): bytes.append(littleEndian: value.bitPattern)
        case .float64(let value): bytes.append(littleEndian: value.bitPattern)
        case .bool(let value): bytes.append(value ? 1 : 0)
        case .string(let value): withExtendedLifetime(value) { bytes.append(ggufString: value.bytes) }
        case .array(let array):
            bytes.append(littleEndian: array.elementType.rawValue)
            bytes.append(littleEndian: UInt64(array.count))
            withExtendedLifetime(array) { bytes.append(contentsOf: array.bytes) }
        }
    }
}

extension [UInt8] {
    fileprivate mutating func append(ggufString text: some Collection<UInt8>) {
        append(littleEndian: UInt64(text.count))
        append(contentsOf: text)
    }
}
