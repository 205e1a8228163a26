import HummingbirdCore
import NIOCore
import ServingJSON

/// Writes `{"data": [..]}` piece by piece, so that a long list is never in memory as a whole.
struct ElementWriter {
    /// Only the task that answers the request has the writer, one call after the other; Hummingbird's own is Sendable.
    nonisolated(unsafe) private var body: any ResponseBodyWriter
    private var text = #"{"data":["#
    private var isEmpty = true

    init(_ body: any ResponseBodyWriter) { self.body = body }

    /// Whether enough has been added to be sent.
    var isFull: Bool { text.utf8.count >= 64 << 10 }

    mutating func add(_ element: JSONValue) {
        if !isEmpty { text += "," }
        isEmpty = false
        text += element.text()
    }

    /// Sends what has been added, and returns when the client's connection takes more.
    mutating func flush() async throws {
        guard !text.isEmpty else { return }
        try await body.write(ByteBuffer(string: text))
        text = ""
    }

    mutating func finish() async throws {
        text += "]}"
        try await flush()
        try await body.finish(nil)
    }
}
