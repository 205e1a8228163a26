package import ServingTensors

/// How single tokens are shown to clients. Held by a model's tokenizer; tests use a table.
package protocol TokenTexts: Sendable {
    /// The token as text by itself, special tokens spelled out.
    func text(of id: TokenID) -> String
    /// The bytes that the token adds to a text.
    func bytes(of id: TokenID) -> [UInt8]
    /// Whether it is a control token.
    func isSpecial(_ id: TokenID) -> Bool
}
