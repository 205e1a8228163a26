/// A string as Python has it: a sequence of Unicode scalars, compared scalar by scalar.
///
/// Held as UTF-8 with the number of scalars, so that positions in ASCII text cost nothing. `isMarkup` marks what the
/// `safe` and `escape` filters return: joining it to plain text with `+` escapes the plain text.
struct Text: Sendable {
    private(set) var bytes: [UInt8]
    /// Number of Unicode scalars.
    private(set) var count: Int
    var isMarkup = false

    init() {
        bytes = []
        count = 0
    }

    init(bytes: [UInt8], isMarkup: Bool = false) {
        self.bytes = bytes
        count = Text.scalarCount(bytes[...])
        self.isMarkup = isMarkup
    }

    init(_ slice: ArraySlice<UInt8>) { self.init(bytes: Array(slice)) }

    init(_ string: String) { self.init(bytes: Array(string.utf8)) }

    init(_ scalars: some Sequence<Unicode.Scalar>) {
        self.init()
        for scalar in scalars { append(scalar) }
    }

    private init(bytes: [UInt8], count: Int) {
        self.bytes = bytes
        self.count = count
    }

    static func scalarCount(_ bytes: ArraySlice<UInt8>) -> Int {
        bytes.withUnsafeBufferPointer { bytes in
            var count = 0
            for byte in bytes where byte & 0xC0 != 0x80 { count += 1 }
            return count
        }
    }

    var isEmpty: Bool { bytes.isEmpty }
    var isASCII: Bool { count == bytes.count }
    var string: String { String(decoding: bytes, as: UTF8.self) }
    var scalars: [Unicode.Scalar] { isASCII ? bytes.map { Unicode.Scalar($0) } : Array(string.unicodeScalars) }
    var plain: Text { Text(bytes: bytes, count: count) }

    func marked(_ isMarkup: Bool) -> Text {
        var copy = self
        copy.isMarkup = isMarkup
        return copy
    }

    mutating func append(_ scalar: Unicode.Scalar) {
        if scalar.isASCII {
            bytes.append(UInt8(scalar.value))
        } else {
            bytes.append(contentsOf: UTF8.encode(scalar) ?? .init())
        }
        count += 1
    }

    mutating func append(_ other: Text) {
        bytes.append(contentsOf: other.bytes)
        count += other.count
    }

    mutating func append(_ literal: StaticString) {
        literal.withUTF8Buffer { bytes.append(contentsOf: $0) }
        count += literal.utf8CodeUnitCount
    }

    static func + (left: Text, right: Text) -> Text {
        var sum = left
        sum.append(right)
        return sum
    }

    /// The scalars as texts of one scalar each.
    var elements: [Text] {
        if isASCII { return bytes.map { Text(bytes: [$0], count: 1) } }
        return scalars.map { Text(CollectionOfOne($0)) }
    }

    /// Byte offset of the scalar at a position from 0 through `count`.
    func byteOffset(of position: Int) -> Int {
        if isASCII || position == 0 { return position }
        if position >= count { return bytes.count }
        var seen = -1
        for (offset, byte) in bytes.enumerated() where byte & 0xC0 != 0x80 {
            seen += 1
            if seen == position { return offset }
        }
        return bytes.count
    }

    func position(ofByte offset: Int) -> Int { isASCII ? offset : Text.scalarCount(bytes[..<offset]) }

    /// The scalars at positions in a range that lies within the text.
    subscript(range: Range<Int>) -> Text {
        if range.lowerBound == 0, range.upperBound == count { return self }
        let start = byteOffset(of: range.lowerBound)
        let end = byteOffset(of: range.upperBound)
        return Text(bytes: Array(bytes[start..<end]), count: range.count).marked(isMarkup)
    }

    /// Python's `text[start:stop:step]` after the bounds were settled by `Slice`.
    subscript(slice: ResolvedSlice) -> Text {
        if slice.step == 1 { return self[slice.start..<max(slice.start, slice.stop)] }
        let all = scalars
        return Text(slice.positions.map { all[$0] }).marked(isMarkup)
    }
}

extension Text: Hashable, Comparable {
    static func == (left: Text, right: Text) -> Bool { left.bytes == right.bytes }

    func hash(into hasher: inout Hasher) { bytes.withUnsafeBytes { hasher.combine(bytes: $0) } }

    /// UTF-8 sorts as its scalars do.
    static func < (left: Text, right: Text) -> Bool { left.bytes.lexicographicallyPrecedes(right.bytes) }
}

extension Text: ExpressibleByStringLiteral {
    init(stringLiteral value: StaticString) {
        self.init()
        append(value)
    }
}

/// The elements that a slice chooses from a sequence, as Python's `slice.indices` gives them.
struct ResolvedSlice {
    let start: Int
    let stop: Int
    let step: Int

    init(start: Int?, stop: Int?, step: Int?, count: Int) throws(Failure) {
        let step = step ?? 1
        guard step != 0 else { throw Failure(.value, "slice step cannot be zero") }
        let lowest = step < 0 ? -1 : 0
        let highest = step < 0 ? count - 1 : count
        func clamp(_ bound: Int) -> Int {
            bound < 0 ? max(bound + count, lowest) : min(bound, highest)
        }
        self.start = start.map(clamp) ?? (step < 0 ? highest : lowest)
        self.stop = stop.map(clamp) ?? (step < 0 ? lowest : highest)
        self.step = step
    }

    var positions: [Int] {
        guard step > 0 ? start < stop : start > stop else { return [] }
        var positions: [Int] = []
        var position = start
        while step > 0 ? position < stop : position > stop {
            positions.append(position)
            let (next, overflow) = position.addingReportingOverflow(step)
            if overflow { break }
            position = next
        }
        return positions
    }
}
