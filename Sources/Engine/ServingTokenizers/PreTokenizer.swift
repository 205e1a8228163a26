/// How a text is cut into the words that the model encodes one by one: the steps of tokenizer.json's `pre_tokenizer`.
struct PreTokenizer: Sendable {
    /// What becomes of the matches of a split; names and meanings are those of tokenizer.json.
    enum Behavior: String, Sendable {
        case removed = "Removed"
        case isolated = "Isolated"
        case mergedWithPrevious = "MergedWithPrevious"
        case mergedWithNext = "MergedWithNext"
        case contiguous = "Contiguous"
    }

    /// What a split looks for.
    enum Matcher: Sendable {
        case scanner(WordScanner)
        case pattern(Pattern)
        case literal([UInt8])
        /// Single scalars, as the reference's own splitters test them.
        case scalars(ScalarTest)
    }

    /// Tests of single scalars.
    enum ScalarTest: Sendable {
        case numeric, space, punctuation
        case scalar(UInt32)

        func holds(_ scalar: UInt32) -> Bool {
            switch self {
            case .numeric:
                scalar < 0x80 ? scalar &- 48 < 10 : ScalarRanges.numeric.contains(scalar)
            case .space: ScalarSet.space.has(scalar)
            case .punctuation: ScalarRanges.punctuation.contains(scalar)
            case .scalar(let value): scalar == value
            }
        }
    }

    enum Step: Sendable {
        case split(Matcher, Behavior, isInverted: Bool)
        /// Puts a space before words that do not start with one.
        case prefixSpace
        /// Bytes become the characters of the byte alphabet. Only kept where a step follows that sees them.
        case mapBytes
        /// Spaces become the replacement, which may also be put first; then words start at each replacement.
        case metaspace(replacement: [UInt8], prefix: MetaspacePrefix, splits: Bool)
        /// `\w+|[^\w\s]+`; white space goes.
        case whitespace
    }

    /// Where Metaspace puts a replacement first.
    enum MetaspacePrefix: String, Sendable {
        case always, first, never
    }

    var steps: [Step]

    /// Text and the words in it.
    struct Words {
        var text: [UInt8]
        var ranges: [TextRange]
        /// Whether the first word is at the very start of the whole text.
        var startsText: Bool
    }

    /// Cuts a text. The words are in `text` itself or, where a step changes it, in a new one.
    func apply(to words: inout Words) {
        for step in steps {
            switch step {
            case .split(let matcher, let behavior, let isInverted):
                let ranges = words.text.withUnsafeBufferPointer { text in
                    matcher.split(text, words.ranges, behavior, isInverted)
                }
                if let first = words.ranges.first, ranges.first?.start != first.start { words.startsText = false }
                words.ranges = ranges
            case .prefixSpace:
                rewrite(&words) { word, output in
                    if word.first != 0x20 { output.append(0x20) }
                    output.append(contentsOf: word)
                }
            case .mapBytes:
                rewrite(&words) { word, output in
                    for byte in word { output.append(scalar: ByteAlphabet.scalars[Int(byte)]) }
                }
            case .metaspace(let replacement, let prefix, let splits):
                metaspace(&words, replacement, prefix, splits)
            case .whitespace: whitespace(&words)
            }
        }
    }

    private func rewrite(_ words: inout Words, _ body: (UTF8Text, inout [UInt8]) -> Void) {
        var output: [UInt8] = []
        output.reserveCapacity(words.text.count + words.ranges.count)
        words.text.withUnsafeBufferPointer { text in
            for position in words.ranges.indices {
                let range = words.ranges[position]
                let start = output.count
                body(text.slice(range.start, range.end), &output)
                words.ranges[position] = TextRange(start: start, end: output.count)
            }
        }
        words.text = output
    }

    private func metaspace(
        _ words: inout Words, _ replacement: [UInt8], _ prefix: MetaspacePrefix, _ splits: Bool
    ) {
        var isFirst = words.startsText
        rewrite(&words) { word, output in
            let takesPrefix = prefix == .always || prefix == .first && isFirst
            isFirst = false
            let startsWithReplacement = word.first == 0x20 || word.starts(with: replacement)
            if takesPrefix, !startsWithReplacement { output.append(contentsOf: replacement) }
            for byte in word {
                if byte == 0x20 { output.append(contentsOf: replacement) } else { output.append(byte) }
            }
        }
        guard splits else { return }
        words.ranges = words.text.withUnsafeBufferPointer { text in
            Matcher.literal(replacement).split(text, words.ranges, .mergedWithNext, false)
        }
    }

    private func whitespace(_ words: inout Words) {
        var ranges: [TextRange] = []
        words.text.withUnsafeBufferPointer { text in
            for range in words.ranges {
                var kind = 0
                var start = range.start
                var offset = start
                while offset < range.end {
                    let (scalar, length) = text.scalar(at: offset)
                    let next = ScalarRanges.word.contains(scalar) ? 1 : ScalarSet.space.has(scalar) ? 0 : 2
                    if next != kind {
                        if kind != 0 { ranges.append(TextRange(start: start, end: offset)) }
                        start = offset
                        kind = next
                    }
                    offset += length
                }
                if kind != 0 { ranges.append(TextRange(start: start, end: offset)) }
            }
        }
        words.startsText = false
        words.ranges = ranges
    }
}

