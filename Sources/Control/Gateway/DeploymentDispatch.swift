package import Deployments
import Synchronization

/// The place of one deployment in the gateway: takes routes from the control plane, leads requests to replicas, keeps
/// those that wait. The rules are ``DispatchStateMachine``'s.
package final class DeploymentDispatch: Sendable {
    package typealias Refusal = DispatchStateMachine.Refusal
    private typealias Outcome = Result<DeploymentRoute.RoutableReplica, Refusal>

    /// A request that waits: its task is yet to suspend, has suspended, or may go on.
    private enum Slot {
        case arriving
        case suspended(CheckedContinuation<Outcome, Never>)
        case settled(Outcome)
    }

    private struct State {
        var machine: DispatchStateMachine
        var slots: [DispatchStateMachine.WaiterID: Slot] = [:]
        var lastActivity: Timestamp?
        var checkAt: ContinuousClock.Instant?
    }

    package let name: DeploymentName
    private let clock: any ControlClock
    private let wake: @Sendable (DeploymentName) -> Void
    private let noteActivity: @Sendable (DeploymentName) -> Void
    private let state: Mutex<State>

    package init(
        name: DeploymentName, limits: DispatchStateMachine.Limits, clock: any ControlClock,
        wake: @escaping @Sendable (DeploymentName) -> Void,
        noteActivity: @escaping @Sendable (DeploymentName) -> Void = { _ in }
    ) {
        self.name = name
        self.clock = clock
        self.wake = wake
        self.noteActivity = noteActivity
        state = Mutex(State(machine: DispatchStateMachine(limits: limits)))
    }

    // MARK: The control plane's side

    package var route: DeploymentRoute? { state.withLock { $0.machine.route } }

    package func publish(_ route: DeploymentRoute) { change { $0.publish(route, now: .now) } }
    package func remove() { change { $0.remove() } }
    package func drain() { change { $0.drain() } }

    package var reading: LoadReading {
        state.withLock { state in
            LoadReading(
                runningCount: state.machine.runningCount, queuedCount: state.machine.waitingCount,
                outstanding: state.machine.outstanding, lastActivity: state.lastActivity)
        }
    }

    // MARK: The requests' side

    /// A replica for a request, at once or when there is one.
    ///
    /// - Parameters:
    ///   - isReturning: whether the request had a replica already and goes before those that wait.
    ///   - ticket: told the request's place in the queue while it waits.
    /// - Throws: why there is none; ``DispatchStateMachine/Refusal/left`` where the task was cancelled.
    package func acquire(
        _ demand: DispatchStateMachine.Demand, until deadline: ContinuousClock.Instant, isReturning: Bool = false,
        ticket: QueueTicket? = nil
    ) async throws(Refusal) -> ReplicaLease {
        let now = clock.now()
        let entry = state.withLock { state -> DispatchStateMachine.Entry in
            state.lastActivity = now
            let entry = state.machine.enter(demand, isReturning: isReturning, now: .now)
            if case .wait(let id) = entry { state.slots[id] = .arriving }
            return entry
        }
        noteActivity(name)
        switch entry {
        case .go(let replica): return ReplicaLease(replica, self, tokenCount: demand.tokenCount)
        case .refuse(let refusal): throw refusal
        case .wait(let id):
            change { _ in [] }
            ticket?.take(id)
            defer { ticket?.take(nil) }
            return ReplicaLease(try await wait(id, deadline), self, tokenCount: demand.tokenCount)
        }
    }

    /// Place of a request in the queue, from 1.
    package func position(of ticket: QueueTicket) -> Int? {
        guard let id = ticket.waiter else { return nil }
        return state.withLock { $0.machine.position(of: id) }
    }

    private func wait(
        _ id: DispatchStateMachine.WaiterID, _ deadline: ContinuousClock.Instant
    ) async throws(Refusal) -> DeploymentRoute.RoutableReplica {
        let timer = Task { [weak self] in
            guard (try? await Task.sleep(until: deadline, clock: .continuous)) != nil else { return }
            self?.leave(id, .deadline)
        }
        defer { timer.cancel() }
        let outcome = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let early = state.withLock { state -> Outcome? in
                    if case .settled(let outcome)? = state.slots[id] {
                        state.slots[id] = nil
                        return outcome
                    }
                    state.slots[id] = .suspended(continuation)
                    return nil
                }
                if let early { continuation.resume(returning: early) }
            }
        } onCancel: {
            leave(id, .left)
        }
        return try outcome.get()
    }

    /// A request does not want to wait any longer; it goes on with `refusal`, unless it has been served meanwhile.
    private func leave(_ id: DispatchStateMachine.WaiterID, _ refusal: Refusal) {
        change { machine in
            machine.leave(id) ? [DispatchStateMachine.Settlement(waiter: id, result: .failure(refusal))] : []
        }
    }

    // MARK: Leases

    fileprivate func progress(_ id: ReplicaID, _ tokenCount: Int) {
        state.withLock { $0.machine.progress(id, tokenCount: tokenCount) }
    }

    fileprivate func release(_ id: ReplicaID, _ tokenCount: Int, _ end: ReplicaLease.End) {
        let now = clock.now()
        state.withLock { $0.lastActivity = now }
        noteActivity(name)
        change { machine in
            switch end {
            case .answered: machine.trust(id)
            case .failed: machine.avoid(id, now: .now)
            case .full: machine.fill(id, now: .now)
            case .abandoned: break
            }
            return machine.release(id, tokenCount: tokenCount, now: .now)
        }
    }

    // MARK: Inside

    /// Does something to the state machine, and then what follows from it outside of the lock.
    private func change(_ action: (inout DispatchStateMachine) -> [DispatchStateMachine.Settlement]) {
        var resumed: [(CheckedContinuation<Outcome, Never>, Outcome)] = []
        let (wakes, check) = state.withLock { state -> (Bool, ContinuousClock.Instant?) in
            for settlement in action(&state.machine) {
                if case .suspended(let continuation)? = state.slots[settlement.waiter] {
                    state.slots[settlement.waiter] = nil
                    resumed.append((continuation, settlement.result))
                } else {
                    state.slots[settlement.waiter] = .settled(settlement.result)
                }
            }
            let check = state.machine.nextCheck(after: .now)
            defer { state.checkAt = check ?? state.checkAt }
            return (state.machine.takeWake(), check == state.checkAt ? nil : check)
        }
        for (continuation, outcome) in resumed { continuation.resume(returning: outcome) }
        if wakes { wake(name) }
        guard let check else { return }
        Task { [weak self] in
            try? await Task.sleep(until: check, clock: .continuous)
            self?.change { $0.settle(now: .now) }
        }
    }
}

