public import ServingTensors

/// Turns one answer's tokens into text as they come. The engine makes one for each sample, on its own thread.
public protocol TokenTextDecoding {
    /// Takes the next token and returns the text that is certain now: whole characters, perhaps none.
    mutating func append(_ id: TokenID) -> String

    /// Returns what is left when no more tokens come.
    mutating func finish() -> String
}

/// Makes a decoder for an answer to `request`.
public typealias TokenTextDecoderFactory = @Sendable (_ request: GenerationRequest) -> any TokenTextDecoding
