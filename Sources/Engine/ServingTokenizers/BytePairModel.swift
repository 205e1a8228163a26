import ServingTensors

/// Byte-pair encoding as the Hugging Face tokenizers do it: characters become tokens, pairs merge by rank.
///
/// Reference: `BPE::merge_word` and `Word::merge_all` of huggingface/tokenizers. Its dropout is for training and
/// ignored.
struct BytePairModel: Sendable {
    struct Options: Sendable {
        /// A word that is itself an entry is that token, whatever the merges say (Llama 3).
        var ignoresMerges = false
        /// A character without a token becomes `<0x..>` tokens of its bytes.
        var fallsBackToBytes = false
        var unknownToken: Int32?
        /// Neighbouring unknown characters are one unknown token.
        var fusesUnknown = false
        var continuingSubwordPrefix: [UInt8] = []
        var endOfWordSuffix: [UInt8] = []
    }

    let merges: MergeTable
    let options: Options
    /// Token of each single byte: of the byte alphabet, else of ASCII characters; -1 where there is none.
    private let byteTokens: [Int32]
    /// `<0x00>`...`<0xFF>`, -1 where missing.
    private let fallbackTokens: [Int32]

    init(vocabulary: borrowing Vocabulary, merges: MergeTable, options: Options) {
        self.merges = merges
        self.options = options
        let byteCount = vocabulary.isByteLevel ? 256 : 128
        byteTokens = (0..<byteCount).map { byte in
            [UInt8(byte)].withUnsafeBufferPointer { vocabulary.token(of: $0) }
        }
        fallbackTokens = options.fallsBackToBytes ? Self.fallbackTokens(vocabulary) : []
    }

    static func fallbackTokens(_ vocabulary: borrowing Vocabulary) -> [Int32] {
        let digits = Array("0123456789ABCDEF".utf8)
        return (0..<256).map { byte in
            let entry = Array("<0x".utf8) + [digits[byte >> 4], digits[byte & 15]] + Array(">".utf8)
            return entry.withUnsafeBufferPointer { vocabulary.token(ofEntry: $0) }
        }
    }

    private struct Rule: MergeRule {
        let merges: MergeTable
        @inline(__always)
        func merge(_ left: MergeSymbol, _ right: MergeSymbol) -> UInt64 { merges.merge(left.token, right.token) }
    }

    /// Appends the tokens of one word.
    func encode(
        _ word: UTF8Text, _ vocabulary: borrowing Vocabulary, merger: inout PairMerger, into output: inout [TokenID]
    ) {
        if options.ignoresMerges {
            let token = vocabulary.token(of: word)
            if token >= 0 {
                output.append(token)
                return
            }
        }
        merger.clear()
        let isPlain = options.continuingSubwordPrefix.isEmpty && options.endOfWordSuffix.isEmpty
        if vocabulary.isByteLevel, isPlain, options.unknownToken == nil {
            for (offset, byte) in word.enumerated() where byteTokens[Int(byte)] >= 0 {
                merger.append(token: byteTokens[Int(byte)], start: offset, length: 1)
            }
        } else {
            appendCharacters(word, vocabulary, to: &merger)
        }
        merger.merge(Rule(merges: merges))
        for symbol in merger.symbols { output.append(symbol.token) }
    }

    /// The token of one character: of a byte in a byte-level vocabulary.
    private func token(_ word: UTF8Text, _ start: Int, _ end: Int, _ vocabulary: borrowing Vocabulary) -> Int32 {
        let takesPrefix = start > 0 && !options.continuingSubwordPrefix.isEmpty
        let takesSuffix = end == word.count && !options.endOfWordSuffix.isEmpty
        guard takesPrefix || takesSuffix else {
            return end - start == 1 && Int(word[start]) < byteTokens.count
                ? byteTokens[Int(word[start])] : vocabulary.token(of: word.slice(start, end))
        }
        let character =
            (takesPrefix ? options.continuingSubwordPrefix : []) + Array(word.slice(start, end))
            + (takesSuffix ? options.endOfWordSuffix : [])
        return character.withUnsafeBufferPointer { vocabulary.token(of: $0) }
    }

    /// The quirks are the reference's: an unknown character waits until the next known one, byte tokens overtake it.
    private func appendCharacters(
        _ word: UTF8Text, _ vocabulary: borrowing Vocabulary, to merger: inout PairMerger
    ) {
        var waiting: (token: Int32, length: Int)?
        var start = 0
        while start < word.count {
            let length = vocabulary.isByteLevel ? 1 : word.scalar(at: start).length
            let end = start + length
            let token = token(word, start, end, vocabulary)
            if token >= 0 {
                if let unknown = waiting { merger.append(token: unknown.token, start: 0, length: unknown.length) }
                waiting = nil
                merger.append(token: token, start: start, length: length)
            } else if options.fallsBackToBytes, appendBytes(word, start, end, to: &merger) {
                // Done.
            } else if let unknown = options.unknownToken {
                if let fused = waiting, options.fusesUnknown {
                    waiting = (fused.token, fused.length + length)
                } else {
                    if let previous = waiting {
                        merger.append(token: previous.token, start: 0, length: previous.length)
                    }
                    waiting = (unknown, length)
                }
            }
            start = end
        }
        if let unknown = waiting { merger.append(token: unknown.token, start: 0, length: unknown.length) }
    }

    private func appendBytes(_ word: UTF8Text, _ start: Int, _ end: Int, to merger: inout PairMerger) -> Bool {
        guard (start..<end).allSatisfy({ fallbackTokens[Int(word[$0])] >= 0 }) else { return false }
        for offset in start..<end { merger.append(token: fallbackTokens[Int(word[offset])], start: offset, length: 1) }
        return true
    }
}
