package import ServingJSON

/// An error on LoRAX's own routes: `{"error": ..., "error_type": ...}` with its status.
package struct NativeError: Error, Equatable, Sendable {
    /// LoRAX's classes of errors, and ours for what it lacks.
    package enum Kind: String, Sendable {
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
        case loading
    }

    /// Which class.
    package let kind: Kind
    /// HTTP status.
    package let status: Int
    /// What clients read.
    package let message: String

    private init(_ kind: Kind, _ status: Int, _ message: String) {
        self.kind = kind
        self.status = status
        self.message = message
    }

    /// A parameter or an input that can't be.
    package static func validation(_ message: String) -> NativeError {
        NativeError(.validation, 422, "Input validation error: \(message)")
    }

    /// Something failed while a request was under way.
    package static func generation(_ message: String) -> NativeError {
        NativeError(.generation, 424, "Request failed during generation: \(message)")
    }

    /// The server takes no more requests for now.
    package static let overloaded = NativeError(.overloaded, 429, "Model is overloaded")
    /// The server finishes what it has and takes nothing new.
    package static let shuttingDown = NativeError(
        .shuttingDown, 503, "The server is shutting down; send the request to another replica")
    /// The server listens and has no model yet.
    package static func loading(percent: Int) -> NativeError {
        NativeError(.loading, 503, "The model is loading (\(percent) %)")
    }

    /// The answer ended before its end.
    package static let incomplete = NativeError(.incompleteGeneration, 500, "Incomplete generation")
    /// For health checks while draining.
    package static let unhealthy = NativeError(.healthcheck, 503, "unhealthy")
    /// For `/startup`.
    package static let emptyGeneration = NativeError(.failedHealthcheck, 500, "Empty generation")
    /// For `/tokenize` of a model without a tokenizer.
    package static let noTokenizer = NativeError(
        .noTokenizer, 404, "No fast tokenizer or tokenizer.json for this model")
    /// For `/classify` and `/classify_batch`.
    package static let noClassification = NativeError(
        .classification, 501, "Classification Failure: this model generates text and has no classification head")
    /// A wrong or missing API key.
    package static let unauthorized = NativeError(
        .authentication, 401, "The API key is missing or wrong; send it as Authorization: Bearer KEY")

    /// The chat template failed.
    package static func template(_ message: String) -> NativeError {
        NativeError(.template, 422, "Failed applying chat template to inputs: \(message)")
    }

    /// Embedding failed.
    package static func embedding(_ message: String) -> NativeError {
        NativeError(.embedding, 500, "Embedding Failure: \(message)")
    }

    /// A path that leads nowhere.
    package static func notFound(_ path: String) -> NativeError { NativeError(.notFound, 404, "Not found: \(path)") }

    /// The body.
    package var json: JSONBytes {
        var json = JSONBytes()
        json.openObject()
        json.member("error", message)
        json.member("error_type", kind.rawValue)
        json.closeObject()
        return json
    }
}
