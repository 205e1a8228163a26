import ServingTensors

/// The entries of a tokenizer, by id, and the way back from bytes to ids.
struct Vocabulary: Sendable {
    /// What an entry is for. Raw values are GGUF's and SentencePiece's.
    enum Kind: UInt8, Sendable {
        case undefined, normal, unknown, control, userDefined, unused, byte
    }

    /// Entries as the file writes them.
    private(set) var entries: ByteStrings
    /// The bytes that entries stand for: differs from `entries` in byte-level vocabularies only, elsewhere empty.
    private var unmapped: ByteStrings?
    private(set) var kinds: [Kind]
    private(set) var index: ByteStringIndex
    let isByteLevel: Bool

    /// Most entries, and one more than the greatest id; the largest real vocabularies have some 300 000.
    static let countLimit = 1 << 22

    /// A vocabulary. Entries of kinds that a model does not form from text (`isIndexed` false) are left out of the
    /// index, as are entries of a byte-level vocabulary that are not of the byte alphabet.
    init(entries: ByteStrings, kinds: [Kind], isByteLevel: Bool, isIndexed: (Int) -> Bool) {
        self.entries = entries
        self.kinds = kinds
        self.isByteLevel = isByteLevel
        index = ByteStringIndex(capacity: entries.count)
        guard isByteLevel else {
            for id in 0..<entries.count where entries.byteCount(id) > 0 && isIndexed(id) {
                index.insert(id, of: entries)
            }
            return
        }
        var unmapped = ByteStrings(reservingBytes: entries.bytes.count, strings: entries.count)
        entries.bytes.withUnsafeBufferPointer { bytes in
            for id in 0..<entries.count {
                let entry = bytes.slice(Int(entries.offsets[id]), Int(entries.offsets[id + 1]))
                let isMapped = unmapped.append { output in
                    let isMapped = ByteAlphabet.append(bytesOf: entry, to: &output)
                    if !isMapped { output.append(contentsOf: entry) }
                    return isMapped
                }
                if isMapped, !entry.isEmpty, isIndexed(id) { index.insert(id, of: unmapped) }
            }
        }
        self.unmapped = unmapped
    }

    var count: Int { entries.count }

    /// The bytes that entries stand for.
    private var surfaces: ByteStrings { unmapped ?? entries }

    /// The id of the entry that stands for bytes, or -1.
    @inline(__always)
    func token(of bytes: UTF8Text) -> Int32 {
        if let unmapped { return Int32(truncatingIfNeeded: index.position(of: bytes, in: unmapped)) }
        return Int32(truncatingIfNeeded: index.position(of: bytes, in: entries))
    }

    /// The id of an entry as the file writes it, or -1.
    func token(ofEntry entry: UTF8Text) -> Int32 {
        guard isByteLevel else { return token(of: entry) }
        var bytes: [UInt8] = []
        guard ByteAlphabet.append(bytesOf: entry, to: &bytes) else { return -1 }
        return bytes.withUnsafeBufferPointer { token(of: $0) }
    }

    /// The bytes that an entry stands for, before any decoder.
    func withSurface<Result>(_ id: Int, _ body: (UTF8Text) -> Result) -> Result {
        surfaces.withString(id, body)
    }

    func contains(_ id: TokenID) -> Bool { id >= 0 && Int(id) < count && entries.byteCount(Int(id)) > 0 }
}
