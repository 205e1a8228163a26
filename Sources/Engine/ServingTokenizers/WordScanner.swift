/// A part of a text, in bytes.
struct TextRange: Equatable {
    var start: Int
    var end: Int
}

/// Hand-written scanners for the patterns that models split text with, one pass and no backtracking.
///
/// Each case names the pattern it stands for (see ``patterns``); a test holds them against ``Pattern``. All
/// alternatives are tried in the pattern's order at each place; a text between two matches is a word of its own.
struct WordScanner: Sendable, Equatable {
    enum Kind: Sendable, Equatable {
        /// GPT-2.
        case gpt2
        /// GPT-4 (cl100k), Llama 3, Qwen: numbers of up to `digits` digits; letters with or without marks.
        case llama3(digits: Int, takesMarks: Bool)
        /// GPT-4o (o200k) and Tekken: words change at a capital letter.
        case o200k(digits: Int, takesContractions: Bool)
        /// The third pattern of DeepSeek-V3.
        case deepSeek3
        /// `\p{N}{1,digits}`.
        case numbers(digits: Int)
    }

    let kind: Kind

    private static let spaceMask = ScalarSet.space.rawValue
    private static let letterMask = ScalarSet.letter.rawValue
    private static let markMask = ScalarSet.mark.rawValue
    private static let numberMask = ScalarSet.number.rawValue
    private static let upperMask =
        ScalarSet.letter.subtracting(.category(.ll)).union(.mark).rawValue
    private static let lowerMask =
        ScalarSet.letter.subtracting([.category(.lu), .category(.lt)]).union(.mark).rawValue
    private static let graphMask = ScalarSet.punctuation.union(.symbol).rawValue

    /// Appends the words of a range of well-formed text.
    func appendWords(_ text: UTF8Text, _ range: TextRange, to words: inout [TextRange]) {
        let text = text.slice(0, range.end)
        switch kind {
        case .gpt2: append(text, range, to: &words) { Self.gpt2($0, $1) }
        case .llama3(let digits, let takesMarks):
            let letters = takesMarks ? Self.letterMask | Self.markMask : Self.letterMask
            append(text, range, to: &words) { Self.llama3($0, $1, digits, letters) }
        case .o200k(let digits, let takesContractions):
            append(text, range, to: &words) { Self.o200k($0, $1, digits, takesContractions) }
        case .deepSeek3: append(text, range, to: &words) { Self.deepSeek3($0, $1) }
        case .numbers(let digits): append(text, range, to: &words) { Self.numbers($0, $1, digits) }
        }
    }

    /// `next` gives the end of the match at an offset, or the offset itself where none starts there.
    @inline(__always)
    private func append(
        _ text: UTF8Text, _ range: TextRange, to words: inout [TextRange], _ next: (UTF8Text, Int) -> Int
    ) {
        var offset = range.start
        var gapStart = offset
        while offset < range.end {
            let end = next(text, offset)
            if end == offset {
                offset += text.scalar(at: offset).length
                continue
            }
            if gapStart < offset { words.append(TextRange(start: gapStart, end: offset)) }
            words.append(TextRange(start: offset, end: end))
            offset = end
            gapStart = end
        }
        if gapStart < offset { words.append(TextRange(start: gapStart, end: offset)) }
    }

    // MARK: Pieces of patterns

    @inline(__always)
    private static func properties(_ text: UTF8Text, _ offset: Int) -> (bits: UInt32, length: Int) {
        let first = text[offset]
        if first < 0x80 { return (UnicodeTables.properties[Int(first)], 1) }
        let (scalar, length) = text.scalar(at: offset)
        return (UnicodeTables.properties(of: scalar), length)
    }

    /// The end of the run of scalars with one of the properties.
    @inline(__always)
    private static func skip(_ text: UTF8Text, _ start: Int, _ mask: UInt32) -> Int {
        var offset = start
        while offset < text.count {
            let (bits, length) = properties(text, offset)
            guard bits & mask != 0 else { break }
            offset += length
        }
        return offset
    }

