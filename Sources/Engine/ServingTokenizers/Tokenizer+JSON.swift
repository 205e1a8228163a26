public import ServingJSON
import ServingTensors

extension Tokenizer {
    /// Reads a Hugging Face tokenizer.json.
    ///
    /// - Parameters:
    ///   - json: the file's bytes.
    ///   - config: tokenizer_config.json, if there is one: names of BOS, EOS and others, and whether they are added.
    public convenience init(tokenizerJSON json: UnsafeRawBufferPointer, config: JSONValue? = nil) throws(TokenizerError)
    {
        let document: JSONValue
        do throws(JSONParseError) {
            document = try JSONValue(parsing: json)
        } catch {
            throw .invalidJSON(reason: error.description)
        }
        var reader = TokenizerJSONReader(document: document, config: config)
        self.init(try reader.parts())
    }

    /// Reads a Hugging Face tokenizer.json.
    public convenience init(tokenizerJSON json: [UInt8], config: JSONValue? = nil) throws(TokenizerError) {
        let result = json.withUnsafeBytes { bytes in
            Result { () throws(TokenizerError) in
                let document: JSONValue
                do throws(JSONParseError) {
                    document = try JSONValue(parsing: bytes)
                } catch {
                    throw .invalidJSON(reason: error.description)
                }
                var reader = TokenizerJSONReader(document: document, config: config)
                return try reader.parts()
            }
        }
        self.init(try result.get())
    }
}

/// Reads the parts of a tokenizer.json; the order of members does not matter.
struct TokenizerJSONReader {
    let document: JSONValue
    let config: JSONValue?
    private var entries = ByteStrings()
    private var kinds: [Vocabulary.Kind] = []

    init(document: JSONValue, config: JSONValue?) {
        self.document = document
        self.config = config
    }

    static func invalid(_ field: String, _ expected: String, _ value: JSONValue?) -> TokenizerError {
        var found = value?.text() ?? "nothing"
        if found.utf8.count > 80 { found = String(found.prefix(60)) + "..." }
        return .invalidField(field: field, expected: expected, found: found)
    }

    mutating func parts() throws(TokenizerError) -> TokenizerParts {
        guard document.objectValue != nil else { throw Self.invalid("tokenizer.json", "an object", document) }
        guard let model = document["model"], model.objectValue != nil else {
            throw Self.invalid("model", "an object", document["model"])
        }
        let kind = model["type"]?.stringValue ?? (model["merges"] != nil ? "BPE" : "Unigram")
        let added = try addedTokens()
        let pipeline = try TokenizerPipelineReader(document: document)
        var scores: [Double] = []
        switch kind {
        case "BPE": try readVocabulary(model, added)
        case "Unigram": scores = try readScoredVocabulary(model, added)
        default: throw .unsupported(field: "model.type", kind: kind)
        }
        let vocabulary = makeVocabulary(
            isByteLevel: kind == "BPE" && pipeline.isByteLevel, modelCount: modelIDs, added: added)
        let decoder = TokenizerParts.TextDecoder.steps(pipeline.decoder)
        var parts: TokenizerParts
        if kind == "BPE" {
            parts = TokenizerParts(
                vocabulary: vocabulary, model: try bytePair(model, vocabulary), decoder: decoder)
        } else {
            parts = TokenizerParts(
                vocabulary: vocabulary, model: .unigram(try unigram(model, scores, vocabulary)), decoder: decoder)
        }
        parts.addedTokens = added
        parts.preTokenizer = pipeline.preTokenizer
        if !pipeline.normalizer.steps.isEmpty { parts.normalizer = .steps(pipeline.normalizer) }
        let roles = TokenizerRolesReader(document: document, config: config, added: added, vocabulary: vocabulary)
        roles.apply(to: &parts, unknown: try unknownToken(model, vocabulary))
        return parts
    }

    // MARK: Added tokens

