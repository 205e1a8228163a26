/// Why one request did not give its whole answer.
public struct RequestFailure: Error, Sendable, Equatable {
    /// Fit for counting: `timeout`, `closed`, `unreachable`, `http 429`, `stream error: generation` and the like.
    public let kind: String
    /// What the server or the network said.
    public let message: String

    /// Whether there was nobody to ask.
    public var isUnreachable: Bool { kind == Self.unreachableKind }

    private static let unreachableKind = "unreachable"

    static func unreachable(_ message: String) -> Self { Self(kind: unreachableKind, message: message) }
    static func timeout(_ message: String) -> Self { Self(kind: "timeout", message: message) }
    static func closed(_ message: String) -> Self { Self(kind: "closed", message: message) }
    static func status(_ status: Int, _ message: String) -> Self { Self(kind: "http \(status)", message: message) }
    static func malformed(_ message: String) -> Self { Self(kind: "malformed", message: message) }

    /// An error that came in the stream, after status 200.
    static func inStream(type: String?, _ message: String) -> Self {
        Self(kind: type.map { "stream error: \($0)" } ?? "stream error", message: message)
    }
}
