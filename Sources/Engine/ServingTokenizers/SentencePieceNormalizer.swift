/// SentencePiece's normalization: `Normalizer::Normalize` of google/sentencepiece, src/normalizer.cc.
struct SentencePieceNormalizer: Sendable {
    var addsDummyPrefix = true
    var removesExtraWhitespace = true
    var escapesWhitespace = true
    var characterMap: CharacterMap?
    /// Entries that are left as they are.
    var userDefined = AddedTokens([])

    func apply(to text: [UInt8]) -> [UInt8] {
        text.withUnsafeBufferPointer { normalize($0) }
    }

    private func normalize(_ text: UTF8Text) -> [UInt8] {
        let space: [UInt8] = escapesWhitespace ? SentencePieceDecoder.space : [0x20]
        var output: [UInt8] = []
        output.reserveCapacity(text.count + text.count / 4 + 8)
        var offset = 0
        var piece: [UInt8] = []
        if removesExtraWhitespace {
            while offset < text.count {
                let length = next(text, offset, &piece)
                guard piece == [0x20] else { break }
                offset += length
            }
        }
        guard offset < text.count else { return [] }
        if addsDummyPrefix { output.append(contentsOf: space) }
        var isAfterSpace = removesExtraWhitespace
        while offset < text.count {
            offset += next(text, offset, &piece)
            var rest = piece[...]
            while isAfterSpace, rest.first == 0x20 { rest = rest.dropFirst() }
            guard let last = rest.last else { continue }
            for byte in rest { if byte == 0x20 { output.append(contentsOf: space) } else { output.append(byte) } }
            isAfterSpace = removesExtraWhitespace && last == 0x20
        }
        while removesExtraWhitespace, output.suffix(space.count).elementsEqual(space) {
            output.removeLast(space.count)
        }
        return output
    }

    /// Sets `piece` to the normalized form of what starts at an offset, and returns how many bytes that covers.
    private func next(_ text: UTF8Text, _ offset: Int, _ piece: inout [UInt8]) -> Int {
        piece.removeAll(keepingCapacity: true)
        if !userDefined.isEmpty, let (_, end) = userDefined.longestMatch(text, offset) {
            piece.append(contentsOf: text[offset..<end])
            return end - offset
        }
        if let characterMap, let match = characterMap.longestMatch(text, offset, text.count) {
            characterMap.appendReplacement(match.replacement, to: &piece)
            return match.length
        }
        let length = text.scalar(at: offset).length
        piece.append(contentsOf: text[offset..<offset + length])
        return length
    }
}
