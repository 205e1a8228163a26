/// Why an adapter can't be used. Messages say what, which and what to do; they are told to clients.
public struct AdapterError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The kind of problem.
    public enum Code: Sendable, Equatable {
        /// There is no such adapter, or the caller may not see it.
        case notFound
        /// The id, or a field of a merge, can't be.
        case invalidRequest
        /// The adapter's files are broken: truncated, malformed, not finite, contradicting each other.
        case invalidAdapter
        /// It holds something that would not be applied.
        case unsupported
        /// It was made for another model.
        case incompatible
        /// A download failed; it may succeed later.
        case unavailable
        /// The caller gave up.
        case cancelled
        /// It is larger than the memory for adapters.
        case outOfMemory
    }

    /// The kind of problem.
    public let code: Code
    /// What, which, and what to do.
    public let message: String

    /// An error.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The message.
    public var description: String { message }
    /// Whether the same request may succeed later.
    public var isRetryable: Bool { code == .unavailable }
}
