/// A field of a request body that is missing or of another type than expected, in the words of Rust's serde, which are
/// what clients of LoRAX see.
package struct WireDecodingError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Where: `parameters.temperature`, `prompt[1]`; empty for the whole body.
    package let path: String
    /// What is wrong there.
    package let message: String

    /// An error.
    package init(path: String, message: String) {
        self.path = path
        self.message = message
    }

    /// Where and what.
    package var description: String { path.isEmpty ? message : "\(path): \(message)" }
}
