package import Deployments

/// Which replica serves which request of one deployment, and who waits for one.
///
/// A plain value: ``DeploymentDispatch`` calls it under a lock and does what it says. Requests wait in the order in
/// which they came; one that lost its replica waits in front of them. Nobody waits while a replica that may be used has
/// room.
package struct DispatchStateMachine: Sendable {
    package struct Limits: Sendable, Hashable {
        /// Requests that one replica is given at a time.
        package var requestsPerReplica = 256
        /// Requests that may wait.
        package var waiting = 1000
        /// How long a replica that refused is left alone, at first; twice as long each time in a row, up to eight
        /// times.
        package var avoidance = Duration.seconds(1)

        package init() {}
    }

    /// What a request asks for.
    package struct Demand: Sendable, Hashable {
        /// Tokens that it keeps a replica busy with, by estimate.
        package var tokenCount: Int
        package var keys: AffinityKeys

        package init(tokenCount: Int, keys: AffinityKeys = AffinityKeys()) {
            self.tokenCount = max(1, tokenCount)
            self.keys = keys
        }
    }

    package struct WaiterID: Sendable, Hashable { package let number: UInt64 }

    /// Why a request gets no replica.
    package enum Refusal: Error, Sendable, Hashable {
        /// The deployment is stopped, errored or deleted.
        case unavailable(DeploymentCondition)
        /// There is no such deployment any more.
        case removed
        case queueFull(limit: Int)
        case deadline
        /// The client went.
        case left
        case draining
    }

    package enum Entry: Sendable, Hashable {
        case go(DeploymentRoute.RoutableReplica)
        case wait(WaiterID)
        case refuse(Refusal)
    }

    /// The end of a wait.
    package struct Settlement: Sendable, Hashable {
        package var waiter: WaiterID
        package var result: Result<DeploymentRoute.RoutableReplica, Refusal>
    }

    fileprivate struct Waiter: Sendable {
        var id: WaiterID
        var demand: Demand
    }

    private struct Load {
        var requestCount = 0
        var tokenCount = 0
    }

    /// A number of requests at which a replica said that it is full.
    private struct Ceiling {
        var requestCount: Int
        var until: ContinuousClock.Instant
    }

    private struct Avoidance {
        var until: ContinuousClock.Instant
        var count: Int
    }

    package private(set) var route: DeploymentRoute?
    private let limits: Limits
    private var chooser: ReplicaChooser
    private var loads: [ReplicaID: Load] = [:]
    private var avoided: [ReplicaID: Avoidance] = [:]
    private var ceilings: [ReplicaID: Ceiling] = [:]
    /// Those that lost a replica, then the others.
    private var returning = WaiterQueue()
    private var waiting = WaiterQueue()
    private var nextNumber: UInt64 = 0
    private var isDraining = false
    private var hasWoken = false

    package init(limits: Limits = Limits(), chooser: ReplicaChooser = ReplicaChooser()) {
        self.limits = limits
        self.chooser = chooser
    }

    // MARK: Readings

    package var waitingCount: Int { returning.count + waiting.count }
    package var runningCount: Int { loads.values.reduce(0) { $0 + $1.requestCount } }
    package var outstanding: [ReplicaID: Int] { loads.mapValues(\.requestCount).filter { $0.value > 0 } }

    /// Tokens that a replica has to do yet, by estimate.
    package func tokenCount(of id: ReplicaID) -> Int { loads[id]?.tokenCount ?? 0 }

    /// Place in the queue, from 1; nil for one that does not wait.
    package func position(of waiter: WaiterID) -> Int? {
        returning.position(of: waiter) ?? waiting.position(of: waiter).map { returning.count + $0 }
    }

    /// When to call ``settle(now:)`` though nothing happened: a replica that is left alone may be tried again. Nil
    /// where nobody waits for that.
    package func nextCheck(after now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        guard waitingCount > 0, let route else { return nil }
        let moments = route.replicas.flatMap { [avoided[$0.id]?.until, ceilings[$0.id]?.until] }
        return moments.compactMap(\.self).filter { $0 > now }.min()
    }

    // MARK: Inputs

    /// A request comes, or comes again after its replica failed.
    package mutating func enter(_ demand: Demand, isReturning: Bool, now: ContinuousClock.Instant) -> Entry {
        if let refusal { return .refuse(refusal) }
        if waitingCount == 0 || isReturning && returning.isEmpty, let replica = take(demand, now) {
            return .go(replica)
        }
        guard isReturning || waiting.count < limits.waiting else { return .refuse(.queueFull(limit: limits.waiting)) }
        nextNumber += 1
        let waiter = Waiter(id: WaiterID(number: nextNumber), demand: demand)
        if isReturning { returning.append(waiter) } else { waiting.append(waiter) }
        return .wait(waiter.id)
    }

    /// The control plane says how the deployment stands.
    package mutating func publish(_ route: DeploymentRoute, now: ContinuousClock.Instant) -> [Settlement] {
        if !route.replicas.isEmpty || route.condition.status == .standby && self.route?.condition.status != .standby {
            hasWoken = false
        }
        self.route = route
        let ids = Set(route.replicas.map(\.id))
        for (id, load) in loads where load.requestCount == 0 && !ids.contains(id) { drop(id) }
        avoided = avoided.filter { ids.contains($0.key) }
        ceilings = ceilings.filter { ids.contains($0.key) }
        return settle(now: now)
    }

    /// The deployment is no more: nobody waits any longer.
    package mutating func remove() -> [Settlement] {
        route = nil
        return refuseAll(.removed)
    }

    /// Nothing new is taken, and nobody waits any longer.
    package mutating func drain() -> [Settlement] {
        isDraining = true
        return refuseAll(.draining)
    }

    /// A request gives up waiting. False where it did not wait any more.
    package mutating func leave(_ waiter: WaiterID) -> Bool {
        let wasThere = returning.remove(waiter) || waiting.remove(waiter)
        if waitingCount == 0 { hasWoken = false }
        return wasThere
    }

    /// Part of what a request asked for is done.
    package mutating func progress(_ id: ReplicaID, tokenCount: Int) {
        loads[id]?.tokenCount -= tokenCount
    }

    /// A request has ended at a replica, with so many tokens of its estimate left.
    package mutating func release(_ id: ReplicaID, tokenCount: Int, now: ContinuousClock.Instant) -> [Settlement] {
        loads[id]?.requestCount -= 1
        loads[id]?.tokenCount -= tokenCount
        if loads[id]?.requestCount == 0, !(route?.replicas.contains { $0.id == id } ?? false) { drop(id) }
        return settle(now: now)
    }

    /// A replica refused a request or broke off: it is left alone for a while.
    package mutating func avoid(_ id: ReplicaID, now: ContinuousClock.Instant) {
        let count = min((avoided[id]?.count ?? 0) + 1, 4)
        avoided[id] = Avoidance(until: now + limits.avoidance * (1 << (count - 1)), count: count)
    }

    /// A replica said that it is full: for ten seconds it gets no more than it has besides this request. One that has
    /// nothing else is left alone instead, for it is others that fill it.
    package mutating func fill(_ id: ReplicaID, now: ContinuousClock.Instant) {
        let count = (loads[id]?.requestCount ?? 0) - 1
        guard count > 0 else { return avoid(id, now: now) }
        ceilings[id] = Ceiling(requestCount: count, until: now + .seconds(10))
    }

    /// A replica has answered: earlier refusals are forgotten.
    package mutating func trust(_ id: ReplicaID) {
        if avoided[id] != nil { avoided[id] = nil }
    }

    /// Gives those who wait what there is.
    package mutating func settle(now: ContinuousClock.Instant) -> [Settlement] {
        guard waitingCount > 0 else { return [] }
        if let refusal { return refuseAll(refusal) }
        var settlements: [Settlement] = []
        while let waiter = returning.first ?? waiting.first, let replica = take(waiter.demand, now) {
            if returning.isEmpty { waiting.removeFirst() } else { returning.removeFirst() }
            settlements.append(Settlement(waiter: waiter.id, result: .success(replica)))
        }
        if waitingCount == 0 { hasWoken = false }
        return settlements
    }

    /// Whether the control plane should hear that somebody waits and there is no replica: true once a need.
    package mutating func takeWake() -> Bool {
        guard !hasWoken, waitingCount > 0, let route, route.replicas.isEmpty else { return false }
        hasWoken = true
        return true
    }

    // MARK: Inside

    private var refusal: Refusal? {
        if isDraining { return .draining }
        guard let route else { return .removed }
        switch route.condition.status {
        case .stopped, .errored, .deleted: return .unavailable(route.condition)
        case .pending, .initializing, .ready, .standby, .updating: return nil
        }
    }

    private mutating func take(_ demand: Demand, _ now: ContinuousClock.Instant) -> DeploymentRoute.RoutableReplica? {
        guard let route else { return nil }
        let candidates = route.replicas.compactMap { replica -> ReplicaChooser.Candidate? in
            let load = loads[replica.id] ?? Load()
            var limit = limits.requestsPerReplica
            if let ceiling = ceilings[replica.id], ceiling.until > now { limit = min(limit, ceiling.requestCount) }
            guard load.requestCount < limit, (avoided[replica.id]?.until ?? now) <= now else {
                return nil
            }
            return ReplicaChooser.Candidate(
                id: replica.id, requestCount: load.requestCount, tokenCount: load.tokenCount)
        }
        guard let id = chooser.choose(among: candidates, for: demand.keys) else { return nil }
        loads[id, default: Load()].requestCount += 1
        loads[id, default: Load()].tokenCount += demand.tokenCount
        return route.replicas.first { $0.id == id }
    }

    private mutating func refuseAll(_ refusal: Refusal) -> [Settlement] {
        let all = returning.all + waiting.all
        (returning, waiting) = (WaiterQueue(), WaiterQueue())
        hasWoken = false
        return all.map { Settlement(waiter: $0.id, result: .failure(refusal)) }
    }

    private mutating func drop(_ id: ReplicaID) {
        loads[id] = nil
        chooser.forget(id)
    }
}

/// Those who wait, first come first. Taking the first one costs the same however many there are.
private struct WaiterQueue: Sendable {
    private var waiters: [DispatchStateMachine.Waiter] = []
    /// Those before this place have gone.
    private var head = 0

    var count: Int { waiters.count - head }
    var isEmpty: Bool { count == 0 }
    var first: DispatchStateMachine.Waiter? { isEmpty ? nil : waiters[head] }
    var all: ArraySlice<DispatchStateMachine.Waiter> { waiters[head...] }

    mutating func append(_ waiter: DispatchStateMachine.Waiter) { waiters.append(waiter) }

    mutating func removeFirst() {
        head += 1
        guard head * 2 > waiters.count else { return }
        waiters.removeFirst(head)
        head = 0
    }

    /// From 1.
    func position(of id: DispatchStateMachine.WaiterID) -> Int? {
        all.firstIndex { $0.id == id }.map { $0 - head + 1 }
    }

    mutating func remove(_ id: DispatchStateMachine.WaiterID) -> Bool {
        guard let index = all.firstIndex(where: { $0.id == id }) else { return false }
        waiters.remove(at: index)
        return true
    }
}
