package import Deployments
import Glibc

/// Replicas as processes of this machine, each in a session of its own, so that they outlive the server.
///
/// The control plane calls it; it starts `pbctl engine serve`. What it knows is in its folder, one folder a replica
/// (``ReplicaFolder``), and in the processes themselves (``ProcessMark``); a new launcher on the same folder adopts
/// them. Two launchers never share a folder at a time. Runs on a thread of its own (``LauncherThread``).
package actor LocalLauncher: ReplicaLauncher {
    package nonisolated let name = "local"
    package nonisolated let capabilities = LauncherCapabilities()

    /// Points of a launch at which a test may cut it off, as the death of the server would.
    enum LaunchStep: Sendable, Hashable, CaseIterable { case intentWritten, processStarted, processRecorded }

    let folder: String
    let executable: String
    let clock: any ControlClock
    let maxReplicas: Int?
    let retention: ReplicaRetention
    let environment: [String: String]
    let interruption: (@Sendable (LaunchStep) -> Bool)?
    /// Whether the ends of processes are told by descriptors; otherwise /proc is looked at ten times a second.
    let usesDescriptors: Bool
    nonisolated let feed = ChangeFeed()

    var replicas: [ReplicaID: LocalReplica]
    /// When endpoints and logs are looked at next.
    var nextTick = ContinuousClock.now
    var nextLogCheck = ContinuousClock.now
    var nextCleanUp = ContinuousClock.now
    private var lock: FolderLock?
    private nonisolated let thread: LauncherThread

    package nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    /// Adopts the replicas of a folder, which is made if need be.
    ///
    /// - Parameters:
    ///   - executable: Program of the replicas: pbctl itself.
    ///   - maxReplicas: Most replicas that run at a time; nil for no limit but the machine's.
    /// - Throws: `.refused` where another server holds the folder, `.cannotWrite` where it can't be made,
    ///   `.unavailable` where its replicas can't be looked at now.
    package init(
        folder: String, executable: String, clock: any ControlClock, maxReplicas: Int? = nil,
        retention: ReplicaRetention = ReplicaRetention()
    ) throws(LauncherError) {
        try self.init(
            folder: folder, executable: executable, clock: clock, maxReplicas: maxReplicas, retention: retention,
            environment: LaunchEnvironment.ofThisProcess())
    }

    init(
        folder: String, executable: String, clock: any ControlClock, maxReplicas: Int?, retention: ReplicaRetention,
        environment: [String: String], usesDescriptors: Bool = true,
        interruption: (@Sendable (LaunchStep) -> Bool)? = nil
    ) throws(LauncherError) {
        guard !ProcessIdentity.currentBootID.isEmpty else {
            throw LauncherError(.unavailable, "cannot read /proc, which tells replicas from other processes; mount it")
        }
        try LauncherFiles.makeFolders(folder)
        let folder = LauncherFiles.resolved(folder)
        lock = try FolderLock(folder + "/.lock")
        thread = try LauncherThread()
        self.folder = folder
        // Replicas start in "/".
        self.executable = LauncherFiles.absolute(executable)
        self.clock = clock
        self.maxReplicas = maxReplicas
        self.retention = retention
        self.environment = environment
        self.usesDescriptors = usesDescriptors
        self.interruption = interruption
        var replicas = try ReplicaAdoption(folder: folder, now: clock.now()).replicas()
        if usesDescriptors { for id in replicas.keys { replicas[id]?.watch() } }
        self.replicas = replicas
        try thread.start { [weak self] ready in self?.assumeIsolated { $0.turn(ready) } }
    }

    deinit {
        for replica in replicas.values where replica.descriptor >= 0 { Glibc.close(replica.descriptor) }
        feed.finish()
        thread.stop()
    }

    /// Lets go of the folder; replicas go on. What is asked of the launcher from then on is refused.
    package func close() {
        for id in replicas.keys { replicas[id]?.unwatch() }
        lock = nil
        feed.finish()
    }

    var isClosed: Bool { lock == nil }

    package func list() throws(LauncherError) -> [LaunchedReplica] {
        try requireOpen()
        return replicas.keys.sorted().compactMap { look($0) }
    }

    package func replica(_ id: ReplicaID) throws(LauncherError) -> LaunchedReplica? {
        try requireOpen()
        return look(id)
    }

    package nonisolated func changes() -> AsyncStream<ReplicaID> { feed.stream() }

    package func forget(_ id: ReplicaID) throws(LauncherError) {
        try requireOpen()
        guard let replica = replicas[id], replica.process == nil else { return }
        replica.folder.forget()
        guard !replica.folder.hasRecord else {
            throw LauncherFiles.failure("cannot remove", replica.folder.recordPath, EACCES)
        }
        replicas[id] = nil
        feed.tell(id)
    }

    /// Lines carry no time (`at` is nil): a replica's output has none that could be relied on. `since` is good to ten
    /// seconds and gives rather too much.
    package func logs(
        _ id: ReplicaID, _ options: LogOptions
    ) throws(LauncherError) -> AsyncThrowingStream<LogLine, any Error> {
        try requireOpen()
        let log = if let replica = replicas[id] { replica.folder.log } else { try ReplicaFolder(id, in: folder).log }
        guard let reader = LogReader(log, tail: options.tail, since: options.since, follows: options.follow) else {
            guard replicas[id] == nil else { return AsyncThrowingStream { nil } }
            throw LauncherError(.notFound, "replica \(id): no such replica, or its log is gone")
        }
        var mayGrow: (@Sendable () async -> Bool)?
        if options.follow { mayGrow = { [weak self] in await self?.isRunning(id) ?? false } }
        let follower = LogFollower(id, reader, mayGrow: mayGrow)
        return AsyncThrowingStream { try await follower.next() }
    }

    private func isRunning(_ id: ReplicaID) -> Bool { !isClosed && replicas[id]?.process != nil }

    /// A replica with what it has said since the last look.
    private func look(_ id: ReplicaID) -> LaunchedReplica? {
        if let replica = replicas[id], replica.process != nil, replica.endpoint == nil {
            replicas[id]?.endpoint = replica.folder.endpoint()
        }
        return replicas[id]?.launched
    }

    func requireOpen() throws(LauncherError) {
        guard !isClosed else { throw LauncherError(.refused, "the launcher of \(folder) was closed") }
    }
}
