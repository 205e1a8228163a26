public import ServingTensors

/// A GGUF model file, versions 2 and 3: metadata and tensors of a memory-mapped file, or of all parts of a split one.
///
/// Opening reads the header only and checks it completely: every tensor lies inside the file and none overlap. Format:
/// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
public struct GGUFFile: Sendable {
    /// The file; for a split model its first part.
    public let file: MappedFile
    /// 2 or 3.
    public let version: UInt32
    /// The metadata's keys, in the file's order.
    public let metadataKeys: [String]
    /// The tensors, in the order of the file or of the parts. Shapes are outermost first, unlike in the file.
    public let tensors: [StoredTensor]
    private let values: [NameBytes: GGUFValue]
    private let positions: [NameBytes: Int]

    /// Opens a file. Of a split model (`name-00001-of-00003.gguf`) any part may be given; all are opened.
    public init(path: String) throws(ModelFileError) {
        let file = try MappedFile(path: path)
        let part = try GGUFFile(file)
        guard let parts = try GGUFParts(of: part) else {
            self = part
            return
        }
        self = try parts.open(given: part)
    }

    /// Reads a file that is already in memory; one part of a split model stands for itself.
    public init(_ file: MappedFile) throws(ModelFileError) {
        let header = try GGUFHeader(file)
        self.init(header, file: file, tensors: try header.placedTensors(in: file))
    }

    private init(_ header: GGUFHeader, file: MappedFile, tensors: [StoredTensor]) {
        self.file = file
        version = header.version
        metadataKeys = header.keys
        values = header.values
        self.tensors = tensors
        positions = Self.positions(tensors)
    }

    /// The first part with the tensors of all parts.
    init(first: GGUFFile, tensors: [StoredTensor]) {
        file = first.file
        version = first.version
        metadataKeys = first.metadataKeys
        values = first.values
        self.tensors = tensors
        positions = Self.positions(tensors)
    }

    private static func positions(_ tensors: [StoredTensor]) -> [NameBytes: Int] {
        var positions: [NameBytes: Int] = [:]
        positions.reserveCapacity(tensors.count)
        for (position, tensor) in tensors.enumerated() { positions[NameBytes(tensor.name)] = position }
        return positions
    }

    /// The metadata under a key.
    public subscript(key: String) -> GGUFValue? { values[NameBytes(key)] }

    /// The tensor of that name.
    public func tensor(named name: String) -> StoredTensor? { positions[NameBytes(name)].map { tensors[$0] } }
}

extension GGUFHeader {
    /// The tensors as views of the file, after every place has been checked.
    fileprivate func placedTensors(in file: MappedFile) throws(ModelFileError) -> [StoredTensor] {
        var placed: [StoredTensor] = []
        placed.reserveCapacity(tensors.count)
        for tensor in tensors {
            let range = try place(tensor, in: file)
            placed.append(
                StoredTensor(
                    name: tensor.name, type: tensor.type, shape: tensor.shape,
                    bytes: UnsafeRawBufferPointer(rebasing: file.bytes[range]), owner: file))
        }
        try checkOverlap(in: file)
        return placed
    }

    private func place(_ tensor: TensorInfo, in file: MappedFile) throws(ModelFileError) -> Range<Int> {
        let (start, startOverflows) = dataOffset.addingReportingOverflow(tensor.offset)
        let (end, endOverflows) = start.addingReportingOverflow(tensor.byteCount)
        guard tensor.offset % alignment == 0 else {
            throw ModelFileError(
                .misaligned, file: file.path, offset: startOverflows ? nil : start,
                subject: Self.subject(tensor.name), "starts at byte \(tensor.offset) of the data",
                expected: "a multiple of \(alignment)")
        }
        guard !startOverflows, !endOverflows, end <= file.count else {
            throw ModelFileError(
                .truncated, file: file.path, offset: startOverflows ? nil : start,
                subject: Self.subject(tensor.name),
                "needs \(tensor.byteCount) bytes"
                    + (startOverflows || endOverflows ? "" : " and ends at byte \(end)")
                    + ", the file has \(file.count) bytes", hint: ByteReader.incompleteHint)
        }
        return start..<end
    }

    private func checkOverlap(in file: MappedFile) throws(ModelFileError) {
        let sorted = tensors.filter { $0.byteCount > 0 }.sorted { $0.offset < $1.offset }
        for (tensor, next) in zip(sorted, sorted.dropFirst()) where tensor.offset + tensor.byteCount > next.offset {
            throw ModelFileError(
                .overlap, file: file.path, offset: dataOffset + next.offset, subject: Self.subject(next.name),
                "overlaps \(Self.subject(tensor.name)), which ends at byte "
                    + "\(dataOffset + tensor.offset + tensor.byteCount)")
        }
    }
}
