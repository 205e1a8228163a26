package import Deployments

/// Replicas without processes: for tests with very many of them, and for simulations.
///
/// Everything that happens to a replica follows from its ``Behaviour`` and the clock, looked up when somebody asks;
/// nothing waits. So on a clock that stands still nothing changes but by calls, and ``changes()`` tells of what time
/// has done once ``list()``, ``replica(_:)`` or ``observeTime()`` sees it.
///
/// Readiness is not the launcher's to say: the control plane asks the replica at its endpoint. A test that uses this
/// launcher gives the control plane a prober that takes every replica with an endpoint for ready.
package final class NullLauncher: ReplicaLauncher {
    /// What becomes of a replica; durations count from its launch.
    package struct Behaviour: Sendable, Hashable {
        /// The launch itself fails so.
        package var failure: LauncherError?
        /// How long it waits for a place first.
        package var queueDuration: Duration = .zero
        /// When it listens; nil: never.
        package var listensAfter: Duration? = .zero
        /// When and how it ends by itself; nil: never.
        package var crash: Crash?
        /// What it writes at its start.
        package var lines: [String] = []
        /// How long it takes to end when told to; its grace ends it sooner.
        package var drainDuration: Duration = .zero

        package struct Crash: Sendable, Hashable {
            package var after: Duration
            package var code: Int32?
            package var signal: Int32?
            package var lastLines: [String]

            package init(after: Duration, code: Int32? = nil, signal: Int32? = nil, lastLines: [String] = []) {
                self.after = after
                self.code = code
                self.signal = signal
                self.lastLines = lastLines
            }
        }

        /// Listens at once, for ever.
        package init() {}

        package static var ready: Behaviour { Behaviour() }
        package static var neverListens: Behaviour {
            var behaviour = Behaviour()
            behaviour.listensAfter = nil
            return behaviour
        }
        package static func fails(_ error: LauncherError) -> Behaviour {
            var behaviour = Behaviour()
            behaviour.failure = error
            return behaviour
        }
        package static func crashes(_ crash: Crash) -> Behaviour {
            var behaviour = Behaviour()
            behaviour.crash = crash
            return behaviour
        }
    }

    /// Says how the replica of a request behaves. `number` counts launches from 1, refused ones too.
    package typealias Script = @Sendable (_ request: ReplicaLaunchRequest, _ number: Int) -> Behaviour

    package let name: String
    package let capabilities: LauncherCapabilities
    /// The replicas; they outlive the launcher.
    package let world: NullWorld
    private let clock: any ControlClock
    private let script: Script
    private let endpoint: @Sendable (ReplicaID) -> ReplicaEndpoint?

    /// - Parameters:
    ///   - world: That of an earlier launcher, to stand for a control plane that starts anew.
    ///   - endpoint: Where a replica that listens does so. By default a name that no resolver knows.
    package init(
        name: String = "null", capabilities: LauncherCapabilities = LauncherCapabilities(reportsExitOfAdopted: true),
        clock: any ControlClock, world: NullWorld = NullWorld(), script: @escaping Script = { _, _ in .ready },
        endpoint: @escaping @Sendable (ReplicaID) -> ReplicaEndpoint? = {
            ReplicaEndpoint(host: "\($0).invalid", port: 1)
        }
    ) {
        self.name = name
        self.capabilities = capabilities
        self.clock = clock
        self.world = world
        self.script = script
        self.endpoint = endpoint
    }

    package func launch(_ request: ReplicaLaunchRequest) throws(LauncherError) {
        if world.has(request.id) { return }
        let behaviour = script(request, world.nextLaunchNumber())
        if let failure = behaviour.failure { throw failure }
        let now = clock.now()
        guard world.add(request, behaviour, endpoint(request.id), at: now) else { return }
        for line in behaviour.lines { world.say(LogLine(replica: request.id, at: now, text: line)) }
    }

    package func list() -> [LaunchedReplica] { world.list(at: clock.now()) }
    package func replica(_ id: ReplicaID) -> LaunchedReplica? { world.replica(id, at: clock.now()) }
    package func changes() -> AsyncStream<ReplicaID> { world.feed.stream() }
    package func stop(_ id: ReplicaID, grace: Duration) { world.stop(id, grace: grace, at: clock.now()) }
    package func forget(_ id: ReplicaID) { world.forget(id, at: clock.now()) }

    /// Tells of all that time has done.
    package func observeTime() { _ = list() }

    /// Ends a replica as something from outside would.
    package func crash(_ id: ReplicaID, code: Int32? = nil, signal: Int32? = nil, lastLines: [String] = []) {
        let now = clock.now()
        world.end(id, ReplicaExit(code: code, signal: signal, lastLines: lastLines, at: now), at: now)
    }

    /// Puts a line in a replica's log.
    package func say(_ id: ReplicaID, _ text: String) {
        world.say(LogLine(replica: id, at: clock.now(), text: text))
    }

    package func logs(
        _ id: ReplicaID, _ options: LogOptions
    ) throws(LauncherError) -> AsyncThrowingStream<LogLine, any Error> {
        guard let lines = world.lines(id) else {
            throw LauncherError(.notFound, "replica \(id): no such replica, or its log is gone")
        }
        let first = options.tail.map { max(0, lines.count - max(0, $0)) } ?? 0
        let reader = NullLogReader(
            id, world, clock, from: first, to: options.follow ? nil : lines.count, since: options.since)
        return AsyncThrowingStream { try await reader.next() }
    }
}

/// Gives the lines of one replica to one reader.
private actor NullLogReader {
    private let id: ReplicaID
    private let world: NullWorld
    private let clock: any ControlClock
    private var index: Int
    /// Nil follows.
    private let end: Int?
    private let since: Timestamp?

    init(
        _ id: ReplicaID, _ world: NullWorld, _ clock: any ControlClock, from index: Int, to end: Int?, since: Timestamp?
    ) {
        self.id = id
        self.world = world
        self.clock = clock
        self.index = index
        self.end = end
        self.since = since
    }

    func next() async throws -> LogLine? {
        while true {
            let isRunning = end == nil && world.replica(id, at: clock.now()).map { !$0.hasEnded } ?? false
            let lines = world.lines(id) ?? []
            while index < min(lines.count, end ?? Int.max) {
                let line = lines[index]
                index += 1
                if let since, let at = line.at, at < since { continue }
                return line
            }
            if !isRunning { return nil }
            do { try await Task.sleep(for: .milliseconds(10)) } catch { return nil }
        }
    }
}
