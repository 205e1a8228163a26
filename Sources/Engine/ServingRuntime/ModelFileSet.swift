import ServingJSON
import ServingModelFiles
import ServingModels
import ServingTensors

/// A model's files opened and described, whichever format they are in.
struct ModelFileSet {
    let description: ModelDescription
    let hasTokenizer: Bool
    /// Ends of an answer that generation_config.json or config.json name.
    let endTokenIDs: Set<TokenID>

    init(source: ModelSource, path: String, contextLength: Int?) throws {
        switch source {
        case .gguf(let path):
            let file = try GGUFFile(path: path)
            description = try Self.describe(contextLength) { try ModelDescription(gguf: file, contextLength: $0) }
            hasTokenizer = file["tokenizer.ggml.tokens"] != nil
            endTokenIDs = []
        case .folder(let path):
            let folder = try ModelFolder(path: path)
            description = try Self.describe(contextLength) { try ModelDescription(folder: folder, contextLength: $0) }
            hasTokenizer = !folder.tokenizer.isEmpty
            let stated = folder.generationConfig?["eos_token_id"] ?? folder.config["eos_token_id"]
            let ids = stated?.arrayValue ?? stated.map { [$0] } ?? []
            endTokenIDs = Set(ids.compactMap { $0.intValue.flatMap(TokenID.init(exactly:)) })
        case .adapter:
            throw RuntimeError(.notAModel, "\(path) is a LoRA adapter, not a model (pass the model it was trained for)")
        case .tokenizerFolder, .tokenizerJSON, .tokenizerModel:
            throw RuntimeError(
                .notAModel, "\(path) holds a tokenizer and no weights (pass a GGUF file or model folder)")
        }
    }

    /// Describes the model for the context asked for, or for its own where that is within reason.
    private static func describe(
        _ contextLength: Int?, _ make: (Int?) throws -> ModelDescription
    ) throws -> ModelDescription {
        let description = try make(contextLength)
        let limit = LocalModel.Options.defaultContextLimit
        guard contextLength == nil, description.config.contextLength > limit else { return description }
        return try make(limit)
    }
}
