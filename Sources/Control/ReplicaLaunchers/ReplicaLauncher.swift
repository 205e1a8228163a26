package import Deployments

/// Starts, lists and stops replicas somewhere: as processes of this machine, in a cluster.
///
/// The control plane calls it; the truth about replicas is in the launcher's world (processes, pods, jobs), never only
/// in memory, so that a control plane that starts anew finds what an earlier one left. Whether a replica is ready is
/// asked of the replica itself over HTTP, not of its launcher.
package protocol ReplicaLauncher: Sendable {
    /// Its name in specs and messages (`local`, `kubernetes`, `slurm`).
    var name: String { get }
    var capabilities: LauncherCapabilities { get }

    /// Starts a replica and returns when the launcher's world has it, long before it is ready.
    ///
    /// A replica with the same id that is there already is left as it is: repeating a launch is safe.
    func launch(_ request: ReplicaLaunchRequest) async throws(LauncherError)

    /// All replicas there are, running and ended, less the forgotten ones. Those of other control planes are not among
    /// them.
    func list() async throws(LauncherError) -> [LaunchedReplica]

    /// One replica as it is now; nil where there is none of that id or it was forgotten.
    func replica(_ id: ReplicaID) async throws(LauncherError) -> LaunchedReplica?

    /// Ids of replicas whose state changed, as it happens. Each call gives a stream of its own; slow readers get the
    /// newest.
    func changes() -> AsyncStream<ReplicaID>

    /// Tells a replica to finish what runs and end, and ends it by force when `grace` has passed; zero does at once.
    /// Returns without waiting. A replica that has ended or never was is no error; a shorter grace replaces a longer
    /// one.
    func stop(_ id: ReplicaID, grace: Duration) async throws(LauncherError)

    /// Drops an ended replica and what it left, but for its log, which stays for a while. A running one is left as it
    /// is.
    func forget(_ id: ReplicaID) async throws(LauncherError)

    /// What a replica wrote, oldest first, also of one that has ended. Ends at the log's end, or with `follow` when the
    /// replica has ended and all was given.
    func logs(
        _ id: ReplicaID, _ options: LogOptions
    ) async throws(LauncherError) -> AsyncThrowingStream<LogLine, any Error>
}

/// What a launcher's world can do.
package struct LauncherCapabilities: Sendable, Hashable {
    /// Whether an exit status is known for replicas that another control plane started.
    package var reportsExitOfAdopted: Bool
    /// Whether ended replicas are started again by the launcher's own world.
    package var restartsByItself: Bool
    /// Whether a replica may wait for a place.
    package var queues: Bool
    /// Longest life of a replica, where there is a limit.
    package var maxLifetime: Duration?

    package init(
        reportsExitOfAdopted: Bool = false, restartsByItself: Bool = false, queues: Bool = false,
        maxLifetime: Duration? = nil
    ) {
        self.reportsExitOfAdopted = reportsExitOfAdopted
        self.restartsByItself = restartsByItself
        self.queues = queues
        self.maxLifetime = maxLifetime
    }
}

/// A replica to be started.
package struct ReplicaLaunchRequest: Sendable, Hashable {
    package var id: ReplicaID
    package var deployment: DeploymentName
    package var deploymentID: String
    package var revision: Int
    /// Marks which template it runs (`ReplicaTemplate.mark`), so that an adopted replica can be told from an outdated
    /// one.
    package var templateMark: String
    /// Arguments of pbctl, `engine serve` first; host, port and where to tell the port are the launcher's to add.
    package var arguments: [String]
    /// Variables besides those the launcher passes on; secrets come here, never in arguments.
    package var environment: [String: String]

    package init(
        id: ReplicaID, deployment: DeploymentName, deploymentID: String, revision: Int, templateMark: String,
        arguments: [String], environment: [String: String] = [:]
    ) {
        self.id = id
        self.deployment = deployment
        self.deploymentID = deploymentID
        self.revision = revision
        self.templateMark = templateMark
        self.arguments = arguments
        self.environment = environment
    }
}

/// A replica as its launcher knows it.
package struct LaunchedReplica: Sendable, Hashable {
    package enum State: Sendable, Hashable {
        /// It waits for a place.
        case queued(reason: String)
        /// Its process runs.
        case running
        case ended(ReplicaExit)
    }

    package var id: ReplicaID
    package var deployment: DeploymentName
    package var deploymentID: String
    package var revision: Int
    package var templateMark: String
    package var launchedAt: Timestamp
    package var state: State
    /// Whether it was told to stop.
    package var isStopping: Bool
    /// Where it listens; nil until it has said so.
    package var endpoint: ReplicaEndpoint?
    /// Process id, where it is a process of this machine.
    package var processID: Int32?
    /// What it was told to compute on; nil where it was left to it.
    package var device: ReplicaDevice?

    package init(
        id: ReplicaID, deployment: DeploymentName, deploymentID: String, revision: Int, templateMark: String,
        launchedAt: Timestamp, state: State, isStopping: Bool = false, endpoint: ReplicaEndpoint? = nil,
        processID: Int32? = nil
    ) {
        self.id = id
        self.deployment = deployment
        self.deploymentID = deploymentID
        self.revision = revision
        self.templateMark = templateMark
        self.launchedAt = launchedAt
        self.state = state
        self.isStopping = isStopping
        self.endpoint = endpoint
        self.processID = processID
    }

    package var hasEnded: Bool { if case .ended = state { true } else { false } }
}

/// Which part of a log is wanted.
package struct LogOptions: Sendable, Hashable {
    /// Only so many of the last lines; nil for all.
    package var tail: Int?
    package var since: Timestamp?
    /// Whether to go on with what is yet to be written.
    package var follow: Bool

    package init(tail: Int? = nil, since: Timestamp? = nil, follow: Bool = false) {
        self.tail = tail
        self.since = since
        self.follow = follow
    }
}

/// A line that a replica wrote.
package struct LogLine: Sendable, Hashable {
    package var replica: ReplicaID
    /// When it was written; nil where the log does not say.
    package var at: Timestamp?
    package var text: String

    package init(replica: ReplicaID, at: Timestamp?, text: String) {
        self.replica = replica
        self.at = at
        self.text = text
    }
}

/// Why a launcher could not do what it was asked.
package struct LauncherError: Error, Hashable, CustomStringConvertible {
    package enum Code: String, Sendable, Hashable {
        /// Another try may work: no memory, no processes left, a cluster that does not answer.
        case unavailable
        /// It can't work: no such program, not permitted.
        case refused
        /// The launcher's files can't be written.
        case cannotWrite
        /// There is no such replica or log.
        case notFound
    }

    package var code: Code
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
    package var isRetryable: Bool { code == .unavailable || code == .cannotWrite }
}
