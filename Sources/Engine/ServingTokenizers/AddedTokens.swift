import ServingTensors

/// A token that is looked for in the text before the model sees it.
struct AddedToken: Sendable, Equatable {
    var content: [UInt8]
    var id: TokenID
    /// Control tokens: not recognised in text that is to be plain text.
    var isSpecial = false
    /// Takes white space on its left, or right, with it.
    var stripsLeft = false
    var stripsRight = false
    /// Only found where no word character touches it.
    var isSingleWord = false
    /// Looked for in the normalized text.
    var isNormalized = false
}

/// Finds added tokens: at each place the longest one, from left to right without overlap.
///
/// Reference: `AddedVocabulary::find_matches` of huggingface/tokenizers, including that a special token that is not to
/// be recognised still hides what overlaps it.
struct AddedTokens: Sendable {
    let tokens: [AddedToken]
    /// (node, byte) -> node. Node 0 is the root.
    private let edges: MergeTable
    /// Position in `tokens` of what ends at a node, or -1.
    private let ends: [Int32]
    private let isFirstByte: [Bool]

    init(_ tokens: [AddedToken]) {
        self.tokens = tokens
        var edges = MergeTable(capacity: tokens.reduce(1) { $0 + $1.content.count })
        var ends: [Int32] = [-1]
        var isFirstByte = Array(repeating: false, count: 256)
        for (position, token) in tokens.enumerated() {
            guard let first = token.content.first else { continue }
            isFirstByte[Int(first)] = true
            var node: Int32 = 0
            for byte in token.content {
                let edge = edges.merge(node, Int32(byte))
                if edge == MergeTable.none {
                    edges.insert(Int(node), Int(byte), rank: 0, token: ends.count)
                    node = Int32(ends.count)
                    ends.append(-1)
                } else {
                    node = Int32(truncatingIfNeeded: edge)
                }
            }
            if ends[Int(node)] < 0 { ends[Int(node)] = Int32(position) }
        }
        self.edges = edges
        self.ends = ends
        self.isFirstByte = isFirstByte
    }

    var isEmpty: Bool { tokens.isEmpty }

    /// A stretch of text, or a token and where it was.
    struct Segment {
        var range: TextRange
        /// -1 for text.
        var token: TokenID
    }

    /// Cuts a text at the added tokens. Special ones are left in the text unless they are to be recognised.
    func split(_ text: UTF8Text, recognizingSpecial: Bool) -> [Segment] {
        var segments: [Segment] = []
        var textStart = 0
        var offset = 0
        while offset < text.count {
            guard isFirstByte[Int(text[offset])] else {
                offset += 1
                continue
            }
            guard let (token, end) = longestMatch(text, offset) else {
                offset += 1
                continue
            }
            defer { offset = end }
            if token.isSpecial && !recognizingSpecial { continue }
            if token.isSingleWord, Self.touchesWord(text, offset, end) { continue }
            var range = TextRange(start: offset, end: end)
            if token.stripsLeft { range.start = max(Self.skipSpaceBack(text, range.start), textStart) }
            if token.stripsRight { range.end = Self.skipSpace(text, range.end) }
            if textStart < range.start {
                segments.append(Segment(range: TextRange(start: textStart, end: range.start), token: -1))
            }
            segments.append(Segment(range: range, token: token.id))
            textStart = range.end
        }
        if textStart < text.count {
            segments.append(Segment(range: TextRange(start: textStart, end: text.count), token: -1))
        }
        return segments
    }

    /// The longest token that starts at an offset, and where it ends.
    func longestMatch(_ text: UTF8Text, _ start: Int) -> (AddedToken, Int)? {
        var node: Int32 = 0
        var found: (Int32, Int)?
        var offset = start
        while offset < text.count {
            let edge = edges.merge(node, Int32(text[offset]))
            guard edge != MergeTable.none else { break }
            node = Int32(truncatingIfNeeded: edge)
            offset += 1
            if ends[Int(node)] >= 0 { found = (ends[Int(node)], offset) }
        }
        return found.map { (tokens[Int($0.0)], $0.1) }
    }

    private static func touchesWord(_ text: UTF8Text, _ start: Int, _ end: Int) -> Bool {
        start > 0 && ScalarRanges.word.contains(text.scalar(before: start).value)
            || end < text.count && ScalarRanges.word.contains(text.scalar(at: end).value)
    }

    private static func skipSpace(_ text: UTF8Text, _ start: Int) -> Int {
        var offset = start
        while offset < text.count {
            let (scalar, length) = text.scalar(at: offset)
            guard ScalarSet.space.has(scalar) else { break }
            offset += length
        }
        return offset
    }

    private static func skipSpaceBack(_ text: UTF8Text, _ end: Int) -> Int {
        var offset = end
        while offset > 0 {
            let (scalar, length) = text.scalar(before: offset)
            guard ScalarSet.space.has(scalar) else { break }
            offset -= length
        }
        return offset
    }
}
