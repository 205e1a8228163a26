public import ServingAdapters
public import ServingEngine

/// An error on LoRAX's own routes: `{"error": ..., "error_type": ...}` with its status.
public struct NativeError: Error, Equatable, Sendable {
    /// LoRAX's classes of errors, and ours for what it lacks.
    public enum Kind: String, Sendable {
        /// Something failed while a request was under way.
        case generation
        case overloaded
        case validation
        case incompleteGeneration = "incomplete_generation"
        case template = "template_error"
        case tool = "tool_error"
        case embedding = "embedding_failure"
        case classification = "classification_failure"
        case healthcheck
        case failedHealthcheck = "failed healthcheck"
        case noTokenizer = "no fast tokenizer"
        case authentication
        case notFound = "not_found"
        case shuttingDown = "shutting_down"
    }

    /// Which class.
    public let kind: Kind
    /// HTTP status.
    public let status: Int
    /// What clients read.
    public let message: String

    private init(_ kind: Kind, _ status: Int, _ message: String) {
        self.kind = kind
        self.status = status
        self.message = message
    }

    /// A parameter or an input that can't be.
    public static func validation(_ message: String) -> NativeError {
        NativeError(.validation, 422, "Input validation error: \(message)")
    }

    /// Something failed while a request was under way.
    public static func generation(_ message: String) -> NativeError {
        NativeError(.generation, 424, "Request failed during generation: \(message)")
    }

    /// The server takes no more requests for now.
    public static let overloaded = NativeError(.overloaded, 429, "Model is overloaded")
    /// The server finishes what it has and takes nothing new.
    public static let shuttingDown = NativeError(
        .shuttingDown, 503, "The server is shutting down; send the request to another replica")
    /// The answer ended before its end.
    public static let incomplete = NativeError(.incompleteGeneration, 500, "Incomplete generation")
    /// For health checks while draining.
    public static let unhealthy = NativeError(.healthcheck, 503, "unhealthy")
    /// For `/startup`.
    public static let emptyGeneration = NativeError(.failedHealthcheck, 500, "Empty generation")
    /// For `/tokenize` of a model without a tokenizer.
    public static let noTokenizer = NativeError(
        .noTokenizer, 404, "No fast tokenizer or tokenizer.json for this model")
    /// For `/classify` and `/classify_batch`.
    public static let noClassification = NativeError(
        .classification, 501, "Classification Failure: this model generates text and has no classification head")
    /// A wrong or missing API key.
    public static let unauthorized = NativeError(
        .authentication, 401, "The API key is missing or wrong; send it as Authorization: Bearer KEY")

    /// The chat template failed.
    public static func template(_ message: String) -> NativeError {
        NativeError(.template, 422, "Failed applying chat template to inputs: \(message)")
    }

    /// Embedding failed.
    public static func embedding(_ message: String) -> NativeError {
        NativeError(.embedding, 500, "Embedding Failure: \(message)")
    }

    /// A path that leads nowhere.
    public static func notFound(_ path: String) -> NativeError { NativeError(.notFound, 404, "Not found: \(path)") }

    /// An adapter that can't be used.
    public init(_ error: AdapterError) { self = .generation("Server error: \(error.message)") }

    /// A request that the engine refuses.
    public init(_ error: SubmissionError) {
        switch error {
        case .queueFull: self = .overloaded
        case .shuttingDown: self = .shuttingDown
        case .emptyPrompt: self = .validation("`inputs` cannot be empty")
        case .invalidParameter(let error):
            let name = OpenAIError.wireNames[error.field] ?? error.field
            self = .validation("`\(name)` must be \(error.expected). Given: \(error.value)")
        default: self = .validation(error.description)
        }
    }

    /// The body.
    public var json: JSONBytes {
        var json = JSONBytes()
        json.openObject()
        json.member("error", message)
        json.member("error_type", kind.rawValue)
        json.closeObject()
        return json
    }
}
