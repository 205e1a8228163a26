import Crypto
import Glibc
import Synchronization

/// A hub on 127.0.0.1 that speaks just enough HTTP/1.1, and misbehaves on demand.
final class LoopbackHub: Sendable {
    struct File: Sendable {
        var path: String
        var content: [UInt8]
        var isLarge = true
        var announcedSHA256: String?
    }

    struct Request: Sendable {
        let path: String
        let fields: [String: String]
    }

    /// What is done with a request for a file before it is answered as usual.
    enum Fault: Sendable {
        /// Close the connection after so many bytes of the body.
        case dies(afterBytes: Int)
        /// Answer with a status and header lines.
        case status(Int, [String])
        /// Send the whole file to a request for a part.
        case ignoresRange
        /// Send a Content-Length other than the list's size.
        case wrongLength(Int)
        /// Redirect to another hub.
        case redirects(to: String)
    }

    private struct State {
        var files: [File] = []
        var faults: [Fault] = []
        var listFaults: [Fault] = []
        var requests: [Request] = []
        var commit = "0123456789abcdef0123456789abcdef01234567"
        var onFile: (@Sendable () -> Void)?
        /// Tokens that may see the files; nil for everybody.
        var tokens: Set<String>?
    }

    let port: UInt16
    private let listener: Int32
    private let state = Mutex(State())

    var endpoint: String { "http://127.0.0.1:\(port)" }
    var requests: [Request] { state.withLock { $0.requests } }
    var fileRequests: [Request] { requests.filter { $0.path.contains("/resolve/") } }