    /// The end of the run of scalars with none of the properties.
    @inline(__always)
    private static func skip(_ text: UTF8Text, _ start: Int, without mask: UInt32) -> Int {
        var offset = start
        while offset < text.count {
            let (bits, length) = properties(text, offset)
            guard bits & mask == 0 else { break }
            offset += length
        }
        return offset
    }

    private static func skipNumbers(_ text: UTF8Text, _ start: Int, _ most: Int) -> Int {
        var offset = start
        var count = 0
        while offset < text.count, count < most {
            let (bits, length) = properties(text, offset)
            guard bits & numberMask != 0 else { break }
            offset += length
            count += 1
        }
        return offset
    }

    @inline(__always)
    private static func isNewline(_ byte: UInt8) -> Bool { byte == 10 || byte == 13 }

    private static func skipNewlines(_ text: UTF8Text, _ start: Int, andSlashes: Bool = false) -> Int {
        var offset = start
        while offset < text.count, isNewline(text[offset]) || andSlashes && text[offset] == 0x2F { offset += 1 }
        return offset
    }

    /// `\s*[\r\n]+|\s+(?!\S)|\s+`, or without the first alternative, at white space.
    private static func spaces(_ text: UTF8Text, _ start: Int, newlines: Bool) -> Int {
        var offset = start
        var lastStart = start
        var afterNewline = -1
        while offset < text.count {
            let (bits, length) = properties(text, offset)
            guard bits & spaceMask != 0 else { break }
            lastStart = offset
            offset += length
            if isNewline(text[lastStart]) { afterNewline = offset }
        }
        if newlines, afterNewline >= 0 { return afterNewline }
        return offset == text.count || lastStart == start ? offset : lastStart
    }

    /// The end of `'s`, `'t`, `'re`, `'ve`, `'m`, `'ll` or `'d` at an apostrophe, else `start`.
    @inline(__always)
    private static func contraction(_ text: UTF8Text, _ start: Int, ignoringCase: Bool) -> Int {
        guard start + 1 < text.count else { return start }
        let fold: UInt8 = ignoringCase ? 0x20 : 0
        let first = text[start + 1] | fold
        switch first {
        case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"): return start + 2
        case UInt8(ascii: "r"), UInt8(ascii: "v"), UInt8(ascii: "l"):
            guard start + 2 < text.count else { return start }
            let second: UInt8 = first == UInt8(ascii: "l") ? UInt8(ascii: "l") : UInt8(ascii: "e")
            return text[start + 2] | fold == second ? start + 3 : start
        case 0xC5 | fold where ignoringCase && text[start + 1] == 0xC5:
            // U+017F, the long s, folds to s.
            return start + 2 < text.count && text[start + 2] == 0xBF ? start + 3 : start
        default: return start
        }
    }

    // MARK: Patterns

    @inline(__always)
    private static func gpt2(_ text: UTF8Text, _ start: Int) -> Int {
        if text[start] == 0x27 {
            let end = contraction(text, start, ignoringCase: false)
            if end > start { return end }
        }
        var (bits, length) = properties(text, start)
        var first = start
        if text[start] == 0x20, start + 1 < text.count {
            (bits, length) = properties(text, start + 1)
            if bits & spaceMask != 0 { return spaces(text, start, newlines: false) }
            first = start + 1
        }
        if bits & letterMask != 0 { return skip(text, first + length, letterMask) }
        if bits & numberMask != 0 { return skip(text, first + length, numberMask) }
        if bits & spaceMask != 0 { return spaces(text, start, newlines: false) }
        return skip(text, first + length, without: spaceMask | letterMask | numberMask)
    }

