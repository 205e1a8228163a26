import ServingTensors

/// SentencePiece's byte-pair encoding: of all adjacent pairs that form an entry, the one of highest score merges first.
///
/// Reference: `bpe_model.cc` of google/sentencepiece. User-defined entries are found first and never merge; a merge
/// into an unused entry is undone at the end.
struct ScoredPairModel: Sendable {
    /// By token: entries of higher score have lower ranks, equal scores equal ranks.
    private let ranks: [UInt32]
    private let kinds: [Vocabulary.Kind]
    /// Entries that are taken whole.
    private let userDefined: AddedTokens
    private let hasUnused: Bool
    private let fallbackTokens: [Int32]
    private let unknownToken: Int32
    let boundary: SpaceBoundary

    init(
        vocabulary: borrowing Vocabulary, scores: [Float], userDefined: AddedTokens, fallsBackToBytes: Bool,
        unknownToken: Int32
    ) {
        ranks = Self.ranks(scores)
        kinds = vocabulary.kinds
        self.userDefined = userDefined
        hasUnused = vocabulary.kinds.contains(.unused)
        fallbackTokens = fallsBackToBytes ? Self.byteTokens(vocabulary) : []
        self.unknownToken = unknownToken
        boundary = SpaceBoundary(vocabulary: vocabulary)
    }

    private static func ranks(_ scores: [Float]) -> [UInt32] {
        let keys = scores.map { $0.isNaN ? -Float.infinity : $0 }
        let order = keys.indices.sorted { keys[$0] > keys[$1] }
        var ranks = [UInt32](repeating: 0, count: keys.count)
        var rank: UInt32 = 0
        for (position, token) in order.enumerated() {
            if position > 0, keys[token] != keys[order[position - 1]] { rank += 1 }
            ranks[token] = rank
        }
        return ranks
    }

    /// Tokens of single bytes; entries of the kind, found by what they look like. Empty where one is missing.
    static func byteTokens(_ vocabulary: borrowing Vocabulary) -> [Int32] {
        var tokens = [Int32](repeating: -1, count: 256)
        for id in 0..<vocabulary.count where vocabulary.kinds[id] == .byte {
            if let byte = Decoder.byte(of: vocabulary.entries[id]) { tokens[Int(byte)] = Int32(id) }
        }
        return tokens.contains(-1) ? [] : tokens
    }

    private struct Rule: MergeRule {
        let text: UTF8Text
        let vocabulary: Vocabulary
        let ranks: [UInt32]

        @inline(__always)
        func merge(_ left: MergeSymbol, _ right: MergeSymbol) -> UInt64 {
            guard !left.isFrozen, !right.isFrozen else { return MergeTable.none }
            let start = Int(left.start)
            let end = start + Int(left.length) + Int(right.length)
            guard end - start <= vocabulary.index.longest else { return MergeTable.none }
            let token = vocabulary.token(of: text.slice(start, end))
            return token < 0 ? MergeTable.none : UInt64(ranks[Int(token)]) << 32 | UInt64(token)
        }
    }

    /// Appends the tokens of one stretch.
    func encode(
        _ word: UTF8Text, _ vocabulary: Vocabulary, merger: inout PairMerger, into output: inout [TokenID]
    ) {
        merger.clear()
        var offset = 0
        while offset < word.count {
            if !userDefined.isEmpty, let (_, end) = userDefined.longestMatch(word, offset) {
                let token = vocabulary.token(of: word.slice(offset, end))
                merger.append(token: token, start: offset, length: end - offset, isFrozen: true)
                offset = end
            } else {
                let length = word.scalar(at: offset).length
                let token = vocabulary.token(of: word.slice(offset, offset + length))
                merger.append(token: token, start: offset, length: length)
                offset += length
            }
        }
        merger.merge(Rule(text: word, vocabulary: vocabulary, ranks: ranks))
        for symbol in merger.symbols {
            append(
                symbol.token, word.slice(Int(symbol.start), Int(symbol.start + symbol.length)), vocabulary, to: &output)
        }
    }

    private func append(_ token: Int32, _ text: UTF8Text, _ vocabulary: Vocabulary, to output: inout [TokenID]) {
        if token < 0 {
            appendUnknown(text, to: &output)
        } else if hasUnused, kinds[Int(token)] == .unused, let cut = cut(token, text, vocabulary) {
            for part in [text.slice(0, cut), text.slice(cut, text.count)] {
                append(vocabulary.token(of: part), part, vocabulary, to: &output)
            }
        } else {
            output.append(token)
        }
    }

    /// Where an unused entry was merged: at the pair whose later merge has the best score.
    private func cut(_ token: Int32, _ text: UTF8Text, _ vocabulary: Vocabulary) -> Int? {
        var best: (cut: Int, rank: UInt32)?
        var offset = text.scalar(at: 0).length
        while offset < text.count {
            let left = vocabulary.token(of: text.slice(0, offset))
            let right = vocabulary.token(of: text.slice(offset, text.count))
            let isScalar = offset == text.scalar(at: 0).length
            if left >= 0 || isScalar, right >= 0 || offset + text.scalar(at: offset).length == text.count {
                let rank = max(left < 0 ? 0 : ranks[Int(left)], right < 0 ? 0 : ranks[Int(right)])
                if best.map({ rank < $0.rank }) ?? true { best = (offset, rank) }
            }
            offset += text.scalar(at: offset).length
        }
        return best?.cut
    }

    private func appendUnknown(_ text: UTF8Text, to output: inout [TokenID]) {
        if fallbackTokens.isEmpty {
            if unknownToken >= 0 { output.append(unknownToken) }
        } else {
            for byte in text { output.append(fallbackTokens[Int(byte)]) }
        }
    }

    /// Whether neighbouring unknown characters are one token: without byte tokens they are.
    var fusedToken: TokenID? { fallbackTokens.isEmpty && unknownToken >= 0 ? unknownToken : nil }
}
