public import ServingTensors

/// Turns tokens into text one by one. What ``append(_:)`` and ``finish()`` give joins to what
/// ``Tokenizer/decode(_:skippingSpecialTokens:)`` gives for the same tokens. Never gives half a character; text that
/// later tokens may change is held back.
public struct StreamingDetokenizer: Sendable {
    private let tokenizer: Tokenizer
    private let skipsSpecialTokens: Bool
    private var state: DecodingState
    private var repair = UTF8Repair()

    /// A stream without tokens yet.
    public init(_ tokenizer: Tokenizer, skippingSpecialTokens: Bool) {
        self.tokenizer = tokenizer
        skipsSpecialTokens = skippingSpecialTokens
        state = tokenizer.makeDecodingState()
    }

    /// Takes a token and returns the text that is certain now, which may be empty. Ids out of the vocabulary are
    /// skipped.
    public mutating func append(_ id: TokenID) -> String {
        var output: [UInt8] = []
        tokenizer.decode(id, skipsSpecialTokens, &state, &output)
        return output.isEmpty ? "" : repair.append(output)
    }

    /// Ends the stream and returns the text that was held back.
    public mutating func finish() -> String {
        var output: [UInt8] = []
        state.finish(to: &output)
        return repair.append(output) + repair.finish()
    }
}

/// Where decoding stands: by the steps of tokenizer.json, or by SentencePiece's rules. Exactly one is there; a struct
/// and not an enum, so that it changes in place.
struct DecodingState: Sendable {
    var steps: DecoderState?
    var sentencePiece: SentencePieceDecoder?

    mutating func finish(to output: inout [UInt8]) {
        steps?.finish(to: &output)
        sentencePiece?.finish(to: &output)
    }
}
