/// What one request of a load came to.
struct RequestOutcome: Sendable {
    var adapter: Int?
    /// Seconds on the monotonic clock.
    var start: Double
    var end: Double
    /// When tokens arrived, seconds on the monotonic clock.
    var tokenTimes: [Double]
    var failure: RequestFailure?
    /// As the server counts, or nil where it doesn't say.
    var promptTokens: Int?
    /// As the server counts, or the number of events with text.
    var outputTokens = 0
    /// Whether the answer is shorter than was asked for.
    var isShort = false
}
