package import HummingbirdCore
import NIOCore

/// Writes the bytes of events, each at once.
package struct EventWriter {
    /// Only the task that answers the request has the writer, one call after the other; Hummingbird's own is Sendable.
    nonisolated(unsafe) package var body: any ResponseBodyWriter

    /// Sends bytes, if there are any.
    package mutating func write(_ bytes: [UInt8]) async throws {
        if !bytes.isEmpty { try await body.write(ByteBuffer(bytes: bytes)) }
    }
}
