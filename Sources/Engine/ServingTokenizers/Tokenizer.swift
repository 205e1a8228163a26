public import ServingTensors

/// What becomes of control tokens such as `<|im_end|>` that stand in a text.
public enum SpecialTokenHandling: Sendable {
    /// They are text like any other: for text of users.
    case asText
    /// They become the tokens they name: for rendered chat templates.
    case recognized
}

/// Text to tokens and back, exactly as the model's own tokenizer does it.
///
/// Made once per model and used from any thread; the chat template's output and user text go in, the scheduler takes
/// the ids, and ``StreamingDetokenizer`` turns sampled ids into text. Readers for GGUF metadata, tokenizer.json and
/// SentencePiece's tokenizer.model are in extensions.
public final class Tokenizer: Sendable {
    let vocabulary: Vocabulary
    private let model: TokenizerParts.Model
    private let normalizer: TextNormalizer
    private let preTokenizer: PreTokenizer
    private let decoder: TokenizerParts.TextDecoder
    /// Added tokens that are looked for in the text as it is, and in the normalized text.
    private let rawTokens: AddedTokens
    private let normalizedTokens: AddedTokens
    private let addedIDs: [[UInt8]: TokenID]
    private let specialIDs: Set<TokenID>
    /// Added tokens that decode to something else than they are written: their normalized form, as in the reference.
    private let decodedContents: [TokenID: [UInt8]]

    /// Begins a sequence, where the model has such a token.
    public let bosTokenID: TokenID?
    /// Ends a sequence.
    public let eosTokenID: TokenID?
    /// Stands for text that has no tokens.
    public let unknownTokenID: TokenID?
    /// Fills up batches.
    public let padTokenID: TokenID?
    /// All tokens after which a model's answer is complete: EOS, ends of turns and messages.
    public let endOfGenerationTokenIDs: Set<TokenID>
    /// Whether the model expects ``bosTokenID`` before a prompt.
    public let addsBOS: Bool
    /// Whether the model expects ``eosTokenID`` after a text.
    public let addsEOS: Bool

    init(_ parts: TokenizerParts) {
        vocabulary = parts.vocabulary
        model = parts.model
        normalizer = parts.normalizer
        preTokenizer = parts.preTokenizer
        decoder = parts.decoder
        rawTokens = AddedTokens(parts.addedTokens.filter { !$0.isNormalized })
        normalizedTokens = AddedTokens(
            parts.addedTokens.filter(\.isNormalized).map { token in
                var token = token
                token.content = parts.normalizer.apply(to: token.content)
                return token
            })
        addedIDs = Dictionary(parts.addedTokens.map { ($0.content, $0.id) }) { first, _ in first }
        var special = Set(parts.addedTokens.filter(\.isSpecial).map(\.id))
        for id in 0..<parts.vocabulary.count where parts.vocabulary.kinds[id] == .control { special.insert(Int32(id)) }
        // Unigram vocabularies may hold the text of a special token a second time; the reference skips by text.
        if case .unigram = parts.model {
            let contents = Set(parts.addedTokens.filter(\.isSpecial).map(\.content))
            for id in 0..<parts.vocabulary.count where contents.contains(Array(parts.vocabulary.entries[id])) {
                special.insert(Int32(id))
            }
        }
        specialIDs = special
        var decoded: [TokenID: [UInt8]] = [:]
        for token in parts.addedTokens where token.isNormalized {
            let content = parts.normalizer.apply(to: token.content)
            if content != token.content { decoded[token.id] = content }
        }
        decodedContents = decoded
        bosTokenID = parts.bosTokenID
        eosTokenID = parts.eosTokenID
        unknownTokenID = parts.unknownTokenID
        padTokenID = parts.padTokenID
        endOfGenerationTokenIDs = parts.endOfGenerationTokenIDs
        addsBOS = parts.addsBOS && parts.bosTokenID != nil
        addsEOS = parts.addsEOS && parts.eosTokenID != nil
    }

    /// One more than the greatest id.
    public var vocabularyCount: Int { vocabulary.count }

