import ServingJSON

/// What a path that a user gave leads to.
public enum ModelSource: Sendable, Equatable {
    /// A GGUF file, for ``GGUFFile/init(path:)``; of a split model one part.
    case gguf(path: String)
    /// A Hugging Face folder with weights, for ``ModelFolder/init(path:)``.
    case folder(path: String)
    /// A PEFT adapter's folder.
    case adapter(path: String)
    /// A folder with a tokenizer but no weights, for ``TokenizerFiles/init(folder:)``.
    case tokenizerFolder(path: String)
    /// A tokenizer.json by itself.
    case tokenizerJSON(path: String)
    /// A SentencePiece model by itself.
    case tokenizerModel(path: String)

    /// Decides what a path leads to, by content rather than by name where a file is given.
    ///
    /// A model's config.json, index or safetensors file stands for its folder, and the Hugging Face cache's folder of a
    /// model stands for its main revision.
    /// - Throws: `missing`, `pickle`, `incompleteDownload`, `ambiguous` for folders with several GGUF models,
    ///   `notAModel` or `wrongFormat` with what is there instead.
    public static func detect(path: String) throws(ModelFileError) -> ModelSource {
        do throws(ModelFileError) {
            switch try FileSystem.kind(of: path) {
            case .folder: return try folder(path)
            case .file: return try file(path)
            case .other: throw ModelFileError(.notRegularFile, file: path, "is not a regular file")
            }
        } catch  where error.code == .missing {
            for suffix in FolderListing.incompleteSuffixes where FileSystem.isFile(path + suffix) {
                throw ModelFileError(
                    .incompleteDownload, file: path + suffix, "is not finished",
                    hint: "let the download end or start it again")
            }
            throw error
        }
    }

    private static func folder(_ path: String) throws(ModelFileError) -> ModelSource {
        let listing = try FolderListing(path)
        if listing.has("adapter_config.json"), !listing.has("config.json") { return .adapter(path: path) }
        if listing.has("config.json"), !listing.safetensors.isEmpty || listing.has("model.safetensors.index.json") {
            return .folder(path: path)
        }
        let models = listing.ggufModels
        if let name = models.first {
            guard models.count == 1 else {
                throw ModelFileError(
                    .ambiguous, file: path, "holds \(models.count) GGUF models", found: FolderListing.some(models),
                    hint: "name one of them")
            }
            return .gguf(path: FileSystem.join(path, name))
        }
        if listing.has("snapshots"), let revision = cachedRevision(path) { return try folder(revision) }
        if !listing.incomplete.isEmpty || !listing.pickles.isEmpty { throw listing.noWeights() }
        if listing.has("tokenizer.json") || listing.has("tokenizer.model") { return .tokenizerFolder(path: path) }
        guard listing.safetensors.isEmpty else {
            throw ModelFileError(
                .missing, file: FileSystem.join(path, "config.json"), "is not there, but safetensors files are",
                hint: ByteReader.incompleteHint)
        }
        throw listing.noWeights()
    }

    /// The main revision in a folder of Hugging Face's cache: `refs/main` names a folder in `snapshots`.
    private static func cachedRevision(_ path: String) -> String? {
        guard let reference = try? MappedFile(path: FileSystem.join(path, "refs/main")) else { return nil }
        let name = reference.withBytes { bytes in
            Array(
                bytes.prefix {
                    UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0
                })
        }
        guard !name.isEmpty else { return nil }
        let revision = FileSystem.join(path, "snapshots/" + String(decoding: name, as: UTF8.self))
        return (try? FileSystem.kind(of: revision)) == .folder ? revision : nil
    }

    private static func file(_ path: String) throws(ModelFileError) -> ModelSource {
        let name = FileSystem.name(of: path)
        if FolderListing.incompleteSuffixes.contains(where: { FolderListing.hasSuffix(name, $0) }) {
            throw ModelFileError(
                .incompleteDownload, file: path, "is not finished", hint: "let the download end or start it again")
        }
        let file = try MappedFile(path: path)
        let content = file.withBytes { FileContent($0) }
        switch content {
        case .gguf: return .gguf(path: path)
        case .safetensors: return try folderOfPart(path, "a safetensors file")
        case .json: return try json(path, name)
        case .binary, .text:
            if isTokenizerModel(name, file, content) { return .tokenizerModel(path: path) }
            if FolderListing.hasSuffix(name, ".gguf"), file.count < 4 { _ = try GGUFFile(file) }
        default: break
        }
        throw content.error(path, expected: "a model")
    }

    /// A SentencePiece model begins with its first piece: field 1, with a length (sentencepiece_model.proto). Meta's
    /// tiktoken files have the same name and are text.
    private static func isTokenizerModel(_ name: String, _ file: MappedFile, _ content: FileContent) -> Bool {
        if content == .text { return name.utf8.elementsEqual("tokenizer.model".utf8) }
        return FolderListing.hasSuffix(name, ".model") && file.withBytes { $0.first == 0x0A }
    }

    private static func folderOfPart(_ path: String, _ kind: String) throws(ModelFileError) -> ModelSource {
        let folder = FileSystem.folder(of: path)
        if FileSystem.isFile(FileSystem.join(folder, "config.json")) { return .folder(path: folder) }
        if FileSystem.isFile(FileSystem.join(folder, "adapter_config.json")) { return .adapter(path: folder) }
        throw ModelFileError(
            .notAModel, file: path, "is \(kind) without a config.json beside it", hint: "give the model's folder")
    }

    private static func json(_ path: String, _ name: String) throws(ModelFileError) -> ModelSource {
        if name.utf8.elementsEqual("tokenizer.json".utf8) { return .tokenizerJSON(path: path) }
        let value = try JSONValue(readingFile: path)
        if value["model"]?["vocab"] != nil { return .tokenizerJSON(path: path) }
        let isModelPart = value["weight_map"] != nil || value["model_type"] != nil || value["architectures"] != nil
        guard isModelPart, case .folder(let folder) = try self.folder(FileSystem.folder(of: path)) else {
            throw FileContent.json.error(path, expected: "a model")
        }
        return .folder(path: folder)
    }
}
