import ControlStore
import Deployments
import Synchronization

/// Writes what the reconciler finds out to the store, in batches and without holding the reconciler up.
///
/// Of a deployment's progress only the newest is kept; events are written in order. While the store can't be written (a
/// full disk) it tries again, and drops the oldest events beyond a bound. Progress can be found out again after a
/// crash; what owners ask for does not go this way but is written before they get an answer.
final class ProgressWriter: Sendable {
    private struct Pending {
        var progress: [String: DeploymentProgress] = [:]
        var events: [DeploymentEvent] = []
        var replicas: [ReplicaRecord] = []
        var droppedEventCount = 0
        var isEmpty: Bool { progress.isEmpty && events.isEmpty && replicas.isEmpty }
    }

    private static let eventLimit = 10_000
    private let store: ControlStore
    private let pending = Mutex(Pending())
    private let signal: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation
    private let failure = Mutex<StoreError?>(nil)

    init(store: ControlStore) {
        self.store = store
        (signal, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Why the last try to write failed; nil once one went through.
    var lastFailure: StoreError? { failure.withLock { $0 } }

    func save(_ progress: DeploymentProgress) {
        pending.withLock { $0.progress[progress.id] = progress }
        wake.yield()
    }

    func append(_ event: DeploymentEvent) {
        pending.withLock { pending in
            pending.events.append(event)
            if pending.events.count > Self.eventLimit {
                let surplus = pending.events.count - Self.eventLimit
                pending.events.removeFirst(surplus)
                pending.droppedEventCount += surplus
            }
        }
        wake.yield()
    }

    func record(_ replica: ReplicaRecord) {
        pending.withLock { $0.replicas.append(replica) }
        wake.yield()
    }

    /// Forgets what is not written yet of a deployment that is filed away.
    func forget(_ id: String) { pending.withLock { _ = $0.progress.removeValue(forKey: id) } }

    /// Writes until the task is cancelled, then once more.
    func run() async {
        for await _ in signal {
            // Let a burst come together: one transaction costs about as much as a hundred.
            try? await Task.sleep(for: .milliseconds(5))
            while !(await flush()) {
                guard !Task.isCancelled else { return }
                try? await Task.sleep(for: .seconds(1))
            }
        }
        await flush()
    }

    /// Writes what there is; whether that worked.
    @discardableResult
    func flush() async -> Bool {
        let batch = pending.withLock { pending -> Pending in
            defer { pending = Pending() }
            return pending
        }
        guard !batch.isEmpty else { return true }
        do throws(StoreError) {
            try await store.saveProgress(Array(batch.progress.values), events: batch.events, replicas: batch.replicas)
            failure.withLock { $0 = nil }
            return true
        } catch {
            failure.withLock { $0 = error }
            pending.withLock { pending in
                pending.progress.merge(batch.progress) { newer, _ in newer }
                pending.events = batch.events + pending.events
                pending.replicas = batch.replicas + pending.replicas
            }
            return false
        }
    }
}
