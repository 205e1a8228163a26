import Deployments
import NIOCore
import NIOHTTP1
import NIOPosix
import ServingJSON
import Synchronization

/// A request as a scripted replica got it.
struct ReceivedRequest: Sendable {
    var method: String
    var path: String
    var headers: HTTPHeaders
    var body: String

    var json: JSONValue { (try? JSONValue(parsing: body)) ?? .null }
    var pbctl: JSONValue { json["pbctl"] ?? .null }
}

/// What a scripted replica does about a request, step by step.
enum ReplicaStep: Sendable {
    case head(Int, [(String, String)])
    case bytes(String)
    case end
    /// The connection ends, whatever was sent.
    case die
    /// Nothing more happens until the gate opens.
    case wait(Gate)

    static func json(_ text: String, status: Int = 200, headers: [(String, String)] = []) -> [ReplicaStep] {
        [.head(status, [("content-type", "application/json")] + headers), .bytes(text), .end]
    }

    static let eventStream = ReplicaStep.head(200, [("content-type", "text/event-stream")])
}

/// Holds scripts back until it is opened.
final class Gate: Sendable {
    private let state = Mutex<(isOpen: Bool, actions: [@Sendable () -> Void])>((false, []))

    func open() {
        let actions = state.withLock { state in
            state.isOpen = true
            defer { state.actions = [] }
            return state.actions
        }
        for action in actions { action() }
    }

    fileprivate func whenOpen(_ action: @escaping @Sendable () -> Void) {
        let isOpen = state.withLock { state in
            if !state.isOpen { state.actions.append(action) }
            return state.isOpen
        }
        if isOpen { action() }
    }
}

/// A replica on a port of this machine that does what a script says.
final class ScriptedReplica: Sendable {
    typealias Script = @Sendable (ReceivedRequest) -> [ReplicaStep]

    struct Counts {
        var received: [ReceivedRequest] = []
        /// Requests whose script has not come to its end.
        var running = 0
        /// Requests whose connection the gateway ended.
        var abandoned = 0
    }

    let id: ReplicaID
    let counts: Watched<Counts>
    private let channel: any Channel

    init(_ name: String, port: Int = 0, script: @escaping Script) async throws {
        id = ReplicaID(name)
        let counts = Watched(Counts())
        self.counts = counts
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(withPipeliningAssistance: false)
                    try channel.pipeline.syncOperations.addHandler(ScriptHandler(script, counts))
                }
            }
            .bind(host: "127.0.0.1", port: port).get()
    }

    var port: Int { channel.localAddress?.port ?? 0 }

    var routable: DeploymentRoute.RoutableReplica {
        DeploymentRoute.RoutableReplica(id: id, endpoint: ReplicaEndpoint(host: "127.0.0.1", port: port))
    }

    func stop() async { try? await channel.close() }
}

/// Runs scripts on the connection's event loop.
private final class ScriptHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let script: ScriptedReplica.Script
    private let counts: Watched<ScriptedReplica.Counts>
    private var request: ReceivedRequest?
    private var isRunning = false

    init(_ script: @escaping ScriptedReplica.Script, _ counts: Watched<ScriptedReplica.Counts>) {
        self.script = script
        self.counts = counts
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            request = ReceivedRequest(
                method: head.method.rawValue, path: head.uri, headers: head.headers, body: "")
        case .body(let bytes): request?.body += String(buffer: bytes)
        case .end:
            guard let request else { return }
            isRunning = true
            counts.change {
                $0.received.append(request)
                $0.running += 1
            }
            run(script(request)[...], context)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if isRunning { finish(abandoned: true) }
    }

    private func finish(abandoned: Bool) {
        isRunning = false
        counts.change {
            $0.running -= 1
            if abandoned { $0.abandoned += 1 }
        }
    }

    private func run(_ steps: ArraySlice<ReplicaStep>, _ context: ChannelHandlerContext) {
        guard isRunning, let step = steps.first else { return }
        let rest = steps.dropFirst()
        switch step {
        case .head(let status, let fields):
            let head = HTTPResponseHead(
                version: .http1_1, status: HTTPResponseStatus(statusCode: status), headers: HTTPHeaders(fields))
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            run(rest, context)
        case .bytes(let text):
            context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
            run(rest, context)
        case .end:
            finish(abandoned: false)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        case .die:
            finish(abandoned: false)
            context.flush()
            context.close(promise: nil)
        case .wait(let gate):
            context.flush()
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            let loop = context.eventLoop
            gate.whenOpen {
                loop.execute {
                    let (handler, context) = bound.value
                    handler.run(rest, context)
                }
            }
        }
    }
}

/// A value that tests wait on.
final class Watched<Value: Sendable>: Sendable {
    private struct State {
        var value: Value
        var waiters: [(@Sendable (Value) -> Bool, CheckedContinuation<Void, Never>)] = []
    }

    private let state: Mutex<State>

    init(_ value: Value) { state = Mutex(State(value: value)) }

    var value: Value { state.withLock { $0.value } }

    func change(_ body: (inout Value) -> Void) {
        let ready = state.withLock { state in
            body(&state.value)
            let ready = state.waiters.filter { $0.0(state.value) }.map(\.1)
            let value = state.value
            state.waiters.removeAll { $0.0(value) }
            return ready
        }
        for waiter in ready { waiter.resume() }
    }

    /// Returns when the value is as wanted; the suite's time limit ends a wait in vain.
    func wait(_ isWanted: @escaping @Sendable (Value) -> Bool) async {
        await withCheckedContinuation { continuation in
            let isReady = state.withLock { state in
                if isWanted(state.value) { return true }
                state.waiters.append((isWanted, continuation))
                return false
            }
            if isReady { continuation.resume() }
        }
    }
}
