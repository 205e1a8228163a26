/// Reads the wire format of protocol buffers: fields of a message in order.
/// https://protobuf.dev/programming-guides/encoding
struct ProtobufReader {
    /// The value of a field.
    enum Value {
        case varint(UInt64)
        case fixed64(UInt64)
        case bytes(Range<Int>)
        case fixed32(UInt32)
    }

    private let bytes: UTF8Text
    private(set) var offset: Int
    private let end: Int

    init(_ bytes: UTF8Text, _ range: Range<Int>) {
        self.bytes = bytes
        offset = range.lowerBound
        end = range.upperBound
    }

    /// The next field's number and value; nil at the end of the message.
    mutating func next() throws(TokenizerError) -> (field: Int, value: Value)? {
        guard offset < end else { return nil }
        let start = offset
        let key = try varint()
        guard key >> 3 > 0, key >> 3 < 1 << 29 else {
            throw .malformedModel(offset: start, expected: "a field number", found: "\(key >> 3)")
        }
        let value: Value
        switch key & 7 {
        case 0: value = .varint(try varint())
        case 1: value = .fixed64(try fixed(8))
        case 2:
            let length = try varint()
            guard length <= UInt64(end - offset) else {
                throw .malformedModel(offset: offset, expected: "\(length) bytes", found: "\(end - offset)")
            }
            value = .bytes(offset..<offset + Int(length))
            offset += Int(length)
        case 5: value = .fixed32(UInt32(truncatingIfNeeded: try fixed(4)))
        default: throw .malformedModel(offset: start, expected: "wire type 0, 1, 2 or 5", found: "\(key & 7)")
        }
        return (Int(key >> 3), value)
    }

    private mutating func varint() throws(TokenizerError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard offset < end else { throw .malformedModel(offset: offset, expected: "a varint", found: "the end") }
            let byte = bytes[offset]
            offset += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 { return value }
        }
        throw .malformedModel(offset: offset, expected: "a varint of at most 10 bytes", found: "a longer one")
    }

    private mutating func fixed(_ count: Int) throws(TokenizerError) -> UInt64 {
        guard end - offset >= count else {
            throw .malformedModel(offset: offset, expected: "\(count) bytes", found: "\(end - offset)")
        }
        var value: UInt64 = 0
        for index in 0..<count { value |= UInt64(bytes[offset + index]) << UInt64(8 * index) }
        offset += count
        return value
    }
}
