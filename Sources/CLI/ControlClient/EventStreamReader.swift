/// One piece of a stream of server-sent events.
package enum StreamFrame: Sendable, Hashable {
    /// The payload of an event; the `data:` lines of several are joined by newlines.
    case data(String)
    /// A line that is for whoever cares.
    case comment(String)
}

/// Cuts a stream of server-sent events into frames, in whatever pieces it arrives. Lines end with LF, CRLF or CR.
struct EventStreamReader {
    private var line: [UInt8] = []
    private var data: [UInt8]?
    private var endedWithReturn = false
    private let limit: Int

    /// - Parameter limit: most bytes of a line or an event; no server of good will sends more.
    init(limit: Int = 16 << 20) { self.limit = limit }

    /// Takes a piece and gives the frames that it completes; nil once the stream went over the limit.
    mutating func feed(_ bytes: [UInt8]) -> [StreamFrame]? {
        var frames: [StreamFrame] = []
        for byte in bytes {
            switch byte {
            case 0x0A where endedWithReturn: endedWithReturn = false
            case 0x0A, 0x0D:
                endedWithReturn = byte == 0x0D
                if let frame = endLine() { frames.append(frame) }
            default:
                endedWithReturn = false
                line.append(byte)
            }
            guard line.count + (data?.count ?? 0) <= limit else { return nil }
        }
        return frames
    }

    /// What the end of the stream completes: a server that goes may leave out the last empty line.
    mutating func finish() -> [StreamFrame] {
        var frames: [StreamFrame] = []
        if !line.isEmpty, let frame = endLine() { frames.append(frame) }
        if let frame = endEvent() { frames.append(frame) }
        return frames
    }

    private mutating func endLine() -> StreamFrame? {
        defer { line.removeAll(keepingCapacity: true) }
        guard !line.isEmpty else { return endEvent() }
        if line[0] == UInt8(ascii: ":") { return .comment(Self.text(line.dropFirst())) }
        guard line.starts(with: "data".utf8) else { return nil }
        guard line.count == 4 || line[4] == UInt8(ascii: ":") else { return nil }
        var value = line.dropFirst(5)
        if value.first == 0x20 { value = value.dropFirst() }
        data = data.map { $0 + [0x0A] + value } ?? Array(value)
        return nil
    }

    private mutating func endEvent() -> StreamFrame? {
        defer { data = nil }
        return data.map { .data(String(decoding: $0, as: UTF8.self)) }
    }

    private static func text(_ bytes: ArraySlice<UInt8>) -> String {
        String(decoding: bytes.first == 0x20 ? bytes.dropFirst() : bytes, as: UTF8.self)
    }
}