    init(_ files: [File], faults: [Fault] = [], listFaults: [Fault] = []) throws {
        unsetenv("http_proxy")
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.listener = listener
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(listener, address, length) == 0 && listen(listener, 64) == 0
                    && getsockname(listener, address, &length) == 0
            }
        }
        guard bound else { throw POSIXFailure(number: errno) }
        port = UInt16(bigEndian: address.sin_port)
        state.withLock { state in
            (state.files, state.faults, state.listFaults) = (files, faults, listFaults)
        }
        startThread { [self] in
            while true {
                let connection = accept(listener, nil, nil)
                guard connection >= 0 else {
                    close(listener)
                    return
                }
                startThread { self.serve(connection) }
            }
        }
    }

    struct POSIXFailure: Error { let number: Int32 }

    /// The thread that accepts closes the descriptor: closed here, its number might be another hub's by the next
    /// accept.
    func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

    func change(files: [File], commit: String) {
        state.withLock { state in
            (state.files, state.commit) = (files, commit)
        }
    }

    /// Makes the repository private to some tokens.
    func admit(_ tokens: Set<String>) { state.withLock { $0.tokens = tokens } }

    func onEachFile(_ body: @escaping @Sendable () -> Void) { state.withLock { $0.onFile = body } }

    private func serve(_ connection: Int32) {
        defer { close(connection) }
        guard let request = Self.readRequest(connection) else { return }
        state.withLock { $0.requests.append(request) }
        if let tokens = state.withLock({ $0.tokens }),
            !tokens.contains(String((request.fields["authorization"] ?? "").dropFirst("Bearer ".count)))
        {
            send(connection, 401, [], [])
            return
        }
        if request.path.hasPrefix("/api/models/") {
            if let fault = state.withLock({ $0.listFaults.isEmpty ? nil : $0.listFaults.removeFirst() }) {
                guard case .status(let status, let lines) = fault else { return }
                send(connection, status, lines, Array("{\"error\":\"as told\"}".utf8))
                return
            }
            send(connection, 200, [], Array(list().utf8))
            return
        }
        state.withLock { $0.onFile }?()
        let file = state.withLock { state in state.files.first { request.path.hasSuffix("/" + $0.path) } }
        guard let file else {
            send(connection, 404, [], [])
            return
        }
        sendFile(connection, file, request, state.withLock { $0.faults.isEmpty ? nil : $0.faults.removeFirst() })
    }

    private func sendFile(_ connection: Int32, _ file: File, _ request: Request, _ fault: Fault?) {
        var content = file.content
        var lines: [String] = []
        var status = 200
        let start = request.fields["range"].flatMap { Int($0.dropFirst(6).dropLast()) }
        if let start {
            guard start < content.count else {
                send(connection, 416, [], [])
                return
            }
            status = 206
            lines = ["Content-Range: bytes \(start)-\(content.count - 1)/\(content.count)"]
            content = Array(content[start...])
        }
        switch fault {
        case nil: send(connection, status, lines, content)
        case .status(let status, let lines): send(connection, status, lines, Array("{\"error\":\"as told\"}".utf8))
        case .dies(let count): send(connection, status, lines, content, cutAfter: count)
        case .ignoresRange: send(connection, 200, [], file.content)
        case .wrongLength(let length):
            send(
                connection, status, lines,
                Array(content.prefix(length)) + Array(repeating: 0, count: max(0, length - content.count)))
        case .redirects(let endpoint): send(connection, 302, ["Location: \(endpoint)\(request.path)"], [])
        }
    }

    private func list() -> String {
        let (files, commit) = state.withLock { ($0.files, $0.commit) }
        let siblings = files.map { file in
            let size = file.content.count
            if file.isLarge {
                let sha256 = file.announcedSHA256 ?? hexadecimal(SHA256.hash(data: file.content))
                return
                    #"{"rfilename":"\#(file.path)","size":\#(size),"blobId":"00","lfs":{"sha256":"\#(sha256)","size":\#(size)}}"#
            }
            var hash = Insecure.SHA1()
            hash.update(data: Array("blob \(size)\0".utf8) + file.content)
            return #"{"rfilename":"\#(file.path)","size":\#(size),"blobId":"\#(hexadecimal(hash.finalize()))"}"#
        }
        return #"{"sha":"\#(commit)","siblings":[\#(siblings.joined(separator: ","))]}"#
    }

    private func send(
        _ connection: Int32, _ status: Int, _ lines: [String], _ body: [UInt8], cutAfter: Int? = nil
    ) {
        let head =
            (["HTTP/1.1 \(status) X", "Content-Length: \(body.count)", "Connection: close"] + lines)
            .joined(separator: "\r\n") + "\r\n\r\n"
        var bytes = Array(head.utf8) + (cutAfter.map { Array(body.prefix($0)) } ?? body)
        while !bytes.isEmpty {
            let count = Glibc.send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL))
            guard count > 0 else { return }
            bytes.removeFirst(count)
        }
    }

    private static func readRequest(_ connection: Int32) -> Request? {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while !String(decoding: bytes, as: UTF8.self).contains("\r\n\r\n") {
            let count = read(connection, &chunk, chunk.count)
            guard count > 0 else { return nil }
            bytes += chunk[..<count]
        }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\r\n")
        let words = lines[0].split(separator: " ")
        guard words.count >= 2 else { return nil }
        var fields: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            fields[line[..<colon].lowercased()] = String(line[line.index(after: colon)...].drop { $0 == " " })
        }
        return Request(path: String(words[1]), fields: fields)
    }
}

func hexadecimal(_ digest: some Sequence<UInt8>) -> String {
    digest.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

private final class ThreadBody: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

func startThread(_ body: @escaping @Sendable () -> Void) {
    var thread = pthread_t()
    pthread_create(
        &thread, nil,
        { context in
            if let context { Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue().run() }
            return nil
        }, Unmanaged.passRetained(ThreadBody(body)).toOpaque())
    pthread_detach(thread)
}

/// A folder of its own for a test, gone after it.
final class ScratchFolder: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/pbctl-hub-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw LoopbackHub.POSIXFailure(number: errno) }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        let path = path
        _ = try? removeTree(path)
    }
}

/// Bytes that look random and are the same in every run.
func content(_ count: Int, seed: UInt64) -> [UInt8] {
    var state = seed &* 2_862_933_555_777_941_757 &+ 3_037_000_493
    return (0..<count).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(truncatingIfNeeded: state >> 33)
    }
}
