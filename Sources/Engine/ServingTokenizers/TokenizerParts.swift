import ServingTensors

/// What the readers of the file formats make; a ``Tokenizer`` is built of it.
struct TokenizerParts: Sendable {
    enum Model: Sendable {
        case bytePair(BytePairModel, boundary: SpaceBoundary?)
        case scoredPairs(ScoredPairModel)
        case unigram(UnigramModel)
    }

    enum TextDecoder: Sendable {
        case steps(Decoder)
        case sentencePiece(SentencePieceDecoder)
    }

    var vocabulary: Vocabulary
    var model: Model
    var addedTokens: [AddedToken] = []
    var normalizer: TextNormalizer = .none
    var preTokenizer = PreTokenizer(steps: [])
    var decoder: TextDecoder
    var bosTokenID: TokenID?
    var eosTokenID: TokenID?
    var unknownTokenID: TokenID?
    var padTokenID: TokenID?
    var endOfGenerationTokenIDs: Set<TokenID> = []
    var addsBOS = false
    var addsEOS = false
}

/// The normalization of one of the formats.
enum TextNormalizer: Sendable {
    case none
    case steps(Normalizer)
    case sentencePiece(SentencePieceNormalizer)

    func apply(to text: [UInt8]) -> [UInt8] {
        switch self {
        case .none: text
        case .steps(let normalizer): normalizer.apply(to: text)
        case .sentencePiece(let normalizer): normalizer.apply(to: text)
        }
    }
}
