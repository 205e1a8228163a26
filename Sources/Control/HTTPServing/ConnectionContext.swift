package import Hummingbird
import NIOCore

/// The connection that a request came on.
package struct ConnectionContext: InitializableFromSource, Sendable {
    private let channel: any Channel

    /// Made by the server for each request.
    package init(source: ApplicationRequestContextSource) { channel = source.channel }

    /// Whether the client is still there. On channels without our handler, as in tests of routes, it always is.
    package func presence() async -> ClientPresence {
        if channel.eventLoop.inEventLoop { return Self.presence(on: channel) }
        let channel = channel
        let found = try? await channel.eventLoop.submit { Self.presence(on: channel) }.get()
        return found ?? ClientPresence()
    }

    /// Must be called on the channel's loop.
    private static func presence(on channel: any Channel) -> ClientPresence {
        let handler = try? channel.pipeline.syncOperations.handler(type: ConnectionHandler.self)
        if let handler { return handler.presence }
        // A connection that was reset before anybody asked has lost its handlers, and with them who told of it.
        let presence = ClientPresence()
        channel.closeFuture.whenComplete { _ in presence.leave() }
        return presence
    }
}
