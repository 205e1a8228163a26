import ServingJSON
import ServingTensors

/// A safetensors file's header: eight bytes of length and as many bytes of JSON.
struct SafetensorsHeader {
    private(set) var metadata: [(key: String, value: String)] = []
    private(set) var entries: [SafetensorsFile.Entry] = []
    private let file: MappedFile
    private let dataOffset: Int

    private static let lengthByteCount = 8
    /// The key that holds free text instead of a tensor.
    static let metadataKey = "__metadata__"

    init(_ file: MappedFile) throws(ModelFileError) {
        self.file = file
        dataOffset = try Self.lengthByteCount + Self.headerLength(file)
        for (name, value) in try Self.members(file, end: dataOffset).members {
            if name.utf8.elementsEqual(Self.metadataKey.utf8) {
                metadata = try Self.metadata(value, file)
            } else {
                entries.append(try entry(name, value))
            }
        }
        entries.sort {
            ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound)
        }
        try checkCoverage()
    }

    private static func headerLength(_ file: MappedFile) throws(ModelFileError) -> Int {
        let content = FileContent(file.bytes)
        guard file.count >= lengthByteCount else {
            guard content == .binary || content == .text else {
                throw content.error(file.path, expected: "a safetensors file")
            }
            throw ModelFileError(
                .truncated, file: file.path, "ends inside the header's length", hint: ByteReader.incompleteHint)
        }
        let length = UInt64(littleEndian: file.bytes.loadUnaligned(as: UInt64.self))
        guard length <= UInt64(SafetensorsFile.headerLimit), content == .safetensors || content == .binary else {
            guard content == .binary || content == .safetensors else {
                throw content.error(file.path, expected: "a safetensors file")
            }
            throw ModelFileError(
                .limitExceeded, file: file.path, offset: 0, "announces a header of \(length) bytes",
                expected: "at most \(SafetensorsFile.headerLimit)", hint: "is it a safetensors file?")
        }
        guard length <= UInt64(file.count - lengthByteCount) else {
            throw ModelFileError(
                .truncated, file: file.path, offset: 0,
                "has a header of \(length) bytes, the file has \(file.count) bytes",
                hint: ByteReader.incompleteHint)
        }
        return Int(length)
    }

    private static func members(_ file: MappedFile, end: Int) throws(ModelFileError) -> JSONObject {
        let text = UnsafeRawBufferPointer(rebasing: file.bytes[lengthByteCount..<end])
        do throws(JSONParseError) {
            guard text.first == UInt8(ascii: "{") else {
                throw JSONParseError(reason: "expected an object", offset: 0)
            }
            let limits = JSONLimits(depth: 8, allowsRepeatedKeys: false)
            if case .object(let members) = try JSONValue(parsing: text, limits: limits) { return members }
            throw JSONParseError(reason: "expected an object", offset: 0)
        } catch {
            throw ModelFileError(
                error.isRepeatedKey ? .duplicateTensor : .invalidJSON, file: file.path,
                offset: lengthByteCount + error.offset, subject: "header", error.reason)
        }
    }

    private static func metadata(
        _ value: JSONValue, _ file: MappedFile
    ) throws(ModelFileError) -> [(key: String, value: String)] {
        guard let members = value.objectValue else {
            throw ModelFileError(
                .invalidJSON, file: file.path, subject: "header", "__metadata__ is not an object")
        }
        var metadata: [(key: String, value: String)] = []
        for (key, value) in members.members {
            guard let text = value.stringValue else {
                throw ModelFileError(
                    .invalidJSON, file: file.path, subject: "header",
                    "__metadata__ entry \(ModelFileError.quoted(key)) is not a string")
            }
            metadata.append((key, text))
        }
        return metadata
    }

    private func entry(_ name: String, _ value: JSONValue) throws(ModelFileError) -> SafetensorsFile.Entry {
        // Shown in errors only: making it printable takes longer than all the rest.
        var subject: String { GGUFHeader.subject(name) }
        func fault(_ code: ModelFileError.Code, _ problem: String) -> ModelFileError {
            ModelFileError(code, file: file.path, subject: subject, problem)
        }
        guard let typeName = value["dtype"]?.stringValue else { throw fault(.invalidJSON, "has no dtype") }
        guard let shape = Self.sizes(value["shape"]) else {
            throw fault(.invalidJSON, "has no shape of whole numbers")
        }
        guard let ends = Self.sizes(value["data_offsets"]), ends.count == 2, ends[0] <= ends[1] else {
            throw fault(.invalidJSON, "has no data_offsets [begin, end]")
        }
        guard let elementCount = TensorSize.elementCount(shape), TensorSize.byteCount(.f32, shape) != nil else {
            throw fault(.invalidShape, "shape \(shape) overflows")
        }
        if let bits = Self.bitCount(typeName) {
            let (total, overflows) = elementCount.multipliedReportingOverflow(by: bits)
            guard !overflows, total % 8 == 0 else {
                throw fault(.invalidShape, "shape \(shape) does not fit \(typeName)")
            }
            guard total / 8 == ends[1] - ends[0] else {
                throw ModelFileError(
                    .sizeMismatch, file: file.path, subject: subject,
                    "has \(ends[1] - ends[0]) bytes, but \(typeName) \(shape) takes \(total / 8)")
            }
        }
        guard ends[1] <= file.count - dataOffset else {
            throw ModelFileError(
                .truncated, file: file.path, offset: ends[0].addingReportingOverflow(dataOffset).partialValue,
                subject: subject,
                "ends at byte \(ends[1]) of the data, the file has \(file.count - dataOffset) bytes of data",
                hint: ByteReader.incompleteHint)
        }
        return SafetensorsFile.Entry(
            name: name, typeName: typeName, shape: shape, range: dataOffset + ends[0]..<dataOffset + ends[1])
    }

    private static func sizes(_ value: JSONValue?) -> [Int]? {
        guard let elements = value?.arrayValue else { return nil }
        var sizes: [Int] = []
        for element in elements {
            guard case .integer(let number) = element, let size = Int(exactly: number), size >= 0 else { return nil }
            sizes.append(size)
        }
        return sizes
    }

    /// Bits of an element of the encodings that the format knows; nil for one that came later.
    private static func bitCount(_ typeName: String) -> Int? {
        switch typeName {
        case "F4": 4
        case "F6_E2M3", "F6_E3M2": 6
        case "BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ": 8
        case "I16", "U16", "F16", "BF16": 16
        case "I32", "U32", "F32": 32
        case "I64", "U64", "F64", "C64": 64
        default: nil
        }
    }

    /// Whether the tensors, in the order of their bytes, follow one another from the first byte to the last.
    private func checkCoverage() throws(ModelFileError) {
        var end = dataOffset
        var previous: SafetensorsFile.Entry?
        for entry in entries {
            guard entry.range.lowerBound == end else {
                let before = previous.map { GGUFHeader.subject($0.name) } ?? "the header"
                let overlaps = entry.range.lowerBound < end
                throw ModelFileError(
                    overlaps ? .overlap : .gap, file: file.path, offset: entry.range.lowerBound,
                    subject: GGUFHeader.subject(entry.name),
                    overlaps ? "overlaps \(before)" : "does not follow \(before), which ends at byte \(end)")
            }
            end = entry.range.upperBound
            previous = entry
        }
        guard end == file.count else {
            throw ModelFileError(
                .gap, file: file.path, offset: end, "\(file.count - end) bytes follow the last tensor")
        }
    }
}
