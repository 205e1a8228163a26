package import NIOCore

/// Cuts a stream of server-sent events into whole frames: everything up to and with an empty line.
///
/// What comes is kept as it is where a frame lies in one piece of it; only what is left of a piece is copied to the
/// next.
package struct EventFrameSplitter: Sendable {
    /// A frame that is larger than any there should be.
    package struct TooLarge: Error, Equatable {
        package let limit: Int
    }

    private let limit: Int
    private var pending = ByteBuffer()
    /// How much of `pending` was searched and holds no end of a frame.
    private var searched = 0

    /// - Parameter limit: bytes that a frame may have.
    package init(limit: Int) { self.limit = limit }

    /// Takes what came.
    package mutating func append(_ bytes: ByteBuffer) {
        if pending.readableBytes == 0 {
            pending = bytes
        } else {
            var rest = ByteBuffer()
            rest.reserveCapacity(pending.readableBytes + bytes.readableBytes)
            rest.writeImmutableBuffer(pending)
            rest.writeImmutableBuffer(bytes)
            pending = rest
        }
    }

    /// The next whole frame with its empty line, or nil where none is complete.
    package mutating func next() throws(TooLarge) -> ByteBuffer? {
        let length = pending.withUnsafeReadableBytes { Self.frameLength(in: $0, from: searched) }
        guard let length else {
            // The last two bytes may be the beginning of an end.
            searched = max(0, pending.readableBytes - 2)
            guard pending.readableBytes <= limit else { throw TooLarge(limit: limit) }
            return nil
        }
        searched = 0
        guard length <= limit else { throw TooLarge(limit: limit) }
        return pending.readSlice(length: length)
    }

    /// Bytes of the first frame: up to a line feed that another one follows, with or without a carriage return between.
    private static func frameLength(in bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
        var index = start
        while index + 1 < bytes.count {
            guard bytes[index] == 0x0A else {
                index += 1
                continue
            }
            if bytes[index + 1] == 0x0A { return index + 2 }
            if bytes[index + 1] == 0x0D, index + 2 < bytes.count, bytes[index + 2] == 0x0A { return index + 3 }
            index += 1
        }
        return nil
    }
}

/// A frame's parts: comments, which the gateway reads and keeps, and the rest, which is the client's.
struct EventFrame {
    /// Where in the frame the text of each comment is, after `:` and a space.
    private(set) var comments: [Range<Int>] = []
    /// What goes to the client; empty where the frame has nothing but comments.
    private(set) var payload: Range<Int>
    /// The text of the event: what follows `data:` on its first line. Nil where there is none.
    private(set) var data: Range<Int>?

    init(_ bytes: UnsafeRawBufferPointer) {
        var start = 0
        payload = bytes.count..<bytes.count
        while start < bytes.count, bytes[start] == UInt8(ascii: ":") {
            let end = Self.lineEnd(bytes, from: start)
            var text = start + 1
            if text < end, bytes[text] == 0x20 { text += 1 }
            if text < end { comments.append(text..<end) }
            start = min(end + 1, bytes.count)
            if end < bytes.count, bytes[end] == 0x0D { start = min(end + 2, bytes.count) }
        }
        guard start < bytes.count, bytes[start] != 0x0A, bytes[start] != 0x0D else { return }
        payload = start..<bytes.count
        let end = Self.lineEnd(bytes, from: start)
        guard end - start >= 5, bytes[start..<start + 5].elementsEqual("data:".utf8) else { return }
        let text = start + 5 < end && bytes[start + 5] == 0x20 ? start + 6 : start + 5
        data = text..<end
    }

    /// Where a line ends, before its line feed and carriage return.
    private static func lineEnd(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
        var index = start
        while index < bytes.count, bytes[index] != 0x0A { index += 1 }
        return index > start && index < bytes.count && bytes[index - 1] == 0x0D ? index - 1 : index
    }
}
