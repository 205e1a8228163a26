import Deployments
import Testing

@testable import Gateway

private func replica(_ name: String) -> DeploymentRoute.RoutableReplica {
    DeploymentRoute.RoutableReplica(id: ReplicaID(name), endpoint: ReplicaEndpoint(host: "h", port: 1))
}

/// The machine with a clock of its own.
private final class Bench {
    var machine: DispatchStateMachine
    var now = ContinuousClock.now

    init(perReplica: Int = 2, waiting: Int = 3) {
        var limits = DispatchStateMachine.Limits()
        limits.requestsPerReplica = perReplica
        limits.waiting = waiting
        machine = DispatchStateMachine(limits: limits)
    }

    func publish(_ status: DeploymentStatus, _ replicas: String...) throws -> [DispatchStateMachine.Settlement] {
        machine.publish(try route("d", status, replicas.map(replica)), now: now)
    }

    func enter(returning: Bool = false, tokens: Int = 10) -> DispatchStateMachine.Entry {
        machine.enter(DispatchStateMachine.Demand(tokenCount: tokens), isReturning: returning, now: now)
    }

    func waiter(returning: Bool = false) -> DispatchStateMachine.WaiterID? {
        if case .wait(let id) = enter(returning: returning) { id } else { nil }
    }

    func release(_ name: String, tokens: Int = 10) -> [DispatchStateMachine.Settlement] {
        machine.release(ReplicaID(name), tokenCount: tokens, now: now)
    }

    func takeWake() -> Bool { machine.takeWake() }
    func leave(_ waiter: DispatchStateMachine.WaiterID) -> Bool { machine.leave(waiter) }
    func settle() -> [DispatchStateMachine.Settlement] { machine.settle(now: now) }
    func drain() -> [DispatchStateMachine.Settlement] { machine.drain() }
}

private func served(_ settlements: [DispatchStateMachine.Settlement]) -> [DispatchStateMachine.WaiterID] {
    settlements.compactMap { if case .success = $0.result { $0.waiter } else { nil } }
}

@Suite("Who waits and who is served") struct DispatchStateMachineTests {
    @Test("Requests go to replicas with room; the rest waits and is served in order")
    func order() throws {
        let bench = Bench()
        _ = try bench.publish(.ready, "a")
        #expect(bench.enter() == .go(replica("a")))
        #expect(bench.enter() == .go(replica("a")))
        let first = bench.waiter()
        let second = bench.waiter()
        #expect(first.flatMap(bench.machine.position) == 1 && second.flatMap(bench.machine.position) == 2)
        #expect(served(bench.release("a")) == [first])
        #expect(served(try bench.publish(.ready, "a", "b")) == [second])
        #expect(bench.machine.runningCount == 3 && bench.machine.waitingCount == 0)
    }

    @Test(
        "Where there is no replica, the status says who may wait",
        arguments: [
            (DeploymentStatus.pending, true), (.initializing, true), (.ready, true), (.standby, true),
            (.updating, true), (.stopped, false), (.errored, false), (.deleted, false),
        ])
    func statuses(status: DeploymentStatus, waits: Bool) throws {
        let bench = Bench()
        _ = try bench.publish(status)
        switch bench.enter() {
        case .wait: #expect(waits)
        case .refuse(.unavailable(let condition)): #expect(!waits && condition.status == status)
        default: Issue.record("neither waits nor is refused")
        }
        #expect(bench.takeWake() == waits)
    }

    @Test("A status that ends all hope ends all waits", arguments: [DeploymentStatus.stopped, .errored, .deleted])
    func hopeless(status: DeploymentStatus) throws {
        let bench = Bench()
        _ = try bench.publish(.initializing)
        let waiters = [bench.waiter(), bench.waiter(returning: true)]
        let settlements = try bench.publish(status)
        #expect(Set(settlements.map(\.waiter)) == Set(waiters.compactMap(\.self)))
        #expect(served(settlements).isEmpty && bench.machine.waitingCount == 0)
    }

