import Deployments

/// Gives the lines of a log as they are written, for one reader.
actor LogFollower {
    /// How long to wait for more.
    private static let interval = Duration.milliseconds(100)

    private let replica: ReplicaID
    private var reader: LogReader
    /// Says whether the replica may still write; nil where the log's present end is the end.
    private let mayGrow: (@Sendable () async -> Bool)?
    private var hasEnded = false

    init(_ replica: ReplicaID, _ reader: consuming LogReader, mayGrow: (@Sendable () async -> Bool)?) {
        self.replica = replica
        self.reader = reader
        self.mayGrow = mayGrow
        hasEnded = mayGrow == nil
    }

    /// The next line; nil at the end and once the reader's task is cancelled.
    func next() async throws -> LogLine? {
        while true {
            if let line = reader.nextLine(atEnd: hasEnded) { return LogLine(replica: replica, at: nil, text: line) }
            if hasEnded { return nil }
            // Asked before the log is looked at again: what the replica wrote before it ended is read then.
            let grows = await mayGrow?() ?? false
            hasEnded = !grows
            if grows {
                do { try await Task.sleep(for: Self.interval) } catch { return nil }
            }
        }
    }
}