/// Where a request stands in a queue, for who tells its client.
package final class QueueTicket: Sendable {
    private let id = Mutex<DispatchStateMachine.WaiterID?>(nil)

    package init() {}
    var waiter: DispatchStateMachine.WaiterID? { id.withLock { $0 } }
    func take(_ waiter: DispatchStateMachine.WaiterID?) { id.withLock { $0 = waiter } }
}

/// A request's place at a replica; given back when it ends or nobody holds it any more.
package final class ReplicaLease: Sendable {
    /// How a request ended, as far as it tells about the replica.
    package enum End: Sendable {
        case answered
        /// It refused or broke off, and is left alone for a while.
        case failed
        /// It has as many requests as it takes.
        case full
        /// The request ended for other reasons.
        case abandoned
    }

    private struct State {
        /// Tokens that the request still keeps the replica busy with, by estimate.
        var tokenCount: Int
        var isOver = false
    }

    package let replica: DeploymentRoute.RoutableReplica
    private let dispatch: DeploymentDispatch
    private let state: Mutex<State>

    fileprivate init(_ replica: DeploymentRoute.RoutableReplica, _ dispatch: DeploymentDispatch, tokenCount: Int) {
        self.replica = replica
        self.dispatch = dispatch
        state = Mutex(State(tokenCount: tokenCount))
    }

    deinit { end(.abandoned) }

    /// So many tokens are done. Something is always left until the request ends.
    package func progress(tokenCount: Int) {
        let done = state.withLock { state -> Int in
            let done = max(0, min(tokenCount, state.tokenCount - 1))
            state.tokenCount -= done
            return state.isOver ? 0 : done
        }
        if done > 0 { dispatch.progress(replica.id, done) }
    }

    /// The request has ended. Only the first call counts.
    package func end(_ end: End) {
        let left = state.withLock { state -> Int? in
            guard !state.isOver else { return nil }
            state.isOver = true
            return state.tokenCount
        }
        if let left { dispatch.release(replica.id, left, end) }
    }
}
