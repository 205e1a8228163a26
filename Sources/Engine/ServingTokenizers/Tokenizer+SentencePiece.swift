public import ServingJSON
import ServingTensors

extension Tokenizer {
    /// Reads a SentencePiece tokenizer.model.
    ///
    /// - Parameters:
    ///   - bytes: the file, a serialized `ModelProto` (google/sentencepiece, src/sentencepiece_model.proto).
    ///   - config: tokenizer_config.json, if there is one. With it, control pieces in a text are tokens where they are
    ///     to be recognised, as the Hugging Face wrappers have it; SentencePiece itself never makes them from text.
    public convenience init(sentencePiece bytes: [UInt8], config: JSONValue? = nil) throws(TokenizerError) {
        let result = bytes.withUnsafeBufferPointer { bytes in
            Result { () throws(TokenizerError) in
                var reader = SentencePieceReader(bytes)
                return try reader.parts(config: config)
            }
        }
        self.init(try result.get())
    }
}

private struct SentencePieceReader {
    private let bytes: UTF8Text
    private var entries = ByteStrings()
    private var scores: [Float] = []
    private var kinds: [Vocabulary.Kind] = []
    private var isUnigram = true
    private var fallsBackToBytes = false
    private var treatsSpaceAsSuffix = false
    private var unknownSurface = Array(" ⁇ ".utf8)
    private var bosEntry = Array("<s>".utf8)
    private var eosEntry = Array("</s>".utf8)
    private var padEntry = Array("<pad>".utf8)
    private var normalizer = SentencePieceNormalizer()

    init(_ bytes: UTF8Text) { self.bytes = bytes }

    mutating func parts(config: JSONValue?) throws(TokenizerError) -> TokenizerParts {
        try readModel()
        guard entries.count > 0 else {
            throw .malformedModel(offset: 0, expected: "a SentencePiece model with pieces", found: "none")
        }
        let entries = entries
        let kinds = kinds
        let vocabulary = Vocabulary(entries: entries, kinds: kinds, isByteLevel: false) { id in
            kinds[id] == .normal || kinds[id] == .userDefined || kinds[id] == .unused
        }
        let userDefined = AddedTokens(
            kinds.indices.filter { kinds[$0] == .userDefined }.map {
                AddedToken(content: Array(entries[$0]), id: Int32($0))
            })
        normalizer.userDefined = userDefined
        let unknown = kinds.firstIndex(of: .unknown).map { TokenID($0) } ?? -1
        let model: TokenizerParts.Model =
            isUnigram
            ? .unigram(
                UnigramModel(
                    vocabulary: vocabulary, scores: scores.map { Double($0) }, unknownToken: unknown,
                    fallbackTokens: fallsBackToBytes ? ScoredPairModel.byteTokens(vocabulary) : [],
                    isSentencePiece: true))
            : .scoredPairs(
                ScoredPairModel(
                    vocabulary: vocabulary, scores: scores, userDefined: userDefined,
                    fallsBackToBytes: fallsBackToBytes, unknownToken: unknown))
        let decoder = SentencePieceDecoder(
            dropsFirstSpace: normalizer.addsDummyPrefix, dropsAllFirstSpaces: normalizer.removesExtraWhitespace,
            unknownSurface: unknownSurface)
        var parts = TokenizerParts(vocabulary: vocabulary, model: model, decoder: .sentencePiece(decoder))
        parts.normalizer = .sentencePiece(normalizer)
        parts.unknownTokenID = unknown >= 0 ? unknown : nil
        addRoles(config, to: &parts)
        return parts
    }

