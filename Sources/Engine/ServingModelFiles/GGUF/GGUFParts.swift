import ServingTensors

/// A model in several GGUF files, as llama.cpp's `gguf-split` makes them: `name-00001-of-00003.gguf` and so on, each
/// with `split.no`, `split.count` and `split.tensors.count`; the first holds all metadata.
struct GGUFParts {
    private let folder: String
    private let name: SplitName
    private let tensorCount: Int?

    /// The parts that `part` belongs to, or nil where it is a whole model.
    init?(of part: GGUFFile) throws(ModelFileError) {
        let count = part["split.count"]?.intValue ?? 1
        guard count != 1 else { return nil }
        let path = part.file.path
        guard let name = SplitName(FileSystem.name(of: path), suffix: ".gguf"), name.count == count else {
            throw ModelFileError(
                .malformed, file: path, subject: "metadata \"split.count\"", "says \(count) parts",
                expected: "a file name that ends in -00001-of-\(SplitName.digits(count)).gguf",
                hint: "give the parts the names they were made with")
        }
        self.name = name
        folder = FileSystem.folder(of: path)
        tensorCount = part["split.tensors.count"]?.intValue
    }

    /// All parts as one model; `given` is the part already open.
    func open(given: GGUFFile) throws(ModelFileError) -> GGUFFile {
        var first = given
        var tensors: [StoredTensor] = []
        var names: Set<NameBytes> = []
        for number in 1...name.count {
            let part = try number == name.number ? given : open(number)
            if number == 1 { first = part }
            guard part["split.no"]?.intValue == number - 1, part["split.count"]?.intValue == name.count else {
                throw ModelFileError(
                    .malformed, file: part.file.path, subject: "metadata \"split.no\"",
                    "does not say that this is part \(number) of \(name.count)")
            }
            for tensor in part.tensors {
                guard names.insert(NameBytes(tensor.name)).inserted else {
                    throw ModelFileError(
                        .duplicateTensor, file: part.file.path, subject: GGUFHeader.subject(tensor.name),
                        "is in an earlier part as well")
                }
                tensors.append(tensor)
            }
        }
        if let tensorCount, tensorCount != tensors.count {
            throw ModelFileError(
                .missingTensor, file: first.file.path, "the parts hold \(tensors.count) tensors",
                expected: "\(tensorCount)")
        }
        return GGUFFile(first: first, tensors: tensors)
    }

    private func open(_ number: Int) throws(ModelFileError) -> GGUFFile {
        let path = FileSystem.join(folder, name.sibling(number))
        guard FileSystem.isFile(path) else {
            throw ModelFileError(
                .missing, file: path, "part \(number) of \(name.count) is not there",
                hint: ByteReader.incompleteHint)
        }
        return try GGUFFile(MappedFile(path: path))
    }
}

/// A file name with a part's number: `stem-00002-of-00005.gguf`.
struct SplitName: Equatable {
    let stem: String
    let number: Int
    let count: Int
    let suffix: String

    /// Takes a name apart; nil where it is not of that form.
    init?(_ name: String, suffix: String) {
        let bytes = Array(name.utf8)
        let tail = Array("-00000-of-00000".utf8)
        let suffixBytes = Array(suffix.utf8)
        guard bytes.count > tail.count + suffixBytes.count, bytes.suffix(suffixBytes.count).elementsEqual(suffixBytes)
        else { return nil }
        let stemCount = bytes.count - tail.count - suffixBytes.count
        let digitsAndWords = bytes[stemCount..<stemCount + tail.count]
        guard
            zip(digitsAndWords, tail).allSatisfy({ byte, pattern in
                pattern == UInt8(ascii: "0")
                    ? (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) : byte == pattern
            }), let number = Int(String(decoding: digitsAndWords.dropFirst(1).prefix(5), as: UTF8.self)),
            let count = Int(String(decoding: digitsAndWords.suffix(5), as: UTF8.self)), count > 0,
            (1...count).contains(number)
        else { return nil }
        stem = String(decoding: bytes[..<stemCount], as: UTF8.self)
        self.number = number
        self.count = count
        self.suffix = suffix
    }

    /// The name of another part.
    func sibling(_ number: Int) -> String {
        "\(stem)-\(Self.digits(number))-of-\(Self.digits(count))\(suffix)"
    }

    static func digits(_ number: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 5 - digits.utf8.count)) + digits
    }
}
