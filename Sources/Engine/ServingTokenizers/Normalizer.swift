/// What is done to a text before it is cut into words: the steps of tokenizer.json's `normalizer`.
struct Normalizer: Sendable {
    enum Step: Sendable {
        case form(CanonicalForm)
        case prepend([UInt8])
        case replace(TextReplacement)
        case lowercase
        /// Marks are dropped.
        case stripAccents
        case strip(left: Bool, right: Bool)
        /// A table of replacements made by SentencePiece.
        case characterMap(CharacterMap)
        /// NMT: control characters go, various spaces become a space.
        case nmt
        /// Bytes become the characters of the byte alphabet.
        case byteLevel
    }

    var steps: [Step]

    func apply(to text: [UInt8]) -> [UInt8] {
        var text = text
        for step in steps { text = apply(step, text) }
        return text
    }

    private func apply(_ step: Step, _ text: [UInt8]) -> [UInt8] {
        switch step {
        case .form(let form): form.apply(to: text)
        case .prepend(let prefix): text.isEmpty ? text : prefix + text
        case .replace(let replacement): replacement.apply(to: text)
        case .lowercase:
            mapScalars(text) { scalar, output in
                guard let scalar = Unicode.Scalar(scalar) else { return }
                output.append(contentsOf: scalar.properties.lowercaseMapping.utf8)
            }
        case .stripAccents:
            mapScalars(text) { scalar, output in
                if !ScalarRanges.accents.contains(scalar) { output.append(scalar: scalar) }
            }
        case .strip(let left, let right): strip(text, left, right)
        case .characterMap(let map): map.apply(to: text)
        case .nmt: mapScalars(text) { scalar, output in Self.nmt(scalar, &output) }
        case .byteLevel: ByteAlphabet.entry(of: text)
        }
    }

    private func mapScalars(_ text: [UInt8], _ body: (UInt32, inout [UInt8]) -> Void) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(text.count)
        text.withUnsafeBufferPointer { text in
            var offset = 0
            while offset < text.count {
                let (scalar, length) = text.scalar(at: offset)
                body(scalar, &output)
                offset += length
            }
        }
        return output
    }

    private func strip(_ text: [UInt8], _ left: Bool, _ right: Bool) -> [UInt8] {
        text.withUnsafeBufferPointer { text in
            var start = 0
            var end = text.count
            while left, start < end {
                let (scalar, length) = text.scalar(at: start)
                guard ScalarSet.space.has(scalar) else { break }
                start += length
            }
            while right, start < end {
                let (scalar, length) = text.scalar(before: end)
                guard ScalarSet.space.has(scalar) else { break }
                end -= length
            }
            return Array(text[start..<end])
        }
    }

    /// The scalars of `normalizers::unicode::do_nmt` in huggingface/tokenizers.
    private static func nmt(_ scalar: UInt32, _ output: inout [UInt8]) {
        switch scalar {
        case 0x01...0x08, 0x0B, 0x0E...0x1F, 0x7F, 0x8F, 0x9F: break
        case 0x09, 0x0A, 0x0C, 0x0D, 0x1680, 0x200B...0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD:
            output.append(0x20)
        default: output.append(scalar: scalar)
        }
    }
}

/// A search and replacement of a literal or a pattern.
struct TextReplacement: Sendable {
    enum Target: Sendable {
        case literal([UInt8])
        case pattern(Pattern)
    }

    let target: Target
    let content: [UInt8]

    func apply(to text: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(text.count)
        text.withUnsafeBufferPointer { text in
            let matcher: PreTokenizer.Matcher =
                switch target {
                case .literal(let literal): .literal(literal)
                case .pattern(let pattern): .pattern(pattern)
                }
            matcher.forEachPiece(text) { range, isMatch in
                output.append(contentsOf: isMatch ? content[...] : ArraySlice(text[range.start..<range.end]))
            }
        }
        return output
    }
}

extension PreTokenizer.Matcher {
    /// The matches in a text and what lies between them, in order.
    func forEachPiece(_ text: UTF8Text, _ body: (TextRange, Bool) -> Void) {
        var pieces: [(range: TextRange, isMatch: Bool)] = []
        appendMatches(text, TextRange(start: 0, end: text.count), to: &pieces)
        for piece in pieces { body(piece.range, piece.isMatch) }
    }
}
