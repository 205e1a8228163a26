import ServingJSON
public import ServingTensors

/// Writes safetensors files, tensor by tensor, without holding the model in memory.
public struct SafetensorsWriter {
    /// The `__metadata__` entries; Hugging Face's loaders expect `format` = `pt`.
    public var metadata: [(key: String, value: String)]
    private var tensors: [PendingTensor] = []

    /// A file without tensors.
    public init(metadata: [(key: String, value: String)] = [("format", "pt")]) { self.metadata = metadata }

    /// Adds a tensor whose bytes are made when the file is written: `write` hands the elements, in order, to its sink.
    /// The shape is outermost first; the type is F32, F16 or BF16.
    public mutating func add(
        _ name: String, _ type: TensorType, shape: [Int],
        write: @escaping (ByteSink) throws(ModelFileError) -> Void
    ) {
        precondition(!type.isQuantized, "tensor \(name): safetensors has no \(type.name)")
        guard let byteCount = TensorSize.byteCount(type, shape) else {
            preconditionFailure("tensor \(name): shape \(shape) overflows")
        }
        add(name, typeName: type.name, shape: shape, byteCount: byteCount, write: write)
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

    /// Adds a tensor in an encoding that the engine cannot compute with, for instance `I64`.
    public mutating func add(
        _ name: String, typeName: String, shape: [Int], byteCount: Int,
        write: @escaping (ByteSink) throws(ModelFileError) -> Void
    ) {
        tensors.append(
            PendingTensor(
                name: name, typeName: typeName, typeCode: 0, shape: shape, byteCount: byteCount, write: write))
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
        try encodedHeader().withBytes(sink)
        for tensor in tensors { try tensor.write(to: sink, file: file) }
    }

    /// Length and JSON, padded with spaces so that the data start at a multiple of eight bytes.
    private func encodedHeader() -> [UInt8] {
        var header = JSONObject()
        if !metadata.isEmpty {
            header[SafetensorsHeader.metadataKey] = .object(
                JSONObject(metadata.map { ($0.key, .string($0.value)) }))
        }
        var offset = 0
        for tensor in tensors {
            precondition(header[tensor.name] == nil, "tensor \(tensor.name) is added twice")
            header[tensor.name] = [
                "dtype": .string(tensor.typeName), "shape": .array(tensor.shape.map { .integer(Int64($0)) }),
                "data_offsets": [.integer(Int64(offset)), .integer(Int64(offset + tensor.byteCount))],
            ]
            offset += tensor.byteCount
        }
        var text = Array(JSONValue.object(header).text().utf8)
        text.append(contentsOf: [UInt8](repeating: UInt8(ascii: " "), count: (8 - text.count % 8) % 8))
        var bytes: [UInt8] = []
        bytes.append(littleEndian: UInt64(text.count))
        return bytes + text
    }
}