    private func addedTokens() throws(TokenizerError) -> [AddedToken] {
        guard let value = document["added_tokens"], !value.isNull else { return [] }
        guard let elements = value.arrayValue else { throw Self.invalid("added_tokens", "an array", value) }
        var tokens: [AddedToken] = []
        var seen: Set<[UInt8]> = []
        for (position, element) in elements.enumerated() {
            let field = "added_tokens[\(position)]"
            guard let content = element["content"]?.stringValue else {
                throw Self.invalid("\(field).content", "a string", element["content"])
            }
            let id = try Self.id(element["id"], "\(field).id")
            guard seen.insert(Array(content.utf8)).inserted else { continue }
            var token = AddedToken(content: Array(content.utf8), id: id)
            token.isSpecial = element["special"]?.boolValue ?? false
            token.stripsLeft = element["lstrip"]?.boolValue ?? false
            token.stripsRight = element["rstrip"]?.boolValue ?? false
            token.isSingleWord = element["single_word"]?.boolValue ?? false
            token.isNormalized = element["normalized"]?.boolValue ?? !token.isSpecial
            tokens.append(token)
        }
        return tokens
    }

    static func id(_ value: JSONValue?, _ field: String) throws(TokenizerError) -> TokenID {
        guard let id = value?.intValue else { throw invalid(field, "a token id", value) }
        guard id >= 0, id < Vocabulary.countLimit else {
            throw .tokenIDOutOfRange(field: field, id: id, limit: Vocabulary.countLimit)
        }
        return TokenID(id)
    }

    // MARK: Vocabulary

    /// Which ids the model itself has; the rest are added tokens only.
    private var modelIDs: [Bool] = []

    private mutating func readVocabulary(_ model: JSONValue, _ added: [AddedToken]) throws(TokenizerError) {
        guard let members = model["vocab"]?.objectValue else {
            throw Self.invalid("model.vocab", "an object of token ids", model["vocab"])
        }
        var greatest = -1
        var byteCount = 0
        for (position, value) in members.values.enumerated() {
            let id: Int
            if case .integer(let number) = value, number >= 0, number < Vocabulary.countLimit {
                id = Int(number)
            } else {
                id = Int(try Self.id(value, "model.vocab.\(members.keys[position].prefix(40))"))
            }
            greatest = max(greatest, id)
            byteCount += members.keys[position].utf8.count
        }
        for token in added { greatest = max(greatest, Int(token.id)) }
        // Position of each id's key; added tokens follow the keys.
        var positions = [Int32](repeating: -1, count: greatest + 1)
        for (position, value) in members.values.enumerated() { positions[value.intValue ?? 0] = Int32(position) }
        modelIDs = positions.map { $0 >= 0 }
        for (position, token) in added.enumerated() where positions[Int(token.id)] < 0 {
            positions[Int(token.id)] = Int32(members.count + position)
        }
        entries = ByteStrings(reservingBytes: byteCount, strings: greatest + 1)
        for position in positions {
            if position < 0 {
                entries.append(EmptyCollection<UInt8>())
            } else if Int(position) < members.count {
                entries.append(members.keys[Int(position)].utf8)
            } else {
                entries.append(added[Int(position) - members.count].content)
            }
        }
    }

    private mutating func readScoredVocabulary(
        _ model: JSONValue, _ added: [AddedToken]
    ) throws(TokenizerError) -> [Double] {
        guard let elements = model["vocab"]?.arrayValue, elements.count < Vocabulary.countLimit else {
            throw Self.invalid("model.vocab", "an array of tokens and scores", model["vocab"])
        }
        var scores: [Double] = []
        for (position, element) in elements.enumerated() {
            guard let text = element[0]?.stringValue, let score = element[1]?.doubleValue else {
                throw Self.invalid("model.vocab[\(position)]", "a token and its score", element)
            }
            entries.append(text.utf8)
            scores.append(score)
        }
        modelIDs = Array(repeating: true, count: elements.count)
        for token in added.sorted(by: { $0.id < $1.id }) where Int(token.id) >= entries.count {
            while entries.count < Int(token.id) { entries.append(EmptyCollection<UInt8>()) }
            entries.append(token.content)
        }
        return scores + Array(repeating: 0, count: entries.count - scores.count)
    }

    private func makeVocabulary(isByteLevel: Bool, modelCount: [Bool], added: [AddedToken]) -> Vocabulary {
        var kinds = Array(repeating: Vocabulary.Kind.normal, count: entries.count)
        for token in added where token.isSpecial { kinds[Int(token.id)] = .control }
        return Vocabulary(entries: entries, kinds: kinds, isByteLevel: isByteLevel) { id in
            id < modelCount.count && modelCount[id]
        }
    }

