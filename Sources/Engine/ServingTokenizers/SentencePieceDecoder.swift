/// SentencePiece's decoding rules: `SentencePieceProcessor::Decode`.
struct SentencePieceDecoder: Sendable {
    /// Whether the space that stands for the start of the text is dropped.
    let dropsFirstSpace: Bool
    /// Whether all spaces at the start are dropped, over several pieces.
    let dropsAllFirstSpaces: Bool
    let unknownSurface: [UInt8]
    private var isAtStart = true
    private var hasDropped = false
    /// Bytes of a run so far.
    private var bytes: [UInt8] = []

    init(dropsFirstSpace: Bool, dropsAllFirstSpaces: Bool, unknownSurface: [UInt8]) {
        self.dropsFirstSpace = dropsFirstSpace
        self.dropsAllFirstSpaces = dropsAllFirstSpaces
        self.unknownSurface = unknownSurface
    }

    static let space: [UInt8] = [0xE2, 0x96, 0x81]

    mutating func append(_ entry: ArraySlice<UInt8>, _ kind: Vocabulary.Kind, to output: inout [UInt8]) {
        if kind == .byte, let byte = Decoder.byte(of: entry) {
            bytes.append(byte)
            flushBytes(isFinal: false, &output)
            return
        }
        flushBytes(isFinal: true, &output)
        switch kind {
        case .control: return
        case .unknown:
            output.append(contentsOf: unknownSurface)
            isAtStart = false
        default:
            var piece = entry
            var drops = false
            if isAtStart, dropsFirstSpace || dropsAllFirstSpaces, piece.starts(with: Self.space) {
                piece = piece.dropFirst(Self.space.count)
                drops = true
            }
            let text = TextReplacement(target: .literal(Self.space), content: [0x20]).apply(to: Array(piece))
            output.append(contentsOf: text)
            if !text.isEmpty || drops && !dropsAllFirstSpaces { isAtStart = false }
        }
    }

    mutating func finish(to output: inout [UInt8]) { flushBytes(isFinal: true, &output) }

    /// Gives out whole characters; a byte that no character starts with is U+FFFD.
    private mutating func flushBytes(isFinal: Bool, _ output: inout [UInt8]) {
        var start = 0
        while start < bytes.count {
            let rest = Array(bytes[start...])
            var length = 0
            for count in 1...4 where count <= rest.count && length == 0 {
                if UTF8Repair.isWellFormed(Array(rest.prefix(count))) { length = count }
            }
            if length == 0 {
                if !isFinal, rest.count < 4, UTF8Repair.incompleteSuffixCount(rest) == rest.count { break }
                output.append(contentsOf: [0xEF, 0xBF, 0xBD])
                length = 1
            } else {
                output.append(contentsOf: rest.prefix(length))
            }
            isAtStart = false
            start += length
        }
        bytes.removeFirst(start)
    }
}