    /// The vocabulary's entry of an id, as the file writes it; nil for ids without one.
    public func text(of id: TokenID) -> String? {
        vocabulary.contains(id) ? String(decoding: vocabulary.entries[Int(id)], as: UTF8.self) : nil
    }

    /// The id of an entry as the file writes it, compared byte by byte.
    public func tokenID(of text: String) -> TokenID? {
        let bytes = Array(text.utf8)
        if let id = addedIDs[bytes] { return id }
        let id = bytes.withUnsafeBufferPointer { vocabulary.token(ofEntry: $0) }
        return id >= 0 ? id : nil
    }

    /// Whether an id is a control token, which is left out of text where special tokens are skipped.
    public func isSpecial(_ id: TokenID) -> Bool { specialIDs.contains(id) }

    /// All control tokens, ascending.
    public var specialTokenIDs: [TokenID] { specialIDs.sorted() }

    /// The bytes that an id adds to a text amid other tokens: the byte of a byte token, spaces for `▁`. Nothing for ids
    /// out of the vocabulary.
    public func bytes(of id: TokenID) -> [UInt8] {
        guard vocabulary.contains(id) else { return [] }
        let entry = vocabulary.entries[Int(id)]
        if vocabulary.isByteLevel { return vocabulary.withSurface(Int(id)) { Array($0) } }
        if vocabulary.kinds[Int(id)] == .byte || hasByteFallback, let byte = Decoder.byte(of: entry) { return [byte] }
        if isSpecial(id) { return Array(entry) }
        return TextReplacement(target: .literal(SentencePieceDecoder.space), content: [0x20]).apply(to: Array(entry))
    }

    private var hasByteFallback: Bool {
        if case .steps(let decoder) = decoder {
            return decoder.steps.contains { if case .byteFallback = $0 { true } else { false } }
        }
        return false
    }

    // MARK: Encoding

    /// The tokens of a text.
    ///
    /// - Parameters:
    ///   - text: any text, also empty.
    ///   - specialTokens: whether control tokens in the text are recognised.
    ///   - addingBOS: puts ``bosTokenID`` first, where there is one. Pass ``addsBOS`` for what the model expects.
    ///   - addingEOS: puts ``eosTokenID`` last, where there is one.
    public func encode(
        _ text: String, specialTokens: SpecialTokenHandling = .asText, addingBOS: Bool = false, addingEOS: Bool = false
    ) -> [TokenID] {
        var text = text
        return text.withUTF8 { utf8 in
            encode(wellFormed: utf8, specialTokens, addingBOS, addingEOS)
        }
    }

    /// The tokens of UTF-8 text; ill-formed bytes count as U+FFFD.
    public func encode(
        utf8 bytes: UnsafeBufferPointer<UInt8>, specialTokens: SpecialTokenHandling = .asText, addingBOS: Bool = false,
        addingEOS: Bool = false
    ) -> [TokenID] {
        encode(
            String(decoding: bytes, as: UTF8.self), specialTokens: specialTokens, addingBOS: addingBOS,
            addingEOS: addingEOS)
    }

    private func encode(
        wellFormed text: UTF8Text, _ specialTokens: SpecialTokenHandling, _ addingBOS: Bool, _ addingEOS: Bool
    ) -> [TokenID] {
        var session = EncodingSession(textByteCount: text.count)
        if addingBOS, let bosTokenID { session.output.append(bosTokenID) }
        let recognizing = specialTokens == .recognized
        for segment in rawTokens.split(text, recognizingSpecial: recognizing) {
            guard segment.token < 0 else {
                session.output.append(segment.token)
                continue
            }
            let normalized = normalizer.apply(to: Array(text[segment.range.start..<segment.range.end]))
            normalized.withUnsafeBufferPointer { normalized in
                for part in normalizedTokens.split(normalized, recognizingSpecial: recognizing) {
                    guard part.token < 0 else {
                        session.output.append(part.token)
                        continue
                    }
                    let isAtStart = segment.range.start == 0 && part.range.start == 0
                    encode(Array(normalized[part.range.start..<part.range.end]), isAtStart, &session)
                }
            }
        }
        if addingEOS, let eosTokenID { session.output.append(eosTokenID) }
        return session.output
    }