    @inline(__always)
    private static func llama3(_ text: UTF8Text, _ start: Int, _ digits: Int, _ letters: UInt32) -> Int {
        if text[start] == 0x27 {
            let end = contraction(text, start, ignoringCase: true)
            if end > start { return end }
        }
        let (bits, length) = properties(text, start)
        if bits & letterMask != 0 { return skip(text, start + length, letters) }
        if bits & numberMask != 0 { return skipNumbers(text, start, digits) }
        let next = start + length
        let nextBits = next < text.count ? properties(text, next).bits : spaceMask
        if !isNewline(text[start]), nextBits & letters != 0 { return skip(text, next, letters) }
        if bits & letters != 0 { return skip(text, start, letters) }
        let others = spaceMask | letters | numberMask
        if bits & spaceMask == 0 { return skipNewlines(text, skip(text, next, without: others)) }
        if text[start] == 0x20, nextBits & others == 0 { return skipNewlines(text, skip(text, next, without: others)) }
        return spaces(text, start, newlines: true)
    }

    /// `[U]*[W]+` or else `[U]+[W]*` where U are the letters that are not lower case, W those that are not upper case,
    /// both with marks; -1 where neither matches.
    private static func casedWord(_ text: UTF8Text, _ start: Int) -> (first: Int, second: Int) {
        var offset = start
        var afterLower = -1
        while offset < text.count {
            let (bits, length) = properties(text, offset)
            guard bits & upperMask != 0 else { break }
            offset += length
            if bits & lowerMask != 0 { afterLower = offset }
        }
        let lowerEnd = skip(text, offset, lowerMask)
        if lowerEnd > offset { return (lowerEnd, lowerEnd) }
        return (afterLower, offset > start ? offset : -1)
    }

    @inline(__always)
    private static func o200k(_ text: UTF8Text, _ start: Int, _ digits: Int, _ takesContractions: Bool) -> Int {
        let (bits, length) = properties(text, start)
        let takesPrefix = bits & (letterMask | numberMask) == 0 && !isNewline(text[start])
        let prefixed = takesPrefix ? casedWord(text, start + length) : (-1, -1)
        let plain = prefixed.0 < 0 && bits & (letterMask | markMask) != 0 ? casedWord(text, start) : (-1, -1)
        for end in [prefixed.0, plain.0, prefixed.1, plain.1] where end >= 0 {
            guard takesContractions, end < text.count, text[end] == 0x27 else { return end }
            return contraction(text, end, ignoringCase: true)
        }
        if bits & numberMask != 0 { return skipNumbers(text, start, digits) }
        let others = spaceMask | letterMask | numberMask
        var first = start
        if text[start] == 0x20, start + 1 < text.count, properties(text, start + 1).bits & others == 0 {
            first = start + 1
        }
        if first > start || bits & others == 0 {
            return skipNewlines(text, skip(text, first, without: others), andSlashes: true)
        }
        return spaces(text, start, newlines: true)
    }

    private static func isASCIILetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }

    @inline(__always)
    private static func deepSeek3(_ text: UTF8Text, _ start: Int) -> Int {
        let first = text[start]
        let (bits, length) = properties(text, start)
        let next = start + length
        if first < 0x80, bits & graphMask != 0, next < text.count, isASCIILetter(text[next]) {
            var end = next
            while end < text.count, isASCIILetter(text[end]) { end += 1 }
            return end
        }
        let letters = letterMask | markMask
        if bits & letters != 0 { return skip(text, next, letters) }
        let nextBits = next < text.count ? properties(text, next).bits : 0
        if bits & graphMask == 0, !isNewline(first), nextBits & letters != 0 { return skip(text, next, letters) }
        if bits & graphMask != 0 || first == 0x20 && nextBits & graphMask != 0 {
            return skipNewlines(text, skip(text, next, graphMask))
        }
        return bits & spaceMask != 0 ? spaces(text, start, newlines: true) : start
    }

    private static func numbers(_ text: UTF8Text, _ start: Int, _ digits: Int) -> Int {
        skipNumbers(text, start, digits)
    }
}
