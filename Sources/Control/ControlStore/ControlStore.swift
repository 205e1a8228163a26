package import Deployments
import Dispatch
import GRDB
import Synchronization

/// What the control plane knows, in one SQLite file: specs and their revisions, conditions, events, replicas, metrics.
///
/// The control plane's service and reconciler call it. A change is on disk when a call returns, and is whole or not
/// there at all; it isn't cancelled with its task. The file is for one server at a time, which ``ServerLock`` sees to.
package final class ControlStore: Sendable {
    let files: StoreFiles
    let pool: DatabasePool
    let limits: StoreLimits
    private let state = Mutex(State())
    /// Where copies are made, one at a time.
    let copying = DispatchQueue(label: "pbctl.store.copies")

    private struct State {
        var streams: [Int: AsyncStream<DeploymentEvent>.Continuation] = [:]
        var nextStream = 0
        var isClosed = false
    }

    init(files: StoreFiles, pool: DatabasePool, limits: StoreLimits) {
        self.files = files
        self.pool = pool
        self.limits = limits
    }

    deinit {
        state.withLock { state in
            for stream in state.streams.values { stream.finish() }
        }
    }

    /// Path of the database, for messages.
    package var path: String { files.database }

    /// Writes what is under way, ends the streams and closes the file. Calls after it throw `.closed`; repeating it is
    /// safe.
    package func close() async {
        let streams = state.withLock { state in
            state.isClosed = true
            defer { state.streams = [:] }
            return Array(state.streams.values)
        }
        for stream in streams { stream.finish() }
        await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
            copying.async { [pool] in
                // What can't be closed now is closed with the process; SQLite's log makes that safe.
                try? pool.close()
                done.resume()
            }
        }
    }

    /// Events as they are appended through this store, from now on, in the order of their numbers.
    ///
    /// A reader that falls more than `buffer` events behind loses the oldest. Numbers have no gaps, so it can tell, and
    /// fetch them with ``events(of:after:limit:newestFirst:)``.
    package func eventStream(buffer: Int = 1024) -> AsyncStream<DeploymentEvent> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: DeploymentEvent.self, bufferingPolicy: .bufferingNewest(max(1, buffer)))
        let number = state.withLock { state -> Int? in
            guard !state.isClosed else { return nil }
            state.nextStream += 1
            state.streams[state.nextStream] = continuation
            return state.nextStream
        }
        guard let number else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in
            // Dropped after the lock is released: the last reference to a continuation must not end under it.
            _ = self?.state.withLock { state in state.streams.removeValue(forKey: number) }
        }
        return stream
    }

    private func publish(_ events: [DeploymentEvent]) {
        guard !events.isEmpty else { return }
        let streams = state.withLock { Array($0.streams.values) }
        for stream in streams {
            for event in events { stream.yield(event) }
        }
    }
}

/// What one write does, beside its value.
struct StoreChange<Value: Sendable>: Sendable {
    var value: Value
    /// Told to streams once the change is on disk.
    var events: [DeploymentEvent] = []
}

extension ControlStore {
    /// Runs a body in one transaction; what it throws undoes all of it.
    func change<Value: Sendable>(
        _ action: String, _ body: @escaping @Sendable (Database) throws -> StoreChange<Value>
    ) async throws(StoreError) -> Value {
        let result = await withCheckedContinuation { (done: CheckedContinuation<Result<Value, StoreError>, Never>) in
            pool.asyncWriteWithoutTransaction { [self] database in
                do {
                    var change: StoreChange<Value>?
                    try database.inTransaction(.immediate) {
                        change = try body(database)
                        return .commit
                    }
                    guard let change else { throw StoreError(.failed, "\(files.database): cannot \(action)") }
                    // Here, on the queue that all writes share, so that streams see numbers in order.
                    publish(change.events)
                    done.resume(returning: .success(change.value))
                } catch {
                    done.resume(returning: .failure(failure(error, action)))
                }
            }
        }
        return try result.get()
    }

    /// Runs a body that changes things and tells nobody.
    func write<Value: Sendable>(
        _ action: String, _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws(StoreError) -> Value {
        try await change(action) { database in StoreChange(value: try body(database)) }
    }

    /// Runs a body on one state of the database, beside writes.
    func read<Value: Sendable>(
        _ action: String, _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws(StoreError) -> Value {
        guard !state.withLock({ $0.isClosed }) else { throw failure(closed, action) }
        let result = await withCheckedContinuation { (done: CheckedContinuation<Result<Value, StoreError>, Never>) in
            pool.asyncRead { [self] access in
                do {
                    done.resume(returning: .success(try body(access.get())))
                } catch {
                    done.resume(returning: .failure(failure(error, action)))
                }
            }
        }
        return try result.get()
    }

    private var closed: StoreError { StoreError(.closed, "\(files.database): the store is closed") }

    private func failure(_ error: any Error, _ action: String) -> StoreError {
        if state.withLock({ $0.isClosed }), error is DatabaseError { return closed }
        return StoreError(error, action: action, files: files)
    }
}

/// How much history is kept. Older is dropped in passing.
package struct StoreLimits: Sendable, Hashable {
    package var eventsPerDeployment = 1000
    package var events = 200_000
    package var revisionsPerDeployment = 1000
    /// Ended replicas; running ones are all kept.
    package var endedReplicasPerDeployment = 100
    package var deletedDeployments = 1000

    package init() {}
}
