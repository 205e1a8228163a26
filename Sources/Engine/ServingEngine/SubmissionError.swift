/// Why the engine did not take a request.
public enum SubmissionError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The prompt has no tokens.
    case emptyPrompt
    /// The prompt leaves no room for one new token.
    case promptTooLong(promptTokenCount: Int, contextLength: Int)
    /// The whole KV cache is too small for the prompt and one new token.
    case exceedsCache(blocksNeeded: Int, blockCount: Int)
    /// A field is out of range.
    case invalidParameter(ParameterError)
    /// A request with this id is in flight.
    case duplicateID(String)
    /// As many sequences as the engine takes are in flight; try again later.
    case queueFull(limit: Int)
    /// The engine takes no more requests.
    case shuttingDown

    /// What is wrong, with the numbers, and what to do.
    public var description: String {
        switch self {
        case .emptyPrompt:
            "the prompt has no tokens; give at least the beginning-of-sequence token"
        case .promptTooLong(let promptTokenCount, let contextLength):
            "the prompt has \(promptTokenCount) tokens; with one new token it must fit a context of \(contextLength)"
        case .exceedsCache(let blocksNeeded, let blockCount):
            "the prompt and one new token need \(blocksNeeded) KV blocks; the cache has \(blockCount)"
        case .invalidParameter(let error):
            error.description
        case .duplicateID(let id):
            "a request with id \"\(id)\" is in flight"
        case .queueFull(let limit):
            "the queue is full: \(limit) sequences are in flight; try again later"
        case .shuttingDown:
            "the engine is shutting down"
        }
    }

    /// Whether the same request may be taken later.
    public var isRetryable: Bool {
        switch self {
        case .queueFull, .duplicateID: true
        default: false
        }
    }
}
