public import ServingTensors

/// The tokenizer of a GGUF file, as its `tokenizer.ggml.*` metadata holds it.
///
/// Strings lie in one buffer each, so that a large vocabulary costs no allocation per token.
public struct GGUFVocabulary: Sendable {
    /// Many strings, in order.
    public struct Strings: Sendable {
        /// The bytes of all strings, one after the other.
        public var bytes: [UInt8]
        /// Where string i ends, exclusive; it starts where string i - 1 ends.
        public var ends: [Int]

        /// No strings, or room for some.
        public init(reservingBytes byteCount: Int = 0, strings: Int = 0) {
            bytes = []
            bytes.reserveCapacity(byteCount)
            ends = []
            ends.reserveCapacity(strings)
        }

        /// Adds a string.
        public mutating func append(_ string: some Sequence<UInt8>) {
            bytes.append(contentsOf: string)
            ends.append(bytes.count)
        }

        /// How many strings there are.
        public var count: Int { ends.count }
    }

    /// `tokenizer.ggml.model`: `gpt2` (byte-level BPE), `llama` (SentencePiece BPE) or `t5` (unigram).
    public var model: String
    /// `tokenizer.ggml.pre`.
    public var preTokenizer: String?
    /// `tokenizer.ggml.tokens`.
    public var tokens: Strings
    /// `tokenizer.ggml.scores`.
    public var scores: [Float]?
    /// `tokenizer.ggml.token_type`.
    public var tokenTypes: [Int32]?
    /// `tokenizer.ggml.merges`: "left right".
    public var merges: Strings?
    /// `tokenizer.ggml.bos_token_id`.
    public var bosTokenID: TokenID?
    /// `tokenizer.ggml.eos_token_id`.
    public var eosTokenID: TokenID?
    /// `tokenizer.ggml.eot_token_id`: end of a turn.
    public var eotTokenID: TokenID?
    /// `tokenizer.ggml.eom_token_id`: end of a message.
    public var eomTokenID: TokenID?
    /// `tokenizer.ggml.unknown_token_id`.
    public var unknownTokenID: TokenID?
    /// `tokenizer.ggml.padding_token_id`.
    public var padTokenID: TokenID?
    /// `tokenizer.ggml.add_bos_token`.
    public var addsBOS: Bool?
    /// `tokenizer.ggml.add_eos_token`.
    public var addsEOS: Bool?
    /// `tokenizer.ggml.add_space_prefix`.
    public var addsSpacePrefix: Bool?
    /// `tokenizer.ggml.remove_extra_whitespaces`.
    public var removesExtraWhitespace: Bool?
    /// `tokenizer.ggml.precompiled_charsmap`.
    public var characterMap: [UInt8]?

    /// A vocabulary with the given tokens; everything else is absent until set.
    public init(model: String, tokens: Strings) {
        self.model = model
        self.tokens = tokens
    }
}