    /// Encodes normalized text without added tokens.
    private func encode(_ text: [UInt8], _ isAtStart: Bool, _ session: inout EncodingSession) {
        guard !text.isEmpty else { return }
        var words = PreTokenizer.Words(
            text: text, ranges: [TextRange(start: 0, end: text.count)], startsText: isAtStart)
        preTokenizer.apply(to: &words)
        words.text.withUnsafeBufferPointer { text in
            switch model {
            case .bytePair(let model, let boundary):
                var ranges = words.ranges
                if let boundary {
                    ranges = []
                    for range in words.ranges { boundary.split(text, range, to: &ranges) }
                }
                for range in ranges {
                    session.encode(text.slice(range.start, range.end)) { word, merger, output in
                        model.encode(word, vocabulary, merger: &merger, into: &output)
                    }
                }
            case .scoredPairs(let model):
                let start = session.output.count
                var ranges: [TextRange] = []
                for range in words.ranges { model.boundary.split(text, range, to: &ranges) }
                for range in ranges {
                    session.encode(text.slice(range.start, range.end)) { word, merger, output in
                        model.encode(word, vocabulary, merger: &merger, into: &output)
                    }
                }
                if let fused = model.fusedToken { session.fuse(fused, from: start) }
            case .unigram(let model):
                for range in words.ranges {
                    let start = session.output.count
                    session.encode(text.slice(range.start, range.end)) { word, _, output in
                        model.encode(word, vocabulary, into: &output)
                    }
                    if let fused = model.fusedToken { session.fuse(fused, from: start) }
                }
            }
        }
    }

    // MARK: Decoding

    /// The text of tokens. Ill-formed UTF-8 becomes U+FFFD as in the reference; ids out of the vocabulary are skipped.
    public func decode(_ ids: some Sequence<TokenID>, skippingSpecialTokens: Bool) -> String {
        var state = makeDecodingState()
        var output: [UInt8] = []
        for id in ids { decode(id, skippingSpecialTokens, &state, &output) }
        state.finish(to: &output)
        return String(decoding: output, as: UTF8.self)
    }

    func makeDecodingState() -> DecodingState {
        switch decoder {
        case .steps(let decoder): DecodingState(steps: DecoderState(decoder))
        case .sentencePiece(let decoder): DecodingState(sentencePiece: decoder)
        }
    }

    func decode(_ id: TokenID, _ skipsSpecial: Bool, _ state: inout DecodingState, _ output: inout [UInt8]) {
        guard vocabulary.contains(id), !(skipsSpecial && isSpecial(id)) else { return }
        if state.sentencePiece != nil {
            state.sentencePiece?.append(vocabulary.entries[Int(id)], vocabulary.kinds[Int(id)], to: &output)
        } else {
            let piece = decodedContents.isEmpty ? nil : decodedContents[id]
            state.steps?.append(piece ?? vocabulary.withSurface(Int(id)) { Array($0) }, to: &output)
        }
    }
}

/// Buffers of one call of `encode`.
struct EncodingSession {
    var output: [TokenID] = []
    private var merger = PairMerger()
    private var cache: WordCache

    init(textByteCount: Int) {
        cache = WordCache(textByteCount: textByteCount)
        output.reserveCapacity(textByteCount / 4 + 8)
    }

    /// Appends the tokens of a word, from memory or from the model.
    @inline(__always)
    mutating func encode(_ word: UTF8Text, _ body: (UTF8Text, inout PairMerger, inout [TokenID]) -> Void) {
        guard let hash = cache.appendTokens(of: word, to: &output) else { return }
        let start = output.count
        body(word, &merger, &output)
        cache.keep(hash, word: word, tokens: output, from: start)
    }

    /// Makes runs of a token one token.
    mutating func fuse(_ token: TokenID, from start: Int) {
        var last: TokenID?
        var kept = start
        for position in start..<output.count {
            let next = output[position]
            if next == token, last == token { continue }
            output[kept] = next
            kept += 1
            last = next
        }
        output.removeLast(output.count - kept)
    }
}