extension PreTokenizer.Matcher {
    /// Splits each of the ranges.
    func split(
        _ text: UTF8Text, _ ranges: [TextRange], _ behavior: PreTokenizer.Behavior, _ isInverted: Bool
    ) -> [TextRange] {
        var output: [TextRange] = []
        output.reserveCapacity(ranges.count * 2 + 16)
        if behavior == .isolated, case .scanner(let scanner) = self {
            for range in ranges { scanner.appendWords(text, range, to: &output) }
            return output
        }
        var pieces: [(range: TextRange, isMatch: Bool)] = []
        for range in ranges {
            pieces.removeAll(keepingCapacity: true)
            appendMatches(text, range, to: &pieces)
            if isInverted { for position in pieces.indices { pieces[position].isMatch.toggle() } }
            behavior.append(pieces, to: &output)
        }
        return output
    }

    /// The matches in a range and what lies between them, in order.
    func appendMatches(
        _ text: UTF8Text, _ range: TextRange, to pieces: inout [(range: TextRange, isMatch: Bool)]
    ) {
        var last = range.start
        func add(_ start: Int, _ end: Int) {
            if last < start { pieces.append((TextRange(start: last, end: start), false)) }
            pieces.append((TextRange(start: start, end: end), true))
            last = end
        }
        switch self {
        case .pattern(let pattern): Self.search(pattern, text.slice(range.start, range.end), range.start, add)
        case .scanner(let scanner):
            // Only numbers leave gaps here; all others cover the text, but for DeepSeek's, which is always isolated.
            var words: [TextRange] = []
            scanner.appendWords(text, range, to: &words)
            for word in words where scanner.isMatch(text, word) { add(word.start, word.end) }
        case .literal(let literal):
            var offset = range.start
            while !literal.isEmpty, offset + literal.count <= range.end {
                if text[offset] == literal[0], text.slice(offset, range.end).starts(with: literal) {
                    add(offset, offset + literal.count)
                    offset += literal.count
                } else {
                    offset += 1
                }
            }
        case .scalars(let test):
            var offset = range.start
            while offset < range.end {
                let (scalar, length) = text.scalar(at: offset)
                if test.holds(scalar) { add(offset, offset + length) }
                offset += length
            }
        }
        if last < range.end { pieces.append((TextRange(start: last, end: range.end), false)) }
    }

    /// All matches from left to right; an empty one is skipped right after a match, as in Oniguruma's Rust iterator.
    private static func search(_ pattern: Pattern, _ text: UTF8Text, _ base: Int, _ found: (Int, Int) -> Void) {
        var matcher = PatternMatcher(pattern, text)
        var offset = 0
        var lastEnd = -1
        while offset <= text.count, let match = matcher.firstMatch(from: offset) {
            if match.start == match.end {
                if match.end != lastEnd { found(base + match.start, base + match.end) }
                guard match.end < text.count else { return }
                offset = match.end + text.scalar(at: match.end).length
            } else {
                found(base + match.start, base + match.end)
                offset = match.end
            }
            lastEnd = match.end
        }
    }
}

extension WordScanner {
    /// Whether a word of ``appendWords(_:_:to:)`` is a match and not what lies between matches.
    func isMatch(_ text: UTF8Text, _ word: TextRange) -> Bool {
        guard case .numbers = kind else { return true }
        return ScalarSet.number.has(text.scalar(at: word.start).value)
    }
}

extension PreTokenizer.Behavior {
    /// Appends the words that matches and the text between them make.
    func append(_ pieces: [(range: TextRange, isMatch: Bool)], to output: inout [TextRange]) {
        let first = output.count
        func add(_ range: TextRange) { if range.start < range.end { output.append(range) } }
        switch self {
        case .isolated: for piece in pieces { add(piece.range) }
        case .removed: for piece in pieces where !piece.isMatch { add(piece.range) }
        case .contiguous:
            var last: Bool?
            for piece in pieces {
                if last == piece.isMatch, output.count > first {
                    output[output.count - 1].end = piece.range.end
                } else {
                    add(piece.range)
                }
                last = piece.isMatch
            }
        case .mergedWithPrevious:
            var wasMatch = false
            for piece in pieces {
                if piece.isMatch, !wasMatch, output.count > first {
                    output[output.count - 1].end = piece.range.end
                } else {
                    add(piece.range)
                }
                wasMatch = piece.isMatch
            }
        case .mergedWithNext:
            var reversed: [TextRange] = []
            var wasMatch = false
            for piece in pieces.reversed() {
                if piece.isMatch, !wasMatch, !reversed.isEmpty {
                    reversed[reversed.count - 1].start = piece.range.start
                } else if piece.range.start < piece.range.end {
                    reversed.append(piece.range)
                }
                wasMatch = piece.isMatch
            }
            output.append(contentsOf: reversed.reversed())
        }
    }
}
