import ServingTensors

extension Tokenizer {
    /// Reads the tokenizer of a GGUF file.
    public convenience init(gguf: GGUFVocabulary) throws(TokenizerError) {
        let reader = try GGUFVocabularyReader(gguf)
        self.init(try reader.parts())
    }
}

private struct GGUFVocabularyReader {
    let source: GGUFVocabulary
    let entries: ByteStrings
    let kinds: [Vocabulary.Kind]

    init(_ source: GGUFVocabulary) throws(TokenizerError) {
        self.source = source
        entries = try Self.strings(source.tokens, "tokenizer.ggml.tokens")
        guard entries.count > 0, entries.count <= Vocabulary.countLimit else {
            throw .invalidField(
                field: "tokenizer.ggml.tokens", expected: "1...\(Vocabulary.countLimit) tokens",
                found: "\(entries.count)")
        }
        if let types = source.tokenTypes {
            try Self.check(types.count, entries.count, "tokenizer.ggml.token_type")
            kinds = types.prefix(entries.count).map {
                UInt8(exactly: $0).flatMap(Vocabulary.Kind.init) ?? .undefined
            }
        } else {
            kinds = Array(repeating: .normal, count: entries.count)
        }
    }

    private static func check(_ found: Int, _ expected: Int, _ field: String) throws(TokenizerError) {
        guard found >= expected else {
            throw .invalidField(field: field, expected: "\(expected) elements", found: "\(found)")
        }
    }

    private static func strings(
        _ source: GGUFVocabulary.Strings, _ field: String
    ) throws(TokenizerError) -> ByteStrings {
        guard source.bytes.count <= Int(UInt32.max) else {
            throw .invalidField(field: field, expected: "less than 4 GiB", found: "\(source.bytes.count) bytes")
        }
        guard let strings = ByteStrings(bytes: source.bytes, ends: source.ends) else {
            throw .invalidField(field: field, expected: "ends in order within the bytes", found: "others")
        }
        return strings
    }

    func parts() throws(TokenizerError) -> TokenizerParts {
        switch source.model {
        case "gpt2": return finished(try bytePair())
        case "llama": return finished(try scoredPairs())
        case "t5": return finished(try unigram())
        default: throw .unsupported(field: "tokenizer.ggml.model", kind: source.model)
        }
    }

    private func valid(_ id: TokenID?) -> TokenID? { id.flatMap { $0 >= 0 && Int($0) < entries.count ? $0 : nil } }

    private func finished(_ parts: TokenizerParts) -> TokenizerParts {
        var parts = parts
        parts.bosTokenID = valid(source.bosTokenID)
        parts.eosTokenID = valid(source.eosTokenID)
        parts.padTokenID = valid(source.padTokenID)
        parts.unknownTokenID = valid(source.unknownTokenID) ?? parts.unknownTokenID
        parts.addsBOS = source.addsBOS ?? parts.addsBOS
        parts.addsEOS = source.addsEOS ?? parts.addsEOS
        let added = Dictionary(parts.addedTokens.map { ($0.content, $0) }) { first, _ in first }
        parts.endOfGenerationTokenIDs = TokenRoles.endOfGenerationTokens(
            { id in kinds[Int(id)] != .normal }, { added[Array($0.utf8)]?.id },
            known: [parts.eosTokenID, valid(source.eotTokenID), valid(source.eomTokenID)])
        return parts
    }

    /// Control and user-defined tokens, which are looked for in the text itself.
    private func addedTokens(_ wanted: Set<Vocabulary.Kind>) -> [AddedToken] {
        kinds.indices.filter { wanted.contains(kinds[$0]) && entries.byteCount($0) > 0 }.map { id in
            AddedToken(content: Array(entries[id]), id: Int32(id), isSpecial: kinds[id] != .userDefined)
        }
    }

    private func bytePair() throws(TokenizerError) -> TokenizerParts {
        let name = source.preTokenizer ?? "default"
        guard let description = GGUFPreTokenizers.named(name) else {
            throw .unsupported(field: "tokenizer.ggml.pre", kind: name)
        }
        guard let mergeStrings = source.merges else {
            throw .invalidField(field: "tokenizer.ggml.merges", expected: "an array of strings", found: "nothing")
        }
        let strings = try Self.strings(mergeStrings, "tokenizer.ggml.merges")
        let vocabulary = Vocabulary(
            entries: entries, kinds: kinds, isByteLevel: description.isByteLevel,
            isIndexed: { kinds[$0] != .control || !description.isByteLevel })
        var merges = MergeTable(capacity: strings.count)
        var left: [UInt8] = []
        var right: [UInt8] = []
        for rank in 0..<strings.count {
            let merge = strings[rank]
            guard let space = merge.dropFirst().firstIndex(of: 0x20) else {
                throw .invalidField(
                    field: "tokenizer.ggml.merges[\(rank)]", expected: "two tokens",
                    found: String(decoding: merge.prefix(80), as: UTF8.self))
            }
            let tokens = vocabulary.merge(merge[..<space], merge[(space + 1)...], &left, &right)
            guard tokens.left >= 0, tokens.right >= 0, tokens.merged >= 0 else {
                throw .unknownTokenInMerge(index: rank, token: String(decoding: merge.prefix(80), as: UTF8.self))
            }
            merges.insert(Int(tokens.left), Int(tokens.right), rank: rank, token: Int(tokens.merged))
        }
        var options = BytePairModel.Options()
        options.ignoresMerges = description.ignoresMerges
        var parts = TokenizerParts(
            vocabulary: vocabulary,
            model: .bytePair(
                BytePairModel(vocabulary: vocabulary, merges: merges, options: options), boundary: nil),
            decoder: .steps(Decoder(steps: [.byteLevel])))
        parts.addedTokens = addedTokens([.control, .userDefined, .unknown])
        parts.preTokenizer = try description.preTokenizer()
        if description.isComposed { parts.normalizer = .steps(Normalizer(steps: [.form(.nfc)])) }
        parts.addsBOS = description.addsBOS
        return parts
    }