    private func addRoles(_ config: JSONValue?, to parts: inout TokenizerParts) {
        var controls: [[UInt8]: TokenID] = [:]
        for id in kinds.indices where kinds[id] == .control { controls[Array(entries[id])] = TokenID(id) }
        func configured(_ key: String) -> TokenID? {
            guard let value = config?[key], let name = value.stringValue ?? value["content"]?.stringValue else {
                return nil
            }
            return controls[Array(name.utf8)]
        }
        parts.addedTokens =
            config == nil
            ? []
            : controls.map { AddedToken(content: $0.key, id: $0.value, isSpecial: true) }
                .sorted { $0.id < $1.id }
        parts.bosTokenID = configured("bos_token") ?? controls[bosEntry]
        parts.eosTokenID = configured("eos_token") ?? controls[eosEntry]
        parts.padTokenID = configured("pad_token") ?? controls[padEntry]
        parts.addsBOS = config?["add_bos_token"]?.boolValue ?? !isUnigram
        parts.addsEOS = config?["add_eos_token"]?.boolValue ?? isUnigram
        parts.endOfGenerationTokenIDs = TokenRoles.endOfGenerationTokens(
            { _ in true }, { controls[Array($0.utf8)] }, known: [parts.eosTokenID])
    }

    // MARK: Messages

    private mutating func readModel() throws(TokenizerError) {
        var reader = ProtobufReader(bytes, 0..<bytes.count)
        while let (field, value) = try reader.next() {
            guard case .bytes(let range) = value else { continue }
            switch field {
            case 1: try readPiece(range)
            case 2: try readTrainer(range)
            case 3: try readNormalizer(range)
            default: break
            }
        }
    }

    private mutating func readPiece(_ range: Range<Int>) throws(TokenizerError) {
        var reader = ProtobufReader(bytes, range)
        var text = 0..<0
        var score: Float = 0
        var kind = Vocabulary.Kind.normal
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (1, .bytes(let piece)): text = piece
            case (2, .fixed32(let bits)): score = Float(bitPattern: bits)
            case (3, .varint(let number)):
                guard let known = UInt8(exactly: number).flatMap(Vocabulary.Kind.init) else {
                    throw .malformedModel(offset: range.lowerBound, expected: "a piece type 1...6", found: "\(number)")
                }
                kind = known
            default: break
            }
        }
        guard entries.count < Vocabulary.countLimit else {
            throw .tokenIDOutOfRange(field: "pieces", id: entries.count, limit: Vocabulary.countLimit)
        }
        guard UTF8Repair.isWellFormed(Array(bytes[text])) else {
            throw .malformedModel(offset: text.lowerBound, expected: "a piece in UTF-8", found: "other bytes")
        }
        entries.append(bytes[text])
        scores.append(score)
        kinds.append(kind)
    }

    private mutating func readTrainer(_ range: Range<Int>) throws(TokenizerError) {
        var reader = ProtobufReader(bytes, range)
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (3, .varint(let kind)):
                guard kind == 1 || kind == 2 else {
                    throw .unsupported(field: "trainer_spec.model_type", kind: kind == 3 ? "word" : "char (\(kind))")
                }
                isUnigram = kind == 1
            case (24, .varint(let flag)): treatsSpaceAsSuffix = flag != 0
            case (35, .varint(let flag)): fallsBackToBytes = flag != 0
            case (44, .bytes(let text)): unknownSurface = Array(bytes[text])
            case (46, .bytes(let text)): bosEntry = Array(bytes[text])
            case (47, .bytes(let text)): eosEntry = Array(bytes[text])
            case (48, .bytes(let text)): padEntry = Array(bytes[text])
            default: break
            }
        }
        if treatsSpaceAsSuffix {
            throw .unsupported(field: "trainer_spec.treat_whitespace_as_suffix", kind: "true")
        }
    }

    private mutating func readNormalizer(_ range: Range<Int>) throws(TokenizerError) {
        var reader = ProtobufReader(bytes, range)
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (2, .bytes(let blob)):
                if !blob.isEmpty { normalizer.characterMap = try CharacterMap(bytes[blob]) }
            case (3, .varint(let flag)): normalizer.addsDummyPrefix = flag != 0
            case (4, .varint(let flag)): normalizer.removesExtraWhitespace = flag != 0
            case (5, .varint(let flag)): normalizer.escapesWhitespace = flag != 0
            default: break
            }
        }
    }
}
