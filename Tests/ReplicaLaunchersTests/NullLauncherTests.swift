import Deployments
import Synchronization
import Testing

@testable import ReplicaLaunchers

/// A clock that stands still until it is told.
final class ManualClock: ControlClock {
    private let moment = Mutex(Timestamp(milliseconds: 1_000_000))
    func now() -> Timestamp { moment.withLock { $0 } }
    func advance(by duration: Duration) { moment.withLock { $0 = $0 + duration } }
}

@Suite struct NullLauncherTests {
    private let clock = ManualClock()

    private func state(_ launcher: NullLauncher, _ id: String) -> LaunchedReplica.State? {
        launcher.replica(ReplicaID(id))?.state
    }

    @Test func aReplicaGoesThroughItsLifeByTheClock() throws {
        let launcher = NullLauncher(
            clock: clock,
            script: { _, _ in
                var behaviour = NullLauncher.Behaviour()
                behaviour.queueDuration = .seconds(5)
                behaviour.listensAfter = .seconds(20)
                behaviour.crash = .init(after: .seconds(60), signal: 11, lastLines: ["bad address"])
                return behaviour
            }, endpoint: { _ in ReplicaEndpoint(host: "h", port: 7) })
        try launcher.launch(request("a-1", []))
        guard case .queued = state(launcher, "a-1") else {
            Issue.record("not queued")
            return
        }
        clock.advance(by: .seconds(5))
        #expect(state(launcher, "a-1") == .running)
        #expect(launcher.replica(ReplicaID("a-1"))?.endpoint == nil)
        clock.advance(by: .seconds(15))
        #expect(launcher.replica(ReplicaID("a-1"))?.endpoint == ReplicaEndpoint(host: "h", port: 7))
        clock.advance(by: .seconds(100))
        let exit = ReplicaExit(signal: 11, lastLines: ["bad address"], at: Timestamp(milliseconds: 1_060_000))
        #expect(state(launcher, "a-1") == .ended(exit))
        #expect(launcher.replica(ReplicaID("a-1"))?.endpoint == nil)
    }

    @Test func aScriptDecidesByTheNumberOfTheLaunch() throws {
        let launcher = NullLauncher(clock: clock) { _, number in
            switch number {
            case 1: .fails(LauncherError(.unavailable, "no room"))
            case 2: .crashes(.init(after: .zero, code: 3))
            case 3: .neverListens
            default: .ready
            }
        }
        let error = #expect(throws: LauncherError.self) { try launcher.launch(request("a-1", [])) }
        #expect(error == LauncherError(.unavailable, "no room"))
        #expect(launcher.list().isEmpty)
        for number in 2...4 { try launcher.launch(request("a-\(number)", [])) }
        #expect(launcher.replica(ReplicaID("a-2"))?.hasEnded == true)
        #expect(launcher.replica(ReplicaID("a-3"))?.state == .running)
        #expect(launcher.replica(ReplicaID("a-3"))?.endpoint == nil)
        #expect(launcher.replica(ReplicaID("a-4"))?.endpoint != nil)
        #expect(launcher.world.launchCount == 4)
    }

    @Test func aStopTakesAsLongAsTheReplicaDrainsButNoLongerThanItsGrace() throws {
        let launcher = NullLauncher(clock: clock) { _, _ in
            var behaviour = NullLauncher.Behaviour()
            behaviour.drainDuration = .seconds(30)
            return behaviour
        }
        for id in ["a-1", "a-2"] { try launcher.launch(request(id, [])) }
        launcher.stop(ReplicaID("a-1"), grace: .seconds(60))
        launcher.stop(ReplicaID("a-2"), grace: .seconds(10))
        launcher.stop(ReplicaID("a-2"), grace: .seconds(20))
        clock.advance(by: .milliseconds(9999))
        #expect(state(launcher, "a-2") == .running)
        clock.advance(by: .milliseconds(1))
        #expect(state(launcher, "a-2") == .ended(ReplicaExit(signal: 9, at: Timestamp(milliseconds: 1_010_000))))
        clock.advance(by: .seconds(20))
        #expect(state(launcher, "a-1") == .ended(ReplicaExit(code: 0, at: Timestamp(milliseconds: 1_030_000))))
    }

    @Test func tenThousandReplicasAreListedAndEnded() throws {
        let launcher = NullLauncher(clock: clock)
        for number in 0..<10_000 { try launcher.launch(request("a-\(number)", [])) }
        #expect(launcher.list().count == 10_000)
        launcher.crash(ReplicaID("a-77"), signal: 9, lastLines: ["gone"])
        #expect(launcher.list().filter(\.hasEnded).map(\.id.text) == ["a-77"])
        for number in 0..<10_000 {
            launcher.stop(ReplicaID("a-\(number)"), grace: .zero)
            launcher.forget(ReplicaID("a-\(number)"))
        }
        #expect(launcher.list().isEmpty)
    }

    @Test func whatTimeDidIsToldOnceSomebodyLooks() async throws {
        let launcher = NullLauncher(clock: clock) { _, _ in .crashes(.init(after: .seconds(1), code: 1)) }
        try launcher.launch(request("a-1", []))
        try launcher.launch(request("a-2", []))
        var changes = launcher.changes().makeAsyncIterator()
        clock.advance(by: .seconds(2))
        launcher.observeTime()
        launcher.observeTime()
        launcher.forget(ReplicaID("a-1"))
        var told: [String] = []
        for _ in 0..<3 { if let id = await changes.next() { told.append(id.text) } }
        #expect(told[..<2].sorted() == ["a-1", "a-2"])
        #expect(told[2] == "a-1")
    }

    @Test func aFeedKeepsTheNewestForASlowReaderAndEndsForAll() async {
        let feed = ChangeFeed()
        var slow = feed.stream().makeAsyncIterator()
        for number in 0..<5000 { feed.tell(ReplicaID("a-\(number)")) }
        feed.finish()
        var told: [String] = []
        while let id = await slow.next() { told.append(id.text) }
        #expect(told == (904..<5000).map { "a-\($0)" })
        var late = feed.stream().makeAsyncIterator()
        let none = await late.next()
        #expect(none == nil)
    }
}
