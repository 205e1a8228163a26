package import HummingbirdCore
import NIOCore

/// Writes the bytes of events, each at once.
package struct EventWriter {
    /// Only the task that answers the request has the writer, one call after the other; Hummingbird's own is Sendable.
    nonisolated(unsafe) package var body: any ResponseBodyWriter

    /// Sends bytes, if there are any: on the connection's loop where requests are answered there, since the end of the
    /// answer is sent from it, and would overtake bytes that come from elsewhere.
    package mutating func write(_ bytes: [UInt8]) async throws {
        guard !bytes.isEmpty else { return }
        guard let executor = EventLoopExecutor.current, !executor.isHere else {
            return try await body.write(ByteBuffer(bytes: bytes))
        }
        try await withTaskExecutorPreference(executor) { try await body.write(ByteBuffer(bytes: bytes)) }
    }
}
