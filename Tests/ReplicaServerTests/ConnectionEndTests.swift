import Glibc
import HTTPServing
import Hummingbird
import HummingbirdCore
import HummingbirdTesting
import NIOCore
import NIOPosix
import Testing

@testable import ReplicaServer

/// What a request's handler knows of its connection.
private struct WatchedContext: InitializableFromSource, Sendable {
    let channel: any Channel
    let connection: ConnectionContext

    init(source: ApplicationRequestContextSource) {
        channel = source.channel
        connection = ConnectionContext(source: source)
    }
}

/// Looks for the client only when its connection has ended.
private struct LateResponder: HTTPResponder {
    let seen: AsyncStream<Bool>.Continuation

    func respond(to request: Request, context: WatchedContext) async throws -> Response {
        try? await context.channel.closeFuture.get()
        seen.yield(await context.connection.presence().isGone)
        return Response(status: .ok)
    }
}

/// Writes without end, and tells when that is no longer possible.
private struct EndlessResponder: HTTPResponder {
    let events: AsyncStream<Bool>.Continuation

    func respond(to request: Request, context: WatchedContext) async throws -> Response {
        Response(
            status: .ok,
            body: ResponseBody { writer in
                events.yield(true)
                do {
                    while true { try await writer.write(ByteBuffer(repeating: 0x2E, count: 1 << 14)) }
                } catch {
                    events.yield(false)
                    throw error
                }
            })
    }
}

/// A socket that is used as clients of C use theirs.
private final class PlainSocket: Sendable {
    private let file: Int32

    init(port: Int) throws {
        file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(file, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw CancellationError() }
    }

    deinit { close(file) }

    func send(_ text: String) {
        let bytes = Array(text.utf8)
        _ = Glibc.send(file, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }

    /// What comes until so many bytes are there or the connection ends.
    func receive(_ count: Int = .max) async throws -> String {
        try await NIOThreadPool.singleton.runIfActive { [file] in
            var bytes: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: min(count, 4096))
            while bytes.count < count {
                let received = recv(file, &chunk, chunk.count, 0)
                guard received > 0 else { break }
                bytes += chunk[..<received]
            }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    /// From now on closing it resets the connection.
    func resetsWhenClosed() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(file, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }
}

private func head(_ path: String, length: Int, _ fields: String = "") -> String {
    "POST \(path) HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: \(length)\r\n\(fields)\r\n"
}

/// A request has as long as a busy machine may take to come back to a test.
private let timeouts = ConnectionTimeouts(
    request: .seconds(600), drainingRequest: .milliseconds(50), drainingWrite: .milliseconds(100))

/// A server whose connections are told when it drains.
private func withServer(
    _ responder: some HTTPResponder<some InitializableFromSource<ApplicationRequestContextSource> & Sendable>,
    _ connections: OpenConnections = OpenConnections(), _ test: @escaping @Sendable (Int) async throws -> Void
) async throws {
    let application = Application(
        responder: responder, server: .http1(configuration: timeouts.channelConfiguration(connections)))
    try await application.test(.live) { client in
        guard let port = client.port else { throw CancellationError() }
        try await test(port)
    }
}

@Suite("Ends of connections", .timeLimit(.minutes(10))) struct ConnectionEndTests {
    @Test("A client that reset its connection is gone, also for who looks only afterwards")
    func reset() async throws {
        let (seen, continuation) = AsyncStream.makeStream(of: Bool.self)
        try await withServer(LateResponder(seen: continuation)) { port in
            do {
                let socket = try PlainSocket(port: port)
                socket.send(head("/", length: 0, "Expect: 100-continue\r\n"))
                // The server has read the head when it says so.
                _ = try await socket.receive(12)
                socket.resetsWhenClosed()
            }
            for await isGone in seen {
                #expect(isGone)
                break
            }
        }
    }

    @Test("A client that expects it is told to send its body, after the answers before it")
    func expectation() async throws {
        let service = ReplicaService(ScriptedModel(), ReplicaConfiguration())
        try await withServer(ReplicaResponder(service)) { port in
            let socket = try PlainSocket(port: port)
            let body = #"{"inputs":"a"}"#
            let expecting = head("/generate", length: body.utf8.count, "Expect: 100-continue\r\n")
            socket.send(expecting)
            let go = "HTTP/1.1 100 Continue\r\n\r\n"
            #expect(try await socket.receive(go.utf8.count) == go)
            // The second request's head comes before the first one's answer.
            socket.send(body + expecting)
            var text = ""
            while !text.hasSuffix(go) { text += try await socket.receive(1) }
            #expect(text.hasPrefix("HTTP/1.1 200 OK\r\n") && text.contains(#"{"generated_text":"w1 w2 "}"#))
            socket.send(body)
            #expect(try await socket.receive(15).hasPrefix("HTTP/1.1 200 OK"))
        }
    }

    @Test("A request that is only half here is given up when the server drains; one that runs is finished")
    func halfSent() async throws {
        let (model, connections) = (ScriptedModel(waits: true), OpenConnections())
        let service = ReplicaService(model, ReplicaConfiguration())
        try await withServer(ReplicaResponder(service), connections) { port in
            let (half, whole) = (try PlainSocket(port: port), try PlainSocket(port: port))
            half.send(head("/generate", length: 100) + #"{"inputs""#)
            let body = #"{"inputs":"a"}"#
            whole.send(head("/generate_stream", length: body.utf8.count, "Connection: close\r\n") + body)
            await model.waitForRunning(1)
            service.admission.startDraining()
            connections.startDraining()
            #expect(try await half.receive() == "")
            model.finishAll()
            #expect(try await whole.receive().contains("w1 w2"))
        }
    }

    @Test("A client that reads nothing is given up soon when the server drains")
    func stalled() async throws {
        let (events, continuation) = AsyncStream.makeStream(of: Bool.self)
        let connections = OpenConnections()
        try await withServer(EndlessResponder(events: continuation), connections) { port in
            let socket = try PlainSocket(port: port)
            socket.send(head("/", length: 0))
            for await isWriting in events {
                guard isWriting else { break }
                connections.startDraining()
            }
            #expect(try await socket.receive(8) == "HTTP/1.1")
        }
    }

    @Test("When patience ends, so do the connections and their requests")
    func patience() async throws {
        let (model, connections) = (ScriptedModel(waits: true), OpenConnections())
        let service = ReplicaService(model, ReplicaConfiguration())
        try await withServer(ReplicaResponder(service), connections) { port in
            let socket = try PlainSocket(port: port)
            let body = #"{"inputs":"a"}"#
            socket.send(head("/generate", length: body.utf8.count) + body)
            await model.waitForRunning(1)
            connections.closeAll()
            #expect(try await socket.receive() == "")
            await model.waitForRunning(0)
            await service.admission.drain()
        }
    }
}
