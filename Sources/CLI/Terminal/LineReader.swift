import Glibc

/// Lines from a descriptor, however long, without readline: for pipes and files, and terminals that can do no more.
public struct LineReader: ~Copyable {
    private let descriptor: Int32
    private var waiting: [UInt8] = []
    /// Where to look on for a newline.
    private var searched = 0
    private var isAtEnd = false

    /// Lines of a descriptor, which stays open.
    public init(_ descriptor: Int32 = 0) { self.descriptor = descriptor }

    /// The next line without its newline (and a carriage return before it), or nil at the end. Bytes that are no UTF-8
    /// become U+FFFD. A last line needs no newline.
    public mutating func next() -> String? {
        while true {
            if let end = waiting[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                defer {
                    waiting.removeFirst(end + 1)
                    searched = 0
                }
                return Self.text(waiting[..<end])
            }
            searched = waiting.count
            if isAtEnd {
                guard !waiting.isEmpty else { return nil }
                defer {
                    waiting = []
                    searched = 0
                }
                return Self.text(waiting[...])
            }
            fill()
        }
    }

    /// Whether the next line is here already.
    var hasWholeLine: Bool { isAtEnd || waiting[searched...].contains(UInt8(ascii: "\n")) }

    /// Everything up to the end, as it is.
    public mutating func rest() -> String {
        while !isAtEnd { fill() }
        defer {
            waiting = []
            searched = 0
        }
        return String(decoding: waiting, as: UTF8.self)
    }

    private static func text(_ bytes: ArraySlice<UInt8>) -> String {
        String(decoding: bytes.last == UInt8(ascii: "\r") ? bytes.dropLast() : bytes, as: UTF8.self)
    }

    private mutating func fill() {
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count > 0 {
                waiting += chunk[..<count]
                return
            }
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN {
                var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                poll(&request, 1, -1)
                continue
            }
            isAtEnd = true
            return
        }
    }
}
