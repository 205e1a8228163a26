import ServingJSON
public import ServingTensors

/// The tensors of a model in one or several safetensors files.
public struct SafetensorsShards: Sendable {
    /// The files.
    public let files: [SafetensorsFile]
    /// Names of all tensors, file by file in the order of their bytes.
    public let names: [String]
    private let positions: [NameBytes: (file: Int, entry: Int)]

    /// A model in one file.
    public init(path: String) throws(ModelFileError) { try self.init([SafetensorsFile(path: path)]) }

    /// The files that `model.safetensors.index.json` names, all of which must be there and hold what it says.
    public init(indexPath: String) throws(ModelFileError) {
        let index = try SafetensorsIndex(path: indexPath)
        var files: [SafetensorsFile] = []
        for name in index.fileNames { files.append(try index.open(name)) }
        try self.init(files)
        try index.check(self)
    }

    /// A model in the given files.
    init(_ files: [SafetensorsFile]) throws(ModelFileError) {
        var names: [String] = []
        var positions: [NameBytes: (file: Int, entry: Int)] = [:]
        for (number, file) in files.enumerated() {
            for (position, entry) in file.entries.enumerated() {
                let place = (file: number, entry: position)
                if let other = positions.updateValue(place, forKey: NameBytes(entry.name)) {
                    throw ModelFileError(
                        .duplicateTensor, file: file.file.path, offset: entry.range.lowerBound,
                        subject: GGUFHeader.subject(entry.name), "is in \(files[other.file].file.path) as well")
                }
                names.append(entry.name)
            }
        }
        self.files = files
        self.names = names
        self.positions = positions
    }

    /// What the files say of a tensor.
    public func entry(named name: String) -> SafetensorsFile.Entry? {
        positions[NameBytes(name)].map { files[$0.file].entries[$0.entry] }
    }

    /// A tensor, or nil where there is none of that name.
    ///
    /// - Throws: `unsupportedTensorType` for encodings other than F32, F16 and BF16.
    public func tensor(named name: String) throws(ModelFileError) -> StoredTensor? {
        guard let place = positions[NameBytes(name)] else { return nil }
        return try files[place.file].tensor(files[place.file].entries[place.entry])
    }

    /// The file that holds a tensor.
    func file(holding name: String) -> SafetensorsFile? { positions[NameBytes(name)].map { files[$0.file] } }
}

/// `model.safetensors.index.json`: which file holds which tensor.
struct SafetensorsIndex {
    private let path: String
    private let weightMap: JSONObject
    /// The files, each once, in the order of their names.
    let fileNames: [String]

    init(path: String) throws(ModelFileError) {
        self.path = path
        let index = try JSONValue(readingFile: path)
        guard let weightMap = index["weight_map"]?.objectValue else {
            throw ModelFileError(.invalidJSON, file: path, "has no weight_map object")
        }
        self.weightMap = weightMap
        var names: Set<NameBytes> = []
        for (tensor, value) in weightMap.members {
            guard let name = value.stringValue else {
                throw ModelFileError(
                    .invalidJSON, file: path, subject: GGUFHeader.subject(tensor), "has no file name")
            }
            try Self.check(fileName: name, of: tensor, path)
            names.insert(NameBytes(name))
        }
        guard !names.isEmpty else { throw ModelFileError(.missingTensor, file: path, "lists no tensors") }
        fileNames = names.map(\.name).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// Only names inside the index's own folder are followed, whatever the index says.
    private static func check(fileName: String, of tensor: String, _ path: String) throws(ModelFileError) {
        let components = fileName.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        let leavesFolder = components.contains { component in
            component.isEmpty || component.elementsEqual(".".utf8) || component.elementsEqual("..".utf8)
                || component.contains(0) || component.contains(UInt8(ascii: "\\"))
        }
        guard !leavesFolder else {
            throw ModelFileError(
                .unsafePath, file: path, subject: GGUFHeader.subject(tensor),
                "is said to be in \(ModelFileError.quoted(fileName))", expected: "a file in the index's folder")
        }
        guard fileName.utf8.suffix(12).elementsEqual(".safetensors".utf8) else {
            throw ModelFileError(
                .wrongFormat, file: path, subject: GGUFHeader.subject(tensor),
                "is said to be in \(ModelFileError.quoted(fileName))", expected: "a .safetensors file")
        }
    }

    func open(_ name: String) throws(ModelFileError) -> SafetensorsFile {
        let file = FileSystem.join(FileSystem.folder(of: path), name)
        do {
            return try SafetensorsFile(path: file)
        } catch  where error.code == .missing {
            throw ModelFileError(
                .missing, file: file, "is not there, but \(path) names it", hint: ByteReader.incompleteHint)
        }
    }

    /// Whether every tensor is in the file that the index names.
    func check(_ shards: SafetensorsShards) throws(ModelFileError) {
        for (tensor, value) in weightMap.members {
            // Checked to be a string when the index was read.
            let name = value.stringValue ?? ""
            let file = FileSystem.join(FileSystem.folder(of: path), name)
            guard let holder = shards.file(holding: tensor), holder.file.path.utf8.elementsEqual(file.utf8) else {
                throw ModelFileError(
                    .missingTensor, file: file, subject: GGUFHeader.subject(tensor), "is not there, but \(path) says so"
                )
            }
        }
    }
}
