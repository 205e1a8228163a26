package import HummingbirdCore
import NIOCore

/// Times after which a connection is given up or kept awake.
package struct ConnectionTimeouts: Sendable, Equatable {
    /// For a request to arrive, from its first byte to its last.
    package var request: Duration
    /// For the next request to begin.
    package var idle: Duration
    /// For a client that reads nothing of an answer that waits for it.
    package var stalledWrite: Duration
    /// Silence in a stream of events after which a comment is sent.
    package var keepAlive: Duration
    /// ``request`` while the server stops: what is on its way arrives, and nobody is waited for.
    package var drainingRequest: Duration
    /// ``stalledWrite`` while the server stops.
    package var drainingWrite: Duration

    /// Timeouts; that of `keepAlive` is LoRAX's, and `idle` is `request` where it is not given.
    package init(
        request: Duration = .seconds(30), idle: Duration? = nil, stalledWrite: Duration = .seconds(60),
        keepAlive: Duration = .seconds(15),
        drainingRequest: Duration = .seconds(1), drainingWrite: Duration = .seconds(10)
    ) {
        self.request = request
        self.idle = idle ?? request
        self.stalledWrite = stalledWrite
        self.keepAlive = keepAlive
        self.drainingRequest = min(drainingRequest, request)
        self.drainingWrite = min(drainingWrite, stalledWrite)
    }

    /// A channel as ``channelConfiguration(_:)`` makes it, for a server whose connections nobody tells of its end.
    package var channelConfiguration: HTTP1Channel.Configuration { channelConfiguration(OpenConnections()) }

    /// A channel of HTTP/1.1 that gives connections up at these times, has a ``ConnectionHandler`` on each, and reads
    /// heads of requests of bounded size. Connections enter themselves into `connections`.
    package func channelConfiguration(_ connections: OpenConnections) -> HTTP1Channel.Configuration {
        HTTP1Channel.Configuration(
            additionalChannelHandlers: [ConnectionHandler(timeouts: self, connections: connections)],
            idleTimeout: TimeAmount(idle),
            httpDecoderConfiguration: HTTP1Channel.Configuration.DecoderConfiguration(
                maxHeaderFieldSize: 16 << 10, maxHeaderListSize: 64 << 10, maxHeaderFieldCount: 100))
    }
}
