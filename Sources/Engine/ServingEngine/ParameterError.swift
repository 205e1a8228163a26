/// A field of a request whose value the engine does not take.
public struct ParameterError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Name of the field, as in ``GenerationRequest`` or ``SamplingParameters``.
    public let field: String
    /// What it held.
    public let value: String
    /// What it may hold.
    public let expected: String

    init(_ field: String, _ value: some CustomStringConvertible, expected: String) {
        self.field = field
        self.value = String(describing: value)
        self.expected = expected
    }

    /// The field, what is expected of it and what it held.
    public var description: String { "\(field) must be \(expected), not \(value)" }
}
