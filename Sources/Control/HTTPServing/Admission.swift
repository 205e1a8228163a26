import Synchronization

/// Counts requests under way, refuses more than there may be, and waits for the last one when the server drains.
package final class Admission: Sendable {
    /// Why a request is not let in.
    package enum Refusal: Error, Equatable {
        case full
        case draining
    }

    /// A request under way; it ends when nobody holds this any more.
    package final class Ticket: Sendable {
        private let admission: Admission

        fileprivate init(_ admission: Admission) { self.admission = admission }

        deinit { admission.leave() }
    }

    private struct State {
        var count = 0
        var isDraining = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private let limit: Int
    private let state = Mutex(State())

    /// Lets in at most `limit` requests at a time.
    package init(limit: Int) { self.limit = limit }

    /// Requests under way.
    package var count: Int { state.withLock { $0.count } }
    /// Whether nothing new is let in.
    package var isDraining: Bool { state.withLock { $0.isDraining } }

    package func enter() throws(Refusal) -> Ticket {
        let refusal = state.withLock { state -> Refusal? in
            if state.isDraining { return .draining }
            if state.count >= limit { return .full }
            state.count += 1
            return nil
        }
        if let refusal { throw refusal }
        return Ticket(self)
    }

    private func leave() {
        let waiters = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            state.count -= 1
            guard state.count == 0, state.isDraining else { return [] }
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Refuses new requests from now on.
    package func startDraining() { state.withLock { $0.isDraining = true } }

    /// Refuses new requests and returns when the last one has ended.
    package func drain() async {
        await withCheckedContinuation { continuation in
            let isDone = state.withLock { state in
                state.isDraining = true
                if state.count > 0 { state.waiters.append(continuation) }
                return state.count == 0
            }
            if isDone { continuation.resume() }
        }
    }
}
