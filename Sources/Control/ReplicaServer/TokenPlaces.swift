/// Finds where in a text its tokens stand, in code points, from the bytes that each token adds.
///
/// Tokens that add nothing of the text (a beginning-of-sequence token, a space that the tokenizer puts in front) stand
/// at an empty place. So do those that a normalizer has changed; the next ones are found again a little further on.
struct TokenPlaces {
    private let bytes: [UInt8]
    private var offset = 0
    /// Code points that begin before `offset`.
    private var count = 0
    /// Whether the last token was not found.
    private var isLost = false

    /// How far a token is looked for after one that was not found, and how long it must be for that.
    private static let (searchLimit, searchedByteCount) = (64, 2)

    init(_ text: String) { bytes = Array(text.utf8) }

    /// The place of the next token.
    mutating func next(_ token: [UInt8]) -> Range<Int> {
        var token = token[...]
        var isFound = !token.isEmpty && (matches(token) || found(token))
        if !isFound, token.first == 0x20 {
            token = token.dropFirst()
            isFound = !token.isEmpty && (matches(token) || found(token))
        }
        guard isFound else {
            isLost = isLost || !token.isEmpty
            return count..<count
        }
        isLost = false
        let start = count
        for byte in token where byte & 0xC0 != 0x80 { count += 1 }
        offset += token.count
        // A token that ends within a character still reaches to its end, one that begins there from its beginning.
        let first = token.first.map { $0 & 0xC0 == 0x80 } == true ? max(0, start - 1) : start
        return first..<count
    }

    /// Goes on to a token after one that was not found.
    private mutating func found(_ token: ArraySlice<UInt8>) -> Bool {
        guard isLost, token.count >= Self.searchedByteCount else { return false }
        let (oldOffset, oldCount) = (offset, count)
        while offset < bytes.count, offset - oldOffset < Self.searchLimit {
            if bytes[offset] & 0xC0 != 0x80 { count += 1 }
            offset += 1
            if matches(token) { return true }
        }
        (offset, count) = (oldOffset, oldCount)
        return false
    }

    private func matches(_ token: ArraySlice<UInt8>) -> Bool {
        bytes.count - offset >= token.count && bytes[offset..<offset + token.count].elementsEqual(token)
    }
}