    private func unknownToken(_ model: JSONValue, _ vocabulary: Vocabulary) throws(TokenizerError) -> TokenID? {
        if let name = model["unk_token"]?.stringValue {
            let token = Array(name.utf8).withUnsafeBufferPointer { vocabulary.token(ofEntry: $0) }
            // The reference fails when it first needs the token; other tokenizers only carry the name.
            return token >= 0 ? token : nil
        }
        guard let value = model["unk_id"], !value.isNull else { return nil }
        let id = try Self.id(value, "model.unk_id")
        guard Int(id) < vocabulary.count else {
            throw .tokenIDOutOfRange(field: "model.unk_id", id: Int(id), limit: vocabulary.count)
        }
        return id
    }

    // MARK: Models

    private func bytePair(_ model: JSONValue, _ vocabulary: Vocabulary) throws(TokenizerError) -> TokenizerParts.Model {
        var options = BytePairModel.Options()
        options.ignoresMerges = model["ignore_merges"]?.boolValue ?? false
        options.fallsBackToBytes = model["byte_fallback"]?.boolValue ?? false
        options.fusesUnknown = model["fuse_unk"]?.boolValue ?? false
        options.unknownToken = try unknownToken(model, vocabulary)
        options.continuingSubwordPrefix = Array((model["continuing_subword_prefix"]?.stringValue ?? "").utf8)
        options.endOfWordSuffix = Array((model["end_of_word_suffix"]?.stringValue ?? "").utf8)
        let merges = try mergeTable(model["merges"], vocabulary, options)
        let pairs = BytePairModel(vocabulary: vocabulary, merges: merges, options: options)
        let marker = SentencePieceDecoder.space.withUnsafeBufferPointer { vocabulary.token(of: $0) }
        let canCut =
            !vocabulary.isByteLevel && marker >= 0 && !options.ignoresMerges
            && options.continuingSubwordPrefix.isEmpty && options.endOfWordSuffix.isEmpty
        return .bytePair(pairs, boundary: canCut ? SpaceBoundary(vocabulary: vocabulary) : nil)
    }

    private func mergeTable(
        _ value: JSONValue?, _ vocabulary: Vocabulary, _ options: BytePairModel.Options
    ) throws(TokenizerError) -> MergeTable {
        guard case .array(let elements)? = value else { throw Self.invalid("model.merges", "an array", value) }
        var merges = MergeTable(capacity: elements.count)
        var (left, right): ([UInt8], [UInt8]) = ([], [])
        for (rank, element) in elements.enumerated() {
            let sides = try Self.sides(element, rank)
            let tokens = vocabulary.merge(
                sides.0, sides.1, droppingPrefix: options.continuingSubwordPrefix.count, &left, &right)
            guard tokens.left >= 0, tokens.right >= 0, tokens.merged >= 0 else {
                let missing = tokens.left < 0 ? sides.0 : tokens.right < 0 ? sides.1 : sides.0 + sides.1
                throw .unknownTokenInMerge(index: rank, token: String(decoding: missing.prefix(80), as: UTF8.self))
            }
            merges.insert(Int(tokens.left), Int(tokens.right), rank: rank, token: Int(tokens.merged))
        }
        return merges
    }

    /// A merge is "a b" or ["a", "b"].
    private static func sides(
        _ element: JSONValue, _ rank: Int
    ) throws(TokenizerError) -> (ArraySlice<UInt8>, ArraySlice<UInt8>) {
        switch element {
        case .string(let text):
            let bytes = Array(text.utf8)
            if let space = bytes.firstIndex(of: 0x20), !bytes[(space + 1)...].contains(0x20) {
                return (bytes[..<space], bytes[(space + 1)...])
            }
        case .array(let sides) where sides.count == 2:
            if case .string(let left) = sides[0], case .string(let right) = sides[1] {
                return (Array(left.utf8)[...], Array(right.utf8)[...])
            }
        default: break
        }
        throw invalid("model.merges[\(rank)]", "two tokens", element)
    }

    private func unigram(
        _ model: JSONValue, _ scores: [Double], _ vocabulary: Vocabulary
    ) throws(TokenizerError) -> UnigramModel {
        let fallback = model["byte_fallback"]?.boolValue ?? false
        return UnigramModel(
            vocabulary: vocabulary, scores: scores, unknownToken: try unknownToken(model, vocabulary) ?? -1,
            fallbackTokens: fallback ? BytePairModel.fallbackTokens(vocabulary) : [], isSentencePiece: false)
    }
}
