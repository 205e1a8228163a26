import CProcess
import Deployments
import Glibc

/// Reads a log line by line from some place on, in chunks, never the whole of it.
struct LogReader: ~Copyable, Sendable {
    private struct Part: Sendable {
        var file: Int32
        var offset: Int64
        /// Where to stop; nil for the file's end, whenever that is reached.
        var end: Int64?
    }

    /// What is yet to be read: the log, and before it what is left of its beginning where it was emptied.
    private var parts: [Part] = []
    private var lines: [String] = []
    private var nextIndex = 0
    private var carry: [UInt8] = []
    /// Whether the rest of a line whose beginning is gone comes next.
    private var skipsToNewline = false
    private var chunk = [UInt8](repeating: 0, count: 64 << 10)

    /// Nil where there is no log. With `follows`, what is appended later is read too: call ``nextLine()`` again after a
    /// nil.
    init?(_ log: ReplicaLog, tail: Int? = nil, since: Timestamp? = nil, follows: Bool = false) {
        let file = open(log.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { return nil }
        let size = Self.size(file)
        var start: Int64 = 0
        if let since { start = log.offset(since: since) }
        var missing = tail.map { max(0, $0) } ?? Int.max
        if tail != nil { start = max(start, Self.start(ofLast: &missing, file, size)) }
        if start == 0, missing > 0, since == nil || tail == nil {
            let earlier = open(log.earlierPath, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
            if earlier >= 0 {
                let earlierSize = Self.size(earlier)
                let offset = tail == nil ? 0 : Self.start(ofLast: &missing, earlier, earlierSize)
                parts.append(Part(file: earlier, offset: offset, end: earlierSize))
            }
        }
        parts.append(Part(file: file, offset: start, end: follows ? nil : size))
    }

    deinit { for part in parts { close(part.file) } }

    /// The next whole line; nil where there is none now. A line longer than ``ReplicaLog/maxLineBytes`` comes in
    /// pieces; what is no UTF-8 is replaced (U+FFFD).
    mutating func nextLine(atEnd isEnd: Bool = true) -> String? {
        while nextIndex == lines.count {
            lines.removeAll(keepingCapacity: true)
            nextIndex = 0
            guard fill() else {
                // What a line without an end holds is a line once nothing comes any more.
                guard isEnd, !carry.isEmpty else { return nil }
                cutLine()
                continue
            }
        }
        nextIndex += 1
        return lines[nextIndex - 1]
    }

    /// Reads a chunk; false at the end.
    private mutating func fill() -> Bool {
        while let part = parts.first {
            let wanted = part.end.map { Int(clamping: min(Int64(chunk.count), $0 - part.offset)) } ?? chunk.count
            let count = wanted > 0 ? pread(part.file, &chunk, wanted, off_t(part.offset)) : 0
            if count > 0 {
                if chunk[0] == 0, skipHole(part) { continue }
                parts[0].offset += Int64(count)
                take(chunk[..<count])
                return true
            }
            if count < 0, errno == EINTR { continue }
            if parts.count > 1 {
                close(part.file)
                parts.removeFirst()
                continue
            }
            // Emptied while it was read: go on with what was written since.
            if Self.size(part.file) < part.offset {
                parts[0].offset = 0
                if part.end != nil { parts[0].end = Self.size(part.file) }
                carry.removeAll()
                if part.end == nil { continue }
            }
            return false
        }
        return false
    }

    /// Goes on behind a hole, at the first line that is whole there. False where there is no hole.
    private mutating func skipHole(_ part: Part) -> Bool {
        let data = pbctl_next_data(part.file, part.offset)
        guard data > part.offset else { return false }
        parts[0].offset = data
        carry.removeAll()
        skipsToNewline = true
        return true
    }

    private mutating func take(_ bytes: ArraySlice<UInt8>) {
        var rest = bytes
        if skipsToNewline {
            guard let newline = rest.firstIndex(of: UInt8(ascii: "\n")) else { return }
            rest = rest[(newline + 1)...]
            skipsToNewline = false
        }
        while let newline = rest.firstIndex(of: UInt8(ascii: "\n")) {
            carry += rest[..<newline]
            cutPieces()
            if carry.last == UInt8(ascii: "\r") { carry.removeLast() }
            cutLine()
            rest = rest[(newline + 1)...]
        }
        carry += rest
        cutPieces()
    }

    private mutating func cutLine() {
        lines.append(String(decoding: carry, as: UTF8.self))
        carry.removeAll(keepingCapacity: true)
    }

    private mutating func cutPieces() {
        while carry.count > ReplicaLog.maxLineBytes {
            var length = ReplicaLog.maxLineBytes
            // Not within a character.
            while length > ReplicaLog.maxLineBytes - 4, carry[length] & 0xC0 == 0x80 { length -= 1 }
            lines.append(String(decoding: carry[..<length], as: UTF8.self))
            carry.removeFirst(length)
        }
    }

    private static func size(_ file: Int32) -> Int64 {
        var status = stat()
        return fstat(file, &status) == 0 ? Int64(status.st_size) : 0
    }

    /// Where the last `count` lines begin, looking back from the end; takes those found off `count`. A stretch without
    /// a newline counts as a line every ``ReplicaLog/maxLineBytes``, so that no more than that is read for each.
    private static func start(ofLast count: inout Int, _ file: Int32, _ size: Int64) -> Int64 {
        guard count > 0 else { return size }
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        var end = size
        var lineEnd = size
        while end > 0 {
            let begin = max(0, end - Int64(chunk.count))
            let length = pread(file, &chunk, Int(end - begin), off_t(begin))
            guard length == Int(end - begin) else { return end }
            for index in stride(from: length - 1, through: 0, by: -1) {
                let offset = begin + Int64(index)
                // A newline that ends the log begins no line.
                let isBreak = chunk[index] == UInt8(ascii: "\n") && offset + 1 < size
                guard isBreak || lineEnd - offset > Int64(ReplicaLog.maxLineBytes) else { continue }
                count -= 1
                lineEnd = offset + 1
                if count == 0 { return offset + 1 }
            }
            end = begin
            // A hole: all before it is gone.
            if chunk[0] == 0, pbctl_next_data(file, begin) > begin { return begin }
        }
        count -= 1
        return 0
    }
}
