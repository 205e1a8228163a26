/// Cuts a text in which spaces are `▁` into stretches that can be encoded apart: before a `▁` where no entry of the
/// vocabulary holds the character on its left followed by `▁`, so that no merge can cross.
struct SpaceBoundary: Sendable {
    /// Characters after which a `▁` occurs inside of an entry.
    private var joined: Set<UInt32> = []
    private var isJoinedASCII = Array(repeating: false, count: 128)

    private static let marker: UInt32 = 0x2581
    private static let bytes: [UInt8] = [0xE2, 0x96, 0x81]

    init(vocabulary: borrowing Vocabulary) {
        vocabulary.entries.bytes.withUnsafeBufferPointer { bytes in
            let offsets = vocabulary.entries.offsets
            for id in 0..<vocabulary.count {
                let entry = bytes.slice(Int(offsets[id]), Int(offsets[id + 1]))
                guard entry.count > 3 else { continue }
                for offset in 1..<entry.count - 2 where Self.isMarker(entry, offset) {
                    let scalar = entry.scalar(before: offset).value
                    guard scalar != Self.marker else { continue }
                    if scalar < 128 { isJoinedASCII[Int(scalar)] = true } else { joined.insert(scalar) }
                }
            }
        }
    }

    @inline(__always)
    private static func isMarker(_ text: UTF8Text, _ offset: Int) -> Bool {
        text[offset] == 0xE2 && text[offset + 1] == 0x96 && text[offset + 2] == 0x81
    }

    /// Appends the stretches of a range.
    func split(_ text: UTF8Text, _ range: TextRange, to output: inout [TextRange]) {
        var start = range.start
        var offset = start + 1
        while offset + 2 < range.end {
            guard Self.isMarker(text, offset) else {
                offset += 1
                continue
            }
            let scalar = text.scalar(before: offset).value
            let isJoined = scalar < 128 ? isJoinedASCII[Int(scalar)] : scalar == Self.marker || joined.contains(scalar)
            if !isJoined {
                output.append(TextRange(start: start, end: offset))
                start = offset
            }
            offset += 3
        }
        if start < range.end { output.append(TextRange(start: start, end: range.end)) }
    }
}
