/// Why a model on disk can't answer, one level above files and tensors.
public struct RuntimeError: Error, Equatable, CustomStringConvertible {
    /// The kind of problem.
    public enum Code: Sendable, Equatable {
        /// The path leads to something that is no model.
        case notAModel
        /// The model has no tokenizer, or one that can't be read.
        case noTokenizer
        /// The model has no chat template, or one that fails.
        case chatTemplate
        /// The model failed to compute.
        case failed
        /// The device that was asked for is not there or can't be used.
        case deviceUnusable
        /// Memory does not suffice.
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
}
