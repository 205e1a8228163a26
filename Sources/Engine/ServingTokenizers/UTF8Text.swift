/// Reading well-formed UTF-8 without checks. Everything that is tokenized has been made well-formed before.
typealias UTF8Text = UnsafeBufferPointer<UInt8>

extension UnsafeBufferPointer<UInt8> {
    /// The scalar that starts at an offset, and its length in bytes.
    @inline(__always)
    func scalar(at offset: Int) -> (value: UInt32, length: Int) {
        let first = UInt32(self[offset])
        if first < 0x80 { return (first, 1) }
        if first < 0xE0, offset + 1 < count {
            return ((first & 0x1F) << 6 | UInt32(self[offset + 1]) & 0x3F, 2)
        }
        if first < 0xF0, offset + 2 < count {
            return (
                (first & 0x0F) << 12 | (UInt32(self[offset + 1]) & 0x3F) << 6 | UInt32(self[offset + 2]) & 0x3F, 3
            )
        }
        guard offset + 3 < count else { return (0xFFFD, count - offset) }
        let high = (first & 0x07) << 18 | (UInt32(self[offset + 1]) & 0x3F) << 12
        return (high | (UInt32(self[offset + 2]) & 0x3F) << 6 | UInt32(self[offset + 3]) & 0x3F, 4)
    }

    /// The scalar that ends before an offset, and its length in bytes.
    func scalar(before offset: Int) -> (value: UInt32, length: Int) {
        var start = offset - 1
        while start > 0, self[start] & 0xC0 == 0x80, offset - start < 4 { start -= 1 }
        return scalar(at: start)
    }

    /// The bytes of a range.
    @inline(__always)
    func slice(_ start: Int, _ end: Int) -> UTF8Text {
        UnsafeBufferPointer(start: baseAddress.map { $0 + start }, count: end - start)
    }
}

extension Array<UInt8> {
    /// Appends a scalar as UTF-8.
    mutating func append(scalar: UInt32) {
        switch scalar {
        case ..<0x80: append(UInt8(scalar))
        case ..<0x800:
            append(UInt8(0xC0 | scalar >> 6))
            append(UInt8(0x80 | scalar & 0x3F))
        case ..<0x10000:
            append(UInt8(0xE0 | scalar >> 12))
            append(UInt8(0x80 | scalar >> 6 & 0x3F))
            append(UInt8(0x80 | scalar & 0x3F))
        default:
            append(UInt8(0xF0 | scalar >> 18 & 7))
            append(UInt8(0x80 | scalar >> 12 & 0x3F))
            append(UInt8(0x80 | scalar >> 6 & 0x3F))
            append(UInt8(0x80 | scalar & 0x3F))
        }
    }
}
