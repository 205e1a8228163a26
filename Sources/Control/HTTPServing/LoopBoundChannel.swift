package import HummingbirdCore
package import Logging
package import NIOCore

/// HTTP/1.1 whose requests are answered on the loops of their connections: for servers that pass on more than they
/// compute.
package struct LoopBoundChannel: ServerChildChannel {
    package typealias Value = HTTP1Channel.Value

    private let base: HTTP1Channel

    /// A channel that does what `base` does, on the loop.
    package init(_ base: HTTP1Channel) { self.base = base }

    package func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        base.setup(channel: channel, logger: logger)
    }

    package func handle(value: Value, logger: Logger) async {
        let executor = EventLoopExecutor(value.channel.eventLoop)
        await EventLoopExecutor.$current.withValue(executor) {
            await withTaskExecutorPreference(executor) { await base.handle(value: value, logger: logger) }
        }
    }
}

extension HTTPServerBuilder {
    /// A server whose requests are answered on the loops of their connections.
    package static func http1OnLoops(_ configuration: HTTP1Channel.Configuration) -> HTTPServerBuilder {
        HTTPServerBuilder { responder in
            LoopBoundChannel(HTTP1Channel(responder: responder, configuration: configuration))
        }
    }
}
