import Glibc
import Synchronization

/// A server on 127.0.0.1 that answers each request as told.
final class ScriptedServer: Sendable {
    enum Answer: Sendable {
        case json(String, status: Int = 200, fields: [String] = [])
        /// Status 200 and these pieces, chunked; a cut one lacks the last chunk, a held one waits for the client to go.
        case stream([String], end: StreamEnd = .whole)
        case close
        case hang
    }

    enum StreamEnd: Sendable { case whole, cut, held }

    struct Request: Sendable {
        let method: String
        let path: String
        let head: String
        let body: String
    }

    let port: UInt16
    private let listener: Int32
    private let answer: @Sendable (Request) -> Answer
    private let seen = Mutex<[Request]>([])
    private let gone = Mutex(0)

    var url: String { "http://127.0.0.1:\(port)" }
    var requests: [Request] { seen.withLock { $0 } }
    /// Clients that went while an answer was held or hung.
    var goneCount: Int { gone.withLock { $0 } }

    struct POSIXFailure: Error { let number: Int32 }

    init(_ answer: @escaping @Sendable (Request) -> Answer) throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        (self.listener, self.answer) = (listener, answer)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(listener, address, length) == 0 && listen(listener, 256) == 0
                    && getsockname(listener, address, &length) == 0
            }
        }
        guard bound else { throw POSIXFailure(number: errno) }
        port = UInt16(bigEndian: address.sin_port)
        startThread { [self] in
            while case let connection = accept(listener, nil, nil), connection >= 0 {
                startThread { self.serve(connection) }
            }
            close(listener)
        }
    }

    /// The thread that accepts closes the descriptor.
    func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

    private func serve(_ connection: Int32) {
        defer { close(connection) }
        while let request = Self.read(connection) {
            seen.withLock { $0.append(request) }
            switch answer(request) {
            case .close: return
            case .hang: return awaitEnd(connection)
            case .json(let body, let status, let fields):
                let head = ["HTTP/1.1 \(status) X", "Content-Length: \(body.utf8.count)"] + fields
                Self.send(connection, head.joined(separator: "\r\n") + "\r\n\r\n\(body)")
            case .stream(let pieces, let end):
                Self.send(
                    connection,
                    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
                for piece in pieces where !piece.isEmpty {
                    Self.send(connection, "\(String(piece.utf8.count, radix: 16))\r\n\(piece)\r\n")
                }
                switch end {
                case .whole: Self.send(connection, "0\r\n\r\n")
                case .cut: return
                case .held: return awaitEnd(connection)
                }
            }
        }
    }

    private func awaitEnd(_ connection: Int32) {
        var byte: UInt8 = 0
        _ = Glibc.read(connection, &byte, 1)
        gone.withLock { $0 += 1 }
    }

    private static func send(_ connection: Int32, _ text: String) {
        var bytes = Array(text.utf8)
        while !bytes.isEmpty {
            let count = Glibc.send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL))
            guard count > 0 else { return }
            bytes.removeFirst(count)
        }
    }

    private static func read(_ connection: Int32) -> Request? {
        var text = ""
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            if let end = text.firstRange(of: "\r\n\r\n") {
                let lines = text[..<end.lowerBound].split(separator: "\r\n")
                let length =
                    lines.compactMap { line -> Int? in
                        let parts = line.split(separator: ":")
                        return parts.count == 2 && parts[0].lowercased() == "content-length"
                            ? Int(parts[1].drop { $0 == " " }) : nil
                    }.first ?? 0
                let body = text[end.upperBound...]
                let words = lines[0].split(separator: " ")
                if body.utf8.count >= length, words.count > 1 {
                    return Request(
                        method: String(words[0]), path: String(words[1]), head: String(text[..<end.lowerBound]),
                        body: String(body))
                }
            }
            let count = Glibc.read(connection, &chunk, chunk.count)
            guard count > 0 else { return nil }
            text += String(decoding: chunk[..<count], as: UTF8.self)
        }
    }
}

private final class ThreadBody: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

private func startThread(_ body: @escaping @Sendable () -> Void) {
    var thread = pthread_t()
    pthread_create(
        &thread, nil,
        { context in
            if let context { Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue().run() }
            return nil
        }, Unmanaged.passRetained(ThreadBody(body)).toOpaque())
    pthread_detach(thread)
}
