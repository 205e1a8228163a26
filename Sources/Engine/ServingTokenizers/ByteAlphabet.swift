/// The printable characters that stand for bytes in byte-level vocabularies.
///
/// OpenAI's GPT-2 encoder: the bytes `!`...`~`, 0xA1...0xAC and 0xAE...0xFF stand for themselves as scalars; the other
/// 68, in order, are U+0100 and following.
enum ByteAlphabet {
    /// The scalar of each byte.
    static let scalars: [UInt32] = {
        var next: UInt32 = 0x100
        return (0..<256).map { byte -> UInt32 in
            if (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || byte >= 0xAE { return UInt32(byte) }
            defer { next += 1 }
            return next
        }
    }()

    /// The byte of each scalar below 0x144, or -1.
    private static let bytes: [Int16] = {
        var bytes = [Int16](repeating: -1, count: 0x144)
        for (byte, scalar) in scalars.enumerated() { bytes[Int(scalar)] = Int16(byte) }
        return bytes
    }()

    /// Appends the bytes that a vocabulary entry stands for. Returns false, and appends nothing, where one of its
    /// characters is not of the alphabet.
    static func append(bytesOf entry: UTF8Text, to output: inout [UInt8]) -> Bool {
        let start = output.count
        return bytes.withUnsafeBufferPointer { bytes in
            var offset = 0
            while offset < entry.count {
                let (scalar, length) = entry.scalar(at: offset)
                guard scalar < 0x144, bytes[Int(scalar)] >= 0 else {
                    output.removeLast(output.count - start)
                    return false
                }
                output.append(UInt8(truncatingIfNeeded: bytes[Int(scalar)]))
                offset += length
            }
            return true
        }
    }

    /// The vocabulary entry for bytes.
    static func entry(of bytes: some Sequence<UInt8>) -> [UInt8] {
        var entry: [UInt8] = []
        for byte in bytes { entry.append(scalar: scalars[Int(byte)]) }
        return entry
    }
}
