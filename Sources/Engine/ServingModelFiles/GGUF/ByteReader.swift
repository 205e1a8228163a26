/// Reads little-endian fields of a file in order, each checked against the file's end.
struct ByteReader {
    let file: MappedFile
    private(set) var offset: Int

    init(_ file: MappedFile, at offset: Int = 0) {
        self.file = file
        self.offset = offset
    }

    var remaining: Int { file.count - offset }

    /// A number; `part` says in errors what it belongs to.
    mutating func integer<Number: FixedWidthInteger>(
        _ part: @autoclosure () -> String
    ) throws(ModelFileError) -> Number {
        let size = MemoryLayout<Number>.size
        guard remaining >= size else { throw truncated(part(), needed: size) }
        let value = Number(littleEndian: file.bytes.loadUnaligned(fromByteOffset: offset, as: Number.self))
        offset += size
        return value
    }

    /// The range of a string's bytes: a 64-bit length and that many bytes.
    mutating func string(_ part: @autoclosure () -> String) throws(ModelFileError) -> Range<Int> {
        let start = offset
        let length: UInt64 = try integer(part())
        guard length <= UInt64(remaining) else {
            throw ModelFileError(
                .truncated, file: file.path, offset: start, subject: part(),
                "a string of \(length) bytes runs past the end of the file, which has \(file.count) bytes",
                hint: Self.incompleteHint)
        }
        return try skip(Int(length), part())
    }

    /// The range of the next bytes.
    @discardableResult
    mutating func skip(_ count: Int, _ part: @autoclosure () -> String) throws(ModelFileError) -> Range<Int> {
        guard remaining >= count else { throw truncated(part(), needed: count) }
        offset += count
        return offset - count..<offset
    }

    private func truncated(_ part: String, needed: Int) -> ModelFileError {
        ModelFileError(
            .truncated, file: file.path, offset: offset, subject: part,
            "needs \(needed) bytes, the file ends after \(remaining)", hint: Self.incompleteHint)
    }

    static let incompleteHint = "download incomplete?"
}
