public import ServingJSON

/// A Hugging Face model folder: configuration, tokenizer files and safetensors.
///
/// Made by the engine's loader from what ``ModelSource`` found; weights are only opened by ``openTensors()``.
public struct ModelFolder: Sendable {
    /// The folder.
    public let path: String
    /// `config.json`.
    public let config: JSONValue
    /// `generation_config.json`, if there.
    public let generationConfig: JSONValue?
    /// The tokenizer's files and the chat templates.
    public let tokenizer: TokenizerFiles

    /// Reads a folder's JSON files.
    ///
    /// - Throws: `missing` where there is no folder or no config.json in it, `invalidJSON` where a file does not parse.
    public init(path: String) throws(ModelFileError) {
        guard try FileSystem.kind(of: path) == .folder else {
            throw ModelFileError(.wrongFormat, file: path, "is a file", expected: "a model's folder")
        }
        self.path = path
        let configPath = FileSystem.join(path, "config.json")
        config = try JSONValue(readingFile: configPath)
        guard config.objectValue != nil else {
            throw ModelFileError(.invalidJSON, file: configPath, "is not an object")
        }
        generationConfig = try JSONValue.readIfPresent(FileSystem.join(path, "generation_config.json"))
        tokenizer = try TokenizerFiles(folder: path)
    }

    /// Opens the weights: `model.safetensors`, else the files that `model.safetensors.index.json` names, else the only
    /// safetensors file or the only complete set of numbered ones.
    ///
    /// - Throws: `pickle` where there are only pickles, which are never read, and what reading safetensors throws.
    public func openTensors() throws(ModelFileError) -> SafetensorsShards {
        let single = FileSystem.join(path, "model.safetensors")
        if FileSystem.isFile(single) { return try SafetensorsShards(path: single) }
        let index = FileSystem.join(path, "model.safetensors.index.json")
        if FileSystem.isFile(index) { return try SafetensorsShards(indexPath: index) }
        let listing = try FolderListing(path)
        return try openLoose(listing)
    }

    private func openLoose(_ listing: FolderListing) throws(ModelFileError) -> SafetensorsShards {
        let names = listing.safetensors
        if names.count == 1, let name = names.first, SplitName(name, suffix: ".safetensors") == nil {
            return try SafetensorsShards(path: FileSystem.join(path, name))
        }
        guard let name = names.first else { throw listing.noWeights() }
        guard let split = SplitName(name, suffix: ".safetensors"), names.allSatisfy({ split.isSibling($0) }) else {
            throw ModelFileError(
                .ambiguous, file: path, "holds several safetensors files and no model.safetensors.index.json",
                found: FolderListing.some(names), hint: ByteReader.incompleteHint)
        }
        var files: [SafetensorsFile] = []
        for number in 1...split.count {
            let file = FileSystem.join(path, split.sibling(number))
            guard FileSystem.isFile(file) else {
                throw ModelFileError(
                    .missing, file: file, "part \(number) of \(split.count) is not there",
                    hint: ByteReader.incompleteHint)
            }
            files.append(try SafetensorsFile(path: file))
        }
        return try SafetensorsShards(files)
    }
}

/// What a folder holds, by the names of its files.
struct FolderListing {
    let path: String
    let names: [String]

    init(_ path: String) throws(ModelFileError) {
        self.path = path
        names = try FileSystem.names(in: path)
    }

    /// Safetensors files, adapters left out.
    var safetensors: [String] {
        names.filter { Self.hasSuffix($0, ".safetensors") && !$0.utf8.starts(with: "adapter_".utf8) }
    }

    /// GGUF models; of a split one its first part. Vision projectors (`mmproj-...`) are no models.
    var ggufModels: [String] {
        let files = names.filter { Self.hasSuffix($0, ".gguf") && !$0.utf8.starts(with: "mmproj".utf8) }
        return files.filter { name in
            guard let split = SplitName(name, suffix: ".gguf") else { return true }
            return files.first { split.isSibling($0) }.map { $0.utf8.elementsEqual(name.utf8) } ?? true
        }
    }

    /// Pickles, by the names that PyTorch's tools give them.
    var pickles: [String] {
        let suffixes = [".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"]
        return names.filter { name in suffixes.contains { Self.hasSuffix(name, $0) } }
            .filter { !$0.utf8.elementsEqual("training_args.bin".utf8) }
    }

    /// Files that a download tool has not finished.
    var incomplete: [String] {
        names.filter { name in Self.incompleteSuffixes.contains { Self.hasSuffix(name, $0) } }
    }

    static let incompleteSuffixes = [".part", ".partial", ".incomplete", ".crdownload", ".aria2", ".download", ".tmp"]

    func has(_ name: String) -> Bool { names.contains { $0.utf8.elementsEqual(name.utf8) } }

    /// The error for a folder without weights that can be read.
    func noWeights() -> ModelFileError {
        if let name = incomplete.first {
            return ModelFileError(
                .incompleteDownload, file: FileSystem.join(path, name), "is not finished",
                hint: "let the download end or start it again")
        }
        if let name = pickles.first {
            return FileContent.pickle("a PyTorch checkpoint, that is a Python pickle")
                .error(FileSystem.join(path, name), expected: "a safetensors file")
        }
        return ModelFileError(
            .notAModel, file: path, "holds no model's weights", expected: "safetensors files or a GGUF file",
            found: names.isEmpty ? "nothing" : Self.some(names))
    }

    static func hasSuffix(_ name: String, _ suffix: String) -> Bool {
        name.utf8.count > suffix.utf8.count && name.utf8.suffix(suffix.utf8.count).elementsEqual(suffix.utf8)
    }

    /// The first few of some names, for a message.
    static func some(_ names: [String]) -> String {
        let shown = names.prefix(4).map { ModelFileError.quoted($0) }.joined(separator: ", ")
        return names.count > 4 ? shown + " and \(names.count - 4) more" : shown
    }
}

extension SplitName {
    /// Whether a name is of a part of the same file.
    func isSibling(_ name: String) -> Bool {
        guard let other = SplitName(name, suffix: suffix) else { return false }
        return other.stem.utf8.elementsEqual(stem.utf8) && other.count == count
    }
}
