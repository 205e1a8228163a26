import Glibc
import Synchronization

/// Why text could not be written.
public enum OutputError: Error, Equatable, CustomStringConvertible {
    /// The reader has gone: end quietly, with status 141 or 0.
    case closed
    /// Another failure, by its `errno`.
    case failed(Int32)

    /// What happened.
    public var description: String {
        switch self {
        case .closed: "the reader of the output has gone"
        case .failed(let number): "cannot write the output: \(String(cString: strerror(number)))"
        }
    }
}

/// A descriptor to write text to, without stdio between: a token shows when it is written.
///
/// To a terminal every write goes out at once; else writes gather up to 64 KiB, or until ``flush()``.
/// Threads may share one. Needs ``TerminalState/ignoreBrokenPipes()`` for a closed pipe to be an error.
public final class TextOutput: Sendable {
    /// Standard output.
    public static let standard = TextOutput(STDOUT_FILENO)
    /// Standard error; never gathers.
    public static let error = TextOutput(STDERR_FILENO, gathers: false)

    /// Whether it is a terminal.
    public let isTerminal: Bool
    private let descriptor: Int32
    private let gathers: Bool
    private let waiting = Mutex<[UInt8]>([])
    private static let limit = 65536

    /// Text to a descriptor, which stays open when this goes.
    /// - Parameter gathers: whether small writes are gathered; by default only off a terminal.
    public init(_ descriptor: Int32, gathers: Bool? = nil) {
        self.descriptor = descriptor
        isTerminal = TerminalState.isTerminal(descriptor)
        self.gathers = gathers ?? !isTerminal
    }

    /// Writes text.
    public func write(_ text: String) throws(OutputError) { try write(Array(text.utf8)) }

    /// Writes bytes.
    public func write(_ bytes: [UInt8]) throws(OutputError) {
        try access { (waiting) throws(OutputError) in
            waiting += bytes
            if !gathers || waiting.count >= Self.limit { try drain(&waiting) }
        }
    }

    /// Writes text and a newline.
    public func writeLine(_ text: String = "") throws(OutputError) { try write(text + "\n") }

    /// Sends what has gathered.
    public func flush() throws(OutputError) {
        try access { (waiting) throws(OutputError) in try drain(&waiting) }
    }

    private func access(_ body: (inout [UInt8]) throws(OutputError) -> Void) throws(OutputError) {
        try waiting.withLock { (waiting: inout sending [UInt8]) throws(OutputError) in
            var bytes = waiting
            waiting = []
            defer { waiting = bytes }
            try body(&bytes)
        }
    }

    /// Writes all of it. After an error nothing waits any more: it could not be written the next time either.
    private func drain(_ bytes: inout [UInt8]) throws(OutputError) {
        var start = 0
        defer { bytes.removeAll(keepingCapacity: true) }
        while start < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress?.advanced(by: start), $0.count - start)
            }
            if count >= 0 {
                start += count
                continue
            }
            switch errno {
            case EINTR: continue
            case EAGAIN:
                // Someone who shares the descriptor made it non-blocking.
                var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&request, 1, -1)
            case EPIPE: throw .closed
            default: throw .failed(errno)
            }
        }
    }
}
