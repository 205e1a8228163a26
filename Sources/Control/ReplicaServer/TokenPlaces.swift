/// Finds where in a text its tokens stand, in code points, from the bytes that each token adds.
///
/// Tokens that add nothing of the text (a beginning-of-sequence token, a space that the tokenizer puts in front) stand at an
/// empty place.
struct TokenPlaces {
    private let bytes: [UInt8]
    private var offset = 0
    /// Code points that begin before `offset`.
    private var count = 0

    init(_ text: String) { bytes = Array(text.utf8) }

    /// The place of the next token.
    mutating func next(_ token: [UInt8]) -> Range<Int> {
        var token = token[...]
        if !matches(token), token.first == 0x20 { token = token.dropFirst() }
        guard !token.isEmpty, matches(token) else { return count..<count }
        let start = count
        for byte in token where byte & 0xC0 != 0x80 { count += 1 }
        offset += token.count
        // A token that ends within a character still reaches to its end, one that begins there from its beginning.
        let first = token.first.map { $0 & 0xC0 == 0x80 } == true ? max(0, start - 1) : start
        return first..<count
    }

    private func matches(_ token: ArraySlice<UInt8>) -> Bool {
        bytes.count - offset >= token.count && bytes[offset..<offset + token.count].elementsEqual(token)
    }
}
