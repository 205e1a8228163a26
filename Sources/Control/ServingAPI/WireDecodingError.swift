/// A field of a request body that is missing or of another type than expected, in the words of Rust's serde, which are what
/// clients of LoRAX see.
public struct WireDecodingError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Where: `parameters.temperature`, `prompt[1]`; empty for the whole body.
    public let path: String
    /// What is wrong there.
    public let message: String

    /// An error.
    public init(path: String, message: String) {
        self.path = path
        self.message = message
    }

    /// Where and what.
    public var description: String { path.isEmpty ? message : "\(path): \(message)" }
}