    @Test("The queue is bounded, but not for requests that lost their replica, and those go first")
    func returning() throws {
        let bench = Bench(waiting: 2)
        _ = try bench.publish(.standby)
        let waiters = [bench.waiter(), bench.waiter()]
        #expect(bench.enter() == .refuse(.queueFull(limit: 2)))
        let lost = bench.waiter(returning: true)
        let lostLater = bench.waiter(returning: true)
        #expect(lost.flatMap(bench.machine.position) == 1 && lostLater.flatMap(bench.machine.position) == 2)
        #expect(served(try bench.publish(.ready, "a", "b")) == [lost, lostLater] + waiters)
    }

    @Test("A need wakes once: again only after it was met, or nobody waits, or the deployment fell asleep again")
    func wakes() throws {
        let bench = Bench()
        _ = try bench.publish(.standby)
        #expect(!bench.takeWake())
        let first = try #require(bench.waiter())
        #expect(bench.takeWake())
        _ = bench.waiter()
        #expect(!bench.takeWake())
        _ = try bench.publish(.initializing)
        #expect(!bench.takeWake())
        _ = try bench.publish(.standby)
        #expect(bench.takeWake())
        _ = try bench.publish(.standby)
        #expect(!bench.takeWake())
        #expect(bench.leave(first))
        #expect(!bench.leave(first))
        #expect(!bench.takeWake())
        _ = try bench.publish(.ready, "a")
        _ = bench.release("a")
        _ = try bench.publish(.standby)
        _ = bench.waiter()
        #expect(bench.takeWake())
    }

    @Test("A replica that refused is left alone for a second, then longer, and trusted again after an answer")
    func avoidance() throws {
        let bench = Bench()
        _ = try bench.publish(.ready, "a", "b")
        bench.machine.avoid(ReplicaID("a"), now: bench.now)
        #expect(bench.enter() == .go(replica("b")) && bench.enter() == .go(replica("b")))
        let waiter = bench.waiter()
        #expect(bench.machine.nextCheck(after: bench.now) == bench.now + .seconds(1))
        bench.now += .seconds(1)
        #expect(served(bench.settle()) == [waiter])
        #expect(bench.machine.nextCheck(after: bench.now) == nil)
        for seconds in [2, 4, 8, 8] {
            bench.machine.avoid(ReplicaID("a"), now: bench.now)
            let waiter = bench.waiter()
            #expect(bench.machine.nextCheck(after: bench.now) == bench.now + .seconds(seconds))
            bench.now += .seconds(seconds) - .milliseconds(1)
            #expect(bench.settle().isEmpty)
            bench.now += .milliseconds(1)
            #expect(served(bench.settle()) == [waiter])
            _ = bench.release("a")
        }
        bench.machine.avoid(ReplicaID("a"), now: bench.now)
        bench.machine.trust(ReplicaID("a"))
        #expect(bench.enter() == .go(replica("a")))
    }

