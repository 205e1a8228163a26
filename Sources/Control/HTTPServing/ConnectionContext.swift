package import Hummingbird
import NIOCore

/// The connection that a request came on.
package struct ConnectionContext: InitializableFromSource, Sendable {
    private let channel: any Channel

    /// Made by the server for each request.
    package init(source: ApplicationRequestContextSource) { channel = source.channel }

    /// Whether the client is still there. On channels without our handler, as in tests of routes, it always is.
    package func presence() async -> ClientPresence {
        let channel = channel
        let found = try? await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.handler(type: ConnectionHandler.self).presence
        }.get()
        return found ?? ClientPresence()
    }
}
