import HTTPServing
import Synchronization

/// Streams of events that are being sent. Each ends when its client goes and when the server does: one without news
/// would not notice otherwise, and hold the shutdown back.
package final class OpenStreams: Sendable {
    private struct State {
        var isClosed = false
        var nextID = 0
        var tasks: [Int: Task<Void, any Error>] = [:]
    }

    private let state = Mutex(State())

    package init() {}

    /// Ends all streams, and those that begin from now on at once.
    package func close() {
        let tasks = state.withLock { state in
            state.isClosed = true
            defer { state.tasks = [:] }
            return state.tasks.values
        }
        for task in tasks { task.cancel() }
    }

    /// Runs `body`, which ends when its task is cancelled, while the client is there and the server goes on.
    func run(_ presence: ClientPresence, _ body: @escaping @Sendable () async throws -> Void) async throws {
        let task = Task { try await body() }
        let id = state.withLock { state -> Int? in
            guard !state.isClosed else { return nil }
            state.nextID += 1
            state.tasks[state.nextID] = task
            return state.nextID
        }
        if id == nil { task.cancel() }
        defer { if let id { state.withLock { _ = $0.tasks.removeValue(forKey: id) } } }
        do {
            try await presence.whileHere(onLeave: { task.cancel() }) { try await task.value }
        } catch is CancellationError {
            // Nothing is wrong with a stream that was ended.
        }
    }
}
