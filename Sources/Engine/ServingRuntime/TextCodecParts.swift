import ServingJSON
import ServingModelFiles
import ServingTokenizers

/// Finds a tokenizer and a chat template in whatever a path leads to.
struct TextCodecParts {
    let tokenizer: Tokenizer
    let chatTemplateSource: String?

    init(_ source: ModelSource) throws {
        switch source {
        case .gguf(let path):
            let file = try GGUFFile(path: path)
            guard let vocabulary = GGUFVocabulary(file: file) else {
                throw RuntimeError(.noTokenizer, "\(path): the GGUF metadata holds no tokenizer")
            }
            do {
                tokenizer = try Tokenizer(gguf: vocabulary)
            } catch {
                throw RuntimeError(.noTokenizer, "\(path): \(error)")
            }
            chatTemplateSource = file["tokenizer.chat_template"]?.stringValue
        case .folder(let path), .tokenizerFolder(let path):
            let files = try TokenizerFiles(folder: path)
            tokenizer = try Self.tokenizer(files, in: path)
            chatTemplateSource = files.chatTemplates.first?.source
        case .tokenizerJSON(let path):
            let files = try? TokenizerFiles(folder: Self.folder(of: path))
            tokenizer = try Self.tokenizer(jsonPath: path, files?.tokenizerConfig)
            chatTemplateSource = files?.chatTemplates.first?.source
        case .tokenizerModel(let path):
            let files = try? TokenizerFiles(folder: Self.folder(of: path))
            tokenizer = try Self.tokenizer(sentencePiecePath: path, files?.tokenizerConfig)
            chatTemplateSource = files?.chatTemplates.first?.source
        case .adapter(let path):
            throw RuntimeError(.notAModel, "\(path) is a LoRA adapter (pass the model it was trained for)")
        }
    }

    private static func tokenizer(_ files: TokenizerFiles, in folder: String) throws -> Tokenizer {
        if let path = files.tokenizerJSONPath { return try tokenizer(jsonPath: path, files.tokenizerConfig) }
        if let path = files.tokenizerModelPath { return try tokenizer(sentencePiecePath: path, files.tokenizerConfig) }
        throw RuntimeError(.noTokenizer, "\(folder) holds neither tokenizer.json nor tokenizer.model")
    }

    private static func tokenizer(jsonPath path: String, _ config: JSONValue?) throws -> Tokenizer {
        try named(path) { try $0.withBytes { try Tokenizer(tokenizerJSON: $0, config: config) } }
    }

    private static func tokenizer(sentencePiecePath path: String, _ config: JSONValue?) throws -> Tokenizer {
        try named(path) { try $0.withBytes { try Tokenizer(sentencePiece: Array($0), config: config) } }
    }

    /// Says in which file a tokenizer is broken.
    private static func named(_ path: String, _ make: (MappedFile) throws -> Tokenizer) throws -> Tokenizer {
        let file = try MappedFile(path: path)
        do {
            return try make(file)
        } catch let error as TokenizerError {
            throw RuntimeError(.noTokenizer, "\(path): \(error)")
        }
    }

    private static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
