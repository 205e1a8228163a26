import AsyncHTTPClient
import Deployments
import NIOCore
import NIOHTTP1
import NIOPosix

/// What is sent to a replica, whichever it will be.
struct ReplicaCall: Sendable {
    var method: HTTPMethod
    /// With the query.
    var path: String
    var headers: HTTPHeaders
    /// Nil for requests without a body.
    var body: SplicedBody?
}

/// Why a replica gave no answer.
enum ReplicaFailure: Error, Sendable, Equatable {
    /// It did not take the request: no connection, or it said so.
    case refused(String)
    /// It has as many requests as it takes.
    case full
    /// It took the request, or may have, and the connection ended.
    case broken(String)
    /// Its answer can't be passed on.
    case unusable(String)
    case cancelled
}

/// Talks to replicas over kept connections.
struct ReplicaClient: Sendable {
    private let client: HTTPClient

    init(_ configuration: GatewayConfiguration) {
        var settings = HTTPClient.Configuration()
        settings.redirectConfiguration = .disallow
        settings.httpVersion = .http1Only
        settings.timeout.connect = TimeAmount(configuration.connectTimeout)
        settings.timeout.read = nil
        // Nobody listens to it.
        settings.tracing.tracer = nil
        // Failing at once lets the request go to another replica instead.
        settings.connectionPool.retryConnectionEstablishment = false
        // Shorter than replicas keep idle connections, so that they don't close one that is just being used.
        settings.connectionPool.idleTimeout = .seconds(15)
        settings.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit =
            configuration.dispatch.requestsPerReplica + 16
        settings.http1_1ConnectionDebugInitializer = { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(FlushJoiner(), position: .first)
            }
        }
        client = HTTPClient(eventLoopGroup: HTTPClient.defaultEventLoopGroup, configuration: settings)
    }

    func shutdown() async { try? await client.shutdown() }

    /// Sends a request and returns when the head of the answer is here. Cancelling the task ends the request.
    func send(
        _ call: ReplicaCall, pbctl extra: [UInt8]?, to endpoint: ReplicaEndpoint
    ) async throws(ReplicaFailure) -> HTTPClientResponse {
        var request = HTTPClientRequest(url: endpoint.url + call.path)
        request.method = call.method
        request.headers = call.headers
        if let body = call.body { request.body = .bytes(body.bytes(pbctl: extra)) }
        do {
            return try await client.execute(request, deadline: .distantFuture)
        } catch {
            throw ReplicaFailure(error)
        }
    }
}

/// Makes one flush of those that follow each other at once: head and body of a request leave together, and wake the
/// replica once.
private final class FlushJoiner: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    private var isDue = false

    func flush(context: ChannelHandlerContext) {
        guard !isDue else { return }
        isDue = true
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.execute {
            let (handler, context) = bound.value
            handler.isDue = false
            context.flush()
        }
    }
}

extension ReplicaFailure {
    /// What a client's error means.
    init(_ error: any Error) {
        switch error {
        case is CancellationError: self = .cancelled
        case is NIOConnectionError: self = .refused("no connection")
        case ChannelError.connectTimeout: self = .refused("no connection in time")
        case let error as IOError:
            self = error.errnoCode == 111 ? .refused("no connection") : .broken("connection lost")
        case is NIOTooManyBytesError: self = .unusable("its answer is too large")
        case let error as HTTPClientError:
            switch error {
            case .connectTimeout, .getConnectionFromPoolTimeout: self = .refused("no connection in time")
            case .cancelled where Task.isCancelled: self = .cancelled
            default: self = .broken(error.shortDescription)
            }
        default: self = Task.isCancelled ? .cancelled : .broken("connection lost")
        }
    }

    /// For metrics.
    var label: String {
        switch self {
        case .refused: "refused"
        case .full: "full"
        case .broken: "broken"
        case .unusable: "unusable"
        case .cancelled: "cancelled"
        }
    }

    var reason: String {
        switch self {
        case .refused(let reason), .broken(let reason), .unusable(let reason): reason
        case .full: "it is full"
        case .cancelled: "the client went"
        }
    }
}