    @Test("A replica that is full gets no more than it has, for ten seconds; one with nothing else is left alone")
    func full() throws {
        let bench = Bench(perReplica: 10)
        _ = try bench.publish(.ready, "a")
        for _ in 0..<3 { #expect(bench.enter() == .go(replica("a"))) }
        bench.machine.fill(ReplicaID("a"), now: bench.now)
        #expect(bench.release("a").isEmpty)
        let waiters = [bench.waiter(), bench.waiter(), bench.waiter()]
        #expect(served(bench.release("a")) == [waiters[0]])
        #expect(bench.machine.nextCheck(after: bench.now) == bench.now + .seconds(10))
        bench.now += .seconds(10)
        #expect(served(bench.settle()) == [waiters[1], waiters[2]])
        for _ in 0..<3 { _ = bench.release("a") }
        bench.machine.fill(ReplicaID("a"), now: bench.now)
        #expect(bench.waiter() != nil && bench.machine.nextCheck(after: bench.now) == bench.now + .seconds(1))
    }

    @Test("A withdrawn replica gets nothing new, and counts until its last request has ended")
    func withdrawn() throws {
        let bench = Bench()
        _ = try bench.publish(.ready, "a", "b")
        #expect(bench.enter() == .go(replica("a")))
        _ = try bench.publish(.ready, "b")
        #expect(bench.enter() == .go(replica("b")))
        #expect(bench.machine.outstanding == [ReplicaID("a"): 1, ReplicaID("b"): 1])
        _ = bench.release("a")
        #expect(bench.machine.outstanding == [ReplicaID("b"): 1])
        #expect(bench.machine.tokenCount(of: ReplicaID("a")) == 0)
    }

    @Test("Tokens that are done count no more")
    func progress() throws {
        let bench = Bench()
        _ = try bench.publish(.ready, "a", "b")
        #expect(bench.enter(tokens: 1000) == .go(replica("a")))
        #expect(bench.enter(tokens: 100) == .go(replica("b")))
        bench.machine.progress(ReplicaID("a"), tokenCount: 990)
        #expect(bench.enter(tokens: 1) == .go(replica("a")))
        _ = bench.release("a", tokens: 10)
        #expect(bench.machine.tokenCount(of: ReplicaID("a")) == 1)
    }

    @Test("A gateway that drains refuses those that wait and those that come")
    func drain() throws {
        let bench = Bench()
        _ = try bench.publish(.standby)
        let waiter = bench.waiter()
        #expect(bench.drain() == [.init(waiter: try #require(waiter), result: .failure(.draining))])
        #expect(bench.enter() == .refuse(.draining))
        #expect(try bench.publish(.ready, "a").isEmpty)
        #expect(bench.enter() == .refuse(.draining))
    }

    @Test("Whatever happens, counts hold, limits hold, and nobody waits beside a replica with room", arguments: 0..<20)
    func invariants(seed: UInt64) throws {
        var random = SeededGenerator(state: seed)
        let bench = Bench(perReplica: 3, waiting: 10)
        var routed: [String] = []
        var running: [String] = []
        var waiting: Set<DispatchStateMachine.WaiterID> = []
        func take(_ settlements: [DispatchStateMachine.Settlement]) {
            for settlement in settlements {
                #expect(waiting.remove(settlement.waiter) != nil)
                if case .success(let replica) = settlement.result { running.append(replica.id.text) }
            }
        }
        for _ in 0..<500 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<4:
                switch bench.enter(
                    returning: Bool.random(using: &random), tokens: Int.random(in: 1..<99, using: &random))
                {
                case .go(let replica): running.append(replica.id.text)
                case .wait(let id): waiting.insert(id)
                case .refuse: break
                }
            case 4..<7:
                guard let index = running.indices.randomElement(using: &random) else { continue }
                let name = running.remove(at: index)
                if Bool.random(using: &random) { bench.machine.avoid(ReplicaID(name), now: bench.now) }
                take(bench.release(name, tokens: 0))
            case 7:
                let status = DeploymentStatus.allCases.randomElement(using: &random) ?? .ready
                routed =
                    status == .ready || status == .updating
                    ? ["a", "b", "c"].filter { _ in Bool.random(using: &random) } : []
                take(bench.machine.publish(try route("d", status, routed.map(replica)), now: bench.now))
            case 8:
                guard let id = waiting.randomElement(using: &random) else { continue }
                #expect(bench.leave(id))
                waiting.remove(id)
            default:
                bench.now += .milliseconds(Int.random(in: 0..<3000, using: &random))
                take(bench.settle())
            }
            #expect(bench.machine.runningCount == running.count)
            #expect(bench.machine.waitingCount == waiting.count)
            #expect(bench.machine.outstanding.values.allSatisfy { (1...3).contains($0) })
            guard !waiting.isEmpty else { continue }
            let full = routed.allSatisfy { bench.machine.outstanding[ReplicaID($0)] == 3 }
            #expect(full || bench.machine.nextCheck(after: bench.now) != nil)
        }
    }
}

/// SplitMix64.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
