import Deployments
import Synchronization

/// Tells every reader which replicas changed.
///
/// A reader that is slow keeps the newest 4096; one that must miss nothing lists all replicas now and then, too.
final class ChangeFeed: Sendable {
    private struct State {
        var readers: [Int: AsyncStream<ReplicaID>.Continuation] = [:]
        var nextNumber = 0
        var isFinished = false
    }

    private let state = Mutex(State())

    func stream() -> AsyncStream<ReplicaID> {
        let (stream, reader) = AsyncStream.makeStream(of: ReplicaID.self, bufferingPolicy: .bufferingNewest(4096))
        let number: Int? = state.withLock { state in
            guard !state.isFinished else { return nil }
            state.nextNumber += 1
            state.readers[state.nextNumber] = reader
            return state.nextNumber
        }
        guard let number else {
            reader.finish()
            return stream
        }
        reader.onTermination = { [weak self] _ in _ = self?.state.withLock { $0.readers.removeValue(forKey: number) } }
        return stream
    }

    func tell(_ id: ReplicaID) {
        // Outside the lock: a reader's end calls back into this feed.
        for reader in state.withLock({ Array($0.readers.values) }) { reader.yield(id) }
    }

    func finish() {
        let readers = state.withLock { state in
            state.isFinished = true
            defer { state.readers = [:] }
            return Array(state.readers.values)
        }
        for reader in readers { reader.finish() }
    }
}
