import ServingJSON
public import ServingTensors

/// A safetensors file: named tensors of a memory-mapped file.
///
/// Opening reads the JSON header and checks it completely, as strictly as the reference implementation: the tensors
/// cover the data without overlap and without gaps. Format: https://huggingface.co/docs/safetensors.
public struct SafetensorsFile: Sendable {
    /// Longest header that is read, as in the reference implementation.
    static let headerLimit = 100_000_000

    /// A tensor as the header lists it.
    public struct Entry: Sendable, Equatable {
        /// The tensor's name.
        public let name: String
        /// The encoding as the file names it, for instance `BF16` or `I64`.
        public let typeName: String
        /// Outermost dimension first; empty for a scalar.
        public let shape: [Int]
        /// Where the bytes lie, from the start of the file.
        public let range: Range<Int>

        /// The encoding, or nil where the engine cannot compute with it.
        public var type: TensorType? {
            switch typeName {
            case "F32": .f32
            case "F16": .f16
            case "BF16": .bf16
            default: nil
            }
        }
    }

    /// The file.
    public let file: MappedFile
    /// All tensors, in the order of their bytes.
    public let entries: [Entry]
    /// The `__metadata__` entries, in the file's order.
    public let metadata: [(key: String, value: String)]
    private let positions: [NameBytes: Int]

    /// Opens a file.
    public init(path: String) throws(ModelFileError) { try self.init(MappedFile(path: path)) }

    /// Reads a file that is already in memory.
    public init(_ file: MappedFile) throws(ModelFileError) {
        self.file = file
        let header = try SafetensorsHeader(file)
        metadata = header.metadata
        entries = header.entries
        var positions: [NameBytes: Int] = [:]
        positions.reserveCapacity(entries.count)
        for (position, entry) in entries.enumerated() { positions[NameBytes(entry.name)] = position }
        self.positions = positions
    }

    /// What the header says of a tensor.
    public func entry(named name: String) -> Entry? { positions[NameBytes(name)].map { entries[$0] } }

    /// A tensor, or nil where the file has none of that name.
    ///
    /// - Throws: `unsupportedTensorType` for encodings other than F32, F16 and BF16.
    public func tensor(named name: String) throws(ModelFileError) -> StoredTensor? {
        guard let entry = entry(named: name) else { return nil }
        return try tensor(entry)
    }

    /// The tensor of an entry of this file.
    func tensor(_ entry: Entry) throws(ModelFileError) -> StoredTensor {
        guard let type = entry.type else {
            throw ModelFileError(
                .unsupportedTensorType, file: file.path, offset: entry.range.lowerBound,
                subject: GGUFHeader.subject(entry.name),
                "is encoded as \(ModelFileError.quoted(entry.typeName)), which is not supported",
                expected: "F32, F16 or BF16")
        }
        return StoredTensor(
            name: entry.name, type: type, shape: entry.shape,
            bytes: UnsafeRawBufferPointer(rebasing: file.bytes[entry.range]), owner: file)
    }
}