    private func scores() throws(TokenizerError) -> [Float] {
        guard let scores = source.scores else {
            throw .invalidField(field: "tokenizer.ggml.scores", expected: "an array of numbers", found: "nothing")
        }
        try Self.check(scores.count, entries.count, "tokenizer.ggml.scores")
        return Array(scores.prefix(entries.count))
    }

    private var unknownToken: Int32 {
        valid(source.unknownTokenID) ?? kinds.firstIndex(of: .unknown).map { Int32($0) } ?? -1
    }

    private func decoder(dropsFirstSpace: Bool) -> TokenizerParts.TextDecoder {
        .sentencePiece(
            SentencePieceDecoder(
                dropsFirstSpace: dropsFirstSpace, dropsAllFirstSpaces: false, unknownSurface: Array(" ⁇ ".utf8)))
    }

    private func scoredPairs() throws(TokenizerError) -> TokenizerParts {
        let vocabulary = Vocabulary(entries: entries, kinds: kinds, isByteLevel: false) { id in
            kinds[id] == .normal || kinds[id] == .userDefined || kinds[id] == .unused || kinds[id] == .undefined
        }
        let model = ScoredPairModel(
            vocabulary: vocabulary, scores: try scores(), userDefined: AddedTokens([]), fallsBackToBytes: true,
            unknownToken: unknownToken)
        let addsPrefix = source.addsSpacePrefix ?? true
        var parts = TokenizerParts(
            vocabulary: vocabulary, model: .scoredPairs(model), decoder: decoder(dropsFirstSpace: addsPrefix))
        parts.addedTokens = addedTokens([.control, .userDefined, .unknown])
        parts.normalizer = .sentencePiece(
            SentencePieceNormalizer(
                addsDummyPrefix: addsPrefix, removesExtraWhitespace: source.removesExtraWhitespace ?? false))
        parts.unknownTokenID = unknownToken >= 0 ? unknownToken : nil
        parts.addsBOS = true
        return parts
    }

    private func unigram() throws(TokenizerError) -> TokenizerParts {
        let vocabulary = Vocabulary(entries: entries, kinds: kinds, isByteLevel: false) { id in
            kinds[id] == .normal || kinds[id] == .userDefined || kinds[id] == .unused || kinds[id] == .undefined
        }
        let model = UnigramModel(
            vocabulary: vocabulary, scores: try scores().map { Double($0) }, unknownToken: unknownToken,
            fallbackTokens: ScoredPairModel.byteTokens(vocabulary), isSentencePiece: true)
        let addsPrefix = source.addsSpacePrefix ?? true
        var normalizer = SentencePieceNormalizer(
            addsDummyPrefix: addsPrefix, removesExtraWhitespace: source.removesExtraWhitespace ?? true)
        if let map = source.characterMap, !map.isEmpty { normalizer.characterMap = try CharacterMap(map) }
        var parts = TokenizerParts(
            vocabulary: vocabulary, model: .unigram(model), decoder: decoder(dropsFirstSpace: addsPrefix))
        parts.addedTokens = addedTokens([.control, .userDefined])
        parts.normalizer = .sentencePiece(normalizer)
        parts.unknownTokenID = unknownToken >= 0 ? unknownToken : nil
        parts.addsEOS = true
        return parts
    }
}

extension Vocabulary {
    /// The tokens of a merge whose sides are written as in the file, and of what they merge to; -1 where missing.
    func merge(
        _ leftEntry: ArraySlice<UInt8>, _ rightEntry: ArraySlice<UInt8>, droppingPrefix prefixCount: Int = 0,
        _ left: inout [UInt8], _ right: inout [UInt8]
    ) -> (left: Int32, right: Int32, merged: Int32) {
        left.removeAll(keepingCapacity: true)
        right.removeAll(keepingCapacity: true)
        if isByteLevel {
            let isMapped = leftEntry.withUnsafeBufferPointer { ByteAlphabet.append(bytesOf: $0, to: &left) }
            guard isMapped, rightEntry.withUnsafeBufferPointer({ ByteAlphabet.append(bytesOf: $0, to: &right) }) else {
                return (-1, -1, -1)
            }
        } else {
            left.append(contentsOf: leftEntry)
            right.append(contentsOf: rightEntry)
        }
        let leftToken = left.withUnsafeBufferPointer { token(of: $0) }
        let rightToken = right.withUnsafeBufferPointer { token(of: $0) }
        left.append(contentsOf: right.dropFirst(prefixCount))
        return (leftToken, rightToken, left.withUnsafeBufferPointer { token(of: $0) })
    }
}
