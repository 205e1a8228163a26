import Synchronization

/// Whether the client of a connection is still there, and what to do when it goes.
///
/// The connection's channel handler tells of the end; requests under way put their cancellation here.
package final class ClientPresence: Sendable {
    private struct State {
        var isGone = false
        var nextID = 0
        var actions: [Int: @Sendable () -> Void] = [:]
    }

    private let state = Mutex(State())

    /// A client that is there.
    package init() {}

    package var isGone: Bool { state.withLock { $0.isGone } }

    /// The client closed the connection, or the half of it that it sends on.
    package func leave() {
        let actions = state.withLock { state in
            state.isGone = true
            defer { state.actions = [:] }
            return state.actions.values
        }
        for action in actions { action() }
    }

    /// Runs `body`, and `action` as soon as the client goes meanwhile or has gone before.
    package func whileHere<Value, Failure: Error>(
        onLeave action: @escaping @Sendable () -> Void, _ body: () async throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        let id = state.withLock { state -> Int? in
            guard !state.isGone else { return nil }
            state.nextID += 1
            state.actions[state.nextID] = action
            return state.nextID
        }
        if id == nil { action() }
        defer { if let id { state.withLock { _ = $0.actions.removeValue(forKey: id) } } }
        return try await body()
    }

    /// Runs `operation` in a task of its own, which ends when the client goes.
    package func cancelling<Value: Sendable, Failure: Error>(
        _ operation: @escaping @Sendable () async throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        let task = Task(executorPreference: EventLoopExecutor.current) { () -> Result<Value, Failure> in
            do throws(Failure) { return .success(try await operation()) } catch { return .failure(error) }
        }
        let result = await whileHere(onLeave: { task.cancel() }) {
            await withTaskCancellationHandler {
                await task.value
            } onCancel: {
                task.cancel()
            }
        }
        return try result.get()
    }
}
