import Glibc

/// Cuts a stream of server-sent events into the payloads of its `data:` lines, as they arrive in pieces.
///
/// Each line counts as an event of its own: all servers that are measured send JSON on one line.
struct EventStreamReader {
    /// The start of a line whose end has not arrived.
    private var partial: [UInt8] = []

    /// The longest line that is kept; no server of good will sends one.
    static let lineLimit = 16 << 20

    /// Takes a piece of the stream and calls `event` with each payload that it completes.
    /// - Returns: false when a line is longer than ``lineLimit``.
    mutating func feed(_ bytes: UnsafeRawBufferPointer, event: (UnsafeRawBufferPointer) -> Void) -> Bool {
        var rest = bytes
        while let start = rest.baseAddress, rest.count > 0 {
            guard let end = memchr(start, 0x0A, rest.count) else {
                partial.append(contentsOf: rest)
                return partial.count <= Self.lineLimit
            }
            let length = start.distance(to: UnsafeRawPointer(end))
            let line = UnsafeRawBufferPointer(rebasing: rest[..<length])
            if partial.isEmpty {
                Self.payload(of: line).map(event)
            } else {
                partial.append(contentsOf: line)
                partial.withUnsafeBytes { line in Self.payload(of: line).map(event) }
                partial.removeAll(keepingCapacity: true)
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[(length + 1)...])
        }
        return true
    }

    /// Takes the end of the stream: a last line needs no newline.
    mutating func finish(event: (UnsafeRawBufferPointer) -> Void) {
        partial.withUnsafeBytes { line in Self.payload(of: line).map(event) }
        partial = []
    }

    private static func payload(of line: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        guard line.starts(with: "data:".utf8) else { return nil }
        var (start, end) = (5, line.count)
        if start < end, line[start] == 0x20 { start += 1 }
        if end > start, line[end - 1] == 0x0D { end -= 1 }
        return UnsafeRawBufferPointer(rebasing: line[start..<end])
    }
}
