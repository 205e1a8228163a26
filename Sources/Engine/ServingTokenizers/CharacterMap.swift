/// The `precompiled_charsmap` of a SentencePiece model: prefixes of the text and what replaces them.
///
/// Format (sentencepiece, src/normalizer.cc): a little-endian count of bytes, a double-array trie of that many bytes in
/// 32-bit units (Darts-clone), then the replacements, each ended by a zero byte; a match's value is an offset there.
struct CharacterMap: Sendable {
    private let units: [UInt32]
    private let replacements: [UInt8]

    init(_ blob: some Collection<UInt8>) throws(TokenizerError) {
        let bytes = Array(blob)
        guard bytes.count >= 4 else {
            throw .malformedModel(offset: 0, expected: "a character map", found: "\(bytes.count) bytes")
        }
        let trieBytes = Int(Self.unit(bytes, 0))
        guard trieBytes % 4 == 0, trieBytes >= 4, trieBytes <= bytes.count - 4 else {
            throw .malformedModel(
                offset: 0, expected: "a trie of at most \(bytes.count - 4) bytes", found: "\(trieBytes)")
        }
        units = (0..<trieBytes / 4).map { Self.unit(bytes, 4 + $0 * 4) }
        replacements = Array(bytes[(4 + trieBytes)...])
    }

    private static func unit(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
        UInt32(bytes[offset]) | UInt32(bytes[offset + 1]) << 8 | UInt32(bytes[offset + 2]) << 16
            | UInt32(bytes[offset + 3]) << 24
    }

    /// The longest prefix of `text` from `start` that is in the map: its byte count, and the range of its replacement.
    func longestMatch(_ text: UTF8Text, _ start: Int, _ end: Int) -> (length: Int, replacement: Range<Int>)? {
        var found: (Int, Int)?
        var unit = units[0]
        var node = Self.offset(unit)
        var position = start
        while position < end {
            let byte = text[position]
            // A zero byte is the label of values; no key holds one.
            guard byte != 0 else { break }
            node ^= Int(byte)
            guard node < units.count else { break }
            unit = units[node]
            guard unit & (1 << 31 | 0xFF) == UInt32(byte) else { break }
            node ^= Self.offset(unit)
            position += 1
            if unit >> 8 & 1 != 0, node < units.count { found = (position - start, Int(units[node] & 0x7FFF_FFFF)) }
        }
        guard let (length, value) = found, value < replacements.count else { return nil }
        let stop = replacements[value...].firstIndex(of: 0) ?? replacements.count
        return (length, value..<stop)
    }

    private static func offset(_ unit: UInt32) -> Int { Int((unit >> 10) << ((unit & (1 << 9)) >> 6)) }

    func appendReplacement(_ range: Range<Int>, to output: inout [UInt8]) {
        output.append(contentsOf: replacements[range])
    }

    /// The text with every longest match replaced, as the `Precompiled` normalizer of huggingface/tokenizers does it:
    /// by grapheme where a short one is in the map as a whole, else by scalar.
    func apply(to text: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(text.count)
        for character in String(decoding: text, as: UTF8.self) {
            let grapheme = Array(character.utf8)
            grapheme.withUnsafeBufferPointer { bytes in
                if bytes.count < 6, append(prefixOf: bytes, 0, bytes.count, to: &output) { return }
                var offset = 0
                while offset < bytes.count {
                    let length = bytes.scalar(at: offset).length
                    if !append(prefixOf: bytes, offset, offset + length, to: &output) {
                        output.append(contentsOf: bytes[offset..<offset + length])
                    }
                    offset += length
                }
            }
        }
        return output
    }

    /// The reference takes the first, shortest, match of the trie here.
    private func append(prefixOf text: UTF8Text, _ start: Int, _ end: Int, to output: inout [UInt8]) -> Bool {
        guard let range = shortestMatch(text, start, end) else { return false }
        appendReplacement(range, to: &output)
        return true
    }

    private func shortestMatch(_ text: UTF8Text, _ start: Int, _ end: Int) -> Range<Int>? {
        for stop in start + 1...max(start + 1, end) where stop <= end {
            if let match = longestMatch(text, start, stop) { return match.replacement }
        }
        return nil
    }
}
