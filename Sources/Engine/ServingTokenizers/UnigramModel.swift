import ServingTensors

/// Unigram language model: the segmentation of highest total score (Viterbi).
///
/// References: `Model::EncodeOptimized` of google/sentencepiece (src/unigram_model.cc; scores summed in float32) and
/// `Unigram::encode_optimized` of huggingface/tokenizers (float64).
struct UnigramModel: Sendable {
    private let scores: [Double]
    private let kinds: [Vocabulary.Kind]
    /// Entries that segmentations are made of, in byte order.
    private let sorted: [Int32]
    /// Where entries that start with a byte begin in `sorted`; 257 bounds.
    private let firstBytes: [Int32]
    private let unknownToken: Int32
    private let unknownScore: Double
    private let bestScore: Double
    private let fallbackTokens: [Int32]
    /// Sums in float32, and user-defined entries preferred, as SentencePiece does.
    private let isSentencePiece: Bool

    /// Added to the lowest score for characters without an entry; both references' constant.
    private static let unknownPenalty = 10.0

    init(
        vocabulary: borrowing Vocabulary, scores: [Double], unknownToken: Int32, fallbackTokens: [Int32],
        isSentencePiece: Bool
    ) {
        self.scores = scores
        kinds = vocabulary.kinds
        self.unknownToken = unknownToken
        self.fallbackTokens = fallbackTokens.contains(-1) ? [] : fallbackTokens
        self.isSentencePiece = isSentencePiece
        var lowest = Double.infinity
        var best = -Double.infinity
        var ids: [Int32] = []
        for id in 0..<vocabulary.count {
            let kind = vocabulary.kinds[id]
            if isSentencePiece ? kind == .normal : true {
                lowest = min(lowest, scores[id])
                best = max(best, scores[id])
            }
            let isUsed = isSentencePiece ? kind == .normal || kind == .userDefined || kind == .unused : true
            if isUsed, vocabulary.entries.byteCount(id) > 0 { ids.append(Int32(id)) }
        }
        unknownScore = (lowest.isFinite ? lowest : 0) - Self.unknownPenalty
        bestScore = best.isFinite ? best : 0
        let entries = vocabulary.entries
        // Equal entries: the reference finds the last one.
        ids.sort { left, right in
            let (first, second) = (entries[Int(left)], entries[Int(right)])
            return first.lexicographicallyPrecedes(second) || first.elementsEqual(second) && left > right
        }
        var bounds = [Int32](repeating: 0, count: 257)
        for id in ids { bounds[Int(entries[Int(id)].first ?? 0) + 1] += 1 }
        for byte in 0..<256 { bounds[byte + 1] += bounds[byte] }
        sorted = ids
        firstBytes = bounds
    }

    private struct Node {
        var score = 0.0
        var start = -1
        var token: Int32 = -1
    }

    /// The token that stands for characters without an entry, runs of which are one.
    var fusedToken: TokenID? { fallbackTokens.isEmpty && unknownToken >= 0 ? unknownToken : nil }

    /// Appends the tokens of one stretch.
    func encode(_ text: UTF8Text, _ vocabulary: borrowing Vocabulary, into output: inout [TokenID]) {
        guard !text.isEmpty else { return }
        var nodes = [Node](repeating: Node(), count: text.count + 1)
        var start = 0
        while start < text.count {
            let base = nodes[start].score
            let length = text.scalar(at: start).length
            var hasSingle = false
            forEachEntry(text, start, vocabulary) { token, end in
                if isSentencePiece, kinds[Int(token)] == .unused { return }
                let score =
                    isSentencePiece && kinds[Int(token)] == .userDefined
                    ? Double(Float(end - start) * Float(bestScore)) - 0.1 : scores[Int(token)]
                relax(&nodes[end], base + score, start, token)
                if end - start == length { hasSingle = true }
            }
            if !hasSingle { relax(&nodes[start + length], base + unknownScore, start, -1) }
            start += length
        }
        appendPath(nodes, text, vocabulary, to: &output)
    }

    @inline(__always)
    private func relax(_ node: inout Node, _ score: Double, _ start: Int, _ token: Int32) {
        guard node.start < 0 || score > node.score else { return }
        node = Node(score: isSentencePiece ? Double(Float(score)) : score, start: start, token: token)
    }

    /// Calls `body` with each entry that the text at an offset starts with, shortest first.
    @inline(__always)
    private func forEachEntry(
        _ text: UTF8Text, _ start: Int, _ vocabulary: borrowing Vocabulary, _ body: (Int32, Int) -> Void
    ) {
        let first = Int(text[start])
        var low = Int(firstBytes[first])
        var high = Int(firstBytes[first + 1])
        var depth = 1
        vocabulary.entries.bytes.withUnsafeBufferPointer { bytes in
            vocabulary.entries.offsets.withUnsafeBufferPointer { offsets in
                while low < high {
                    let id = Int(sorted[low])
                    if Int(offsets[id + 1] - offsets[id]) == depth { body(sorted[low], start + depth) }
                    guard start + depth < text.count else { return }
                    let byte = Int(text[start + depth])
                    /// The byte of an entry at this depth, -1 where it ends before.
                    func at(_ position: Int) -> Int {
                        let id = Int(sorted[position])
                        let offset = Int(offsets[id]) + depth
                        return offset < Int(offsets[id + 1]) ? Int(bytes[offset]) : -1
                    }
                    low = Self.lowerBound(low, high) { at($0) < byte }
                    high = Self.lowerBound(low, high) { at($0) <= byte }
                    depth += 1
                }
            }
        }
    }

    @inline(__always)
    private static func lowerBound(_ low: Int, _ high: Int, _ isBelow: (Int) -> Bool) -> Int {
        var low = low
        var high = high
        while low < high {
            let middle = (low + high) / 2
            if isBelow(middle) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func appendPath(
        _ nodes: [Node], _ text: UTF8Text, _ vocabulary: borrowing Vocabulary, to output: inout [TokenID]
    ) {
        var path: [(Int, Int)] = []
        var end = text.count
        while end > 0, nodes[end].start >= 0 {
            path.append((nodes[end].start, end))
            end = nodes[end].start
        }
        var unknown: TextRange?
        for (start, end) in path.reversed() {
            let token = nodes[end].token
            guard token < 0 || !isSentencePiece && token == unknownToken else {
                if let range = unknown { appendUnknown(text.slice(range.start, range.end), vocabulary, to: &output) }
                unknown = nil
                output.append(token)
                continue
            }
            unknown = TextRange(start: unknown?.start ?? start, end: end)
        }
        if let range = unknown { appendUnknown(text.slice(range.start, range.end), vocabulary, to: &output) }
    }

    /// A run of unknown characters; in the Hugging Face version, entries of the unknown token itself are part of it.
    private func appendUnknown(
        _ text: UTF8Text, _ vocabulary: borrowing Vocabulary, to output: inout [TokenID]
    ) {
        let token = isSentencePiece ? -1 : vocabulary.token(of: text)
        if token >= 0 {
            output.append(token)
        } else if !fallbackTokens.isEmpty {
            for byte in text { output.append(fallbackTokens[Int(byte)]) }
        } else if unknownToken >= 0 {
            output.append(unknownToken)
        }
    }
}
