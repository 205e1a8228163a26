import Glibc
import ServingTensors

/// Remembers the tokens of words met before in one text. A table in which a word has one place only.
struct WordCache {
    private struct Entry {
        var hash: UInt64 = 0
        var keyStart: UInt32 = 0
        var tokenStart: UInt32 = 0
        var keyLength: UInt16 = 0
        var tokenCount: UInt16 = 0
    }

    private var entries: [Entry]
    private var keys: [UInt8] = []
    private var tokens: [TokenID] = []

    /// Longer words are not kept.
    private static let longestKey = 96
    /// A text with more different words than this starts again.
    private static let keyBytesLimit = 16 << 20

    /// Room for the words of a text of so many bytes.
    init(textByteCount: Int) {
        var count = textByteCount < 256 ? 0 : 256
        while count > 0, count < 1 << 16, count * 8 < textByteCount { count *= 2 }
        entries = Array(repeating: Entry(), count: count)
    }

    /// Appends the tokens of a word, or returns the word's hash if it is not here (0 where it is not worth keeping).
    @inline(__always)
    func appendTokens(of word: UTF8Text, to output: inout [TokenID]) -> UInt64? {
        guard !entries.isEmpty, word.count <= Self.longestKey else { return 0 }
        let hash = ByteStringIndex.hash(word) | 1
        let entry = entries[Int(truncatingIfNeeded: hash >> 8) & (entries.count - 1)]
        guard entry.hash == hash, Int(entry.keyLength) == word.count, let base = word.baseAddress,
            keys.withUnsafeBufferPointer({ keys in
                keys.baseAddress.map { memcmp($0 + Int(entry.keyStart), base, word.count) == 0 } ?? false
            })
        else { return hash }
        let start = Int(entry.tokenStart)
        if entry.tokenCount == 1 {
            output.append(tokens[start])
        } else {
            output.append(contentsOf: tokens[start..<start + Int(entry.tokenCount)])
        }
        return nil
    }

    /// Keeps the tokens of a word, `output[start...]`, under a hash that ``appendTokens(of:to:)`` returned.
    mutating func keep(_ hash: UInt64, word: UTF8Text, tokens output: [TokenID], from start: Int) {
        guard hash != 0, output.count - start <= Int(UInt16.max) else { return }
        if keys.count > Self.keyBytesLimit {
            keys.removeAll(keepingCapacity: true)
            tokens.removeAll(keepingCapacity: true)
            for position in entries.indices { entries[position] = Entry() }
        }
        entries[Int(truncatingIfNeeded: hash >> 8) & (entries.count - 1)] = Entry(
            hash: hash, keyStart: UInt32(keys.count), tokenStart: UInt32(tokens.count),
            keyLength: UInt16(word.count), tokenCount: UInt16(output.count - start))
        keys.append(contentsOf: word)
        tokens.append(contentsOf: output[start...])
    }
}
