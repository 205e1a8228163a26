import Deployments

/// A replica as the launcher of local processes keeps it in memory.
struct LocalReplica: Sendable {
    enum State: Sendable {
        case running(ProcessIdentity)
        case ended(ReplicaExit)
    }

    /// That it was told to end.
    struct Stop: Sendable {
        /// When it is killed.
        var deadline: ContinuousClock.Instant
        var isKilled = false
    }

    var record: ReplicaRecord
    let folder: ReplicaFolder
    var state: State
    var stop: Stop?
    var endpoint: ReplicaEndpoint?
    /// Whether readers of changes know of the endpoint.
    var hasToldEndpoint = false
    /// Becomes readable when the process ends; -1 where the kernel has no such thing, and once it has ended.
    var descriptor: Int32 = -1
    /// The log's length when it was noted last.
    var notedLogSize: Int64 = 0
    var notedAt: Timestamp?

    init(_ record: ReplicaRecord, _ folder: ReplicaFolder, _ state: State) {
        self.record = record
        self.folder = folder
        self.state = state
    }

    /// Its process, while that runs.
    var process: ProcessIdentity? { if case .running(let process) = state { process } else { nil } }

    var launched: LaunchedReplica {
        let state: LaunchedReplica.State =
            switch self.state {
            case .running: .running
            case .ended(let exit): .ended(exit)
            }
        var launched = LaunchedReplica(
            id: record.id, deployment: record.deployment, deploymentID: record.deploymentID, revision: record.revision,
            templateMark: record.templateMark, launchedAt: record.launchedAt, state: state, isStopping: stop != nil,
            endpoint: endpoint, processID: process?.pid)
        launched.device = ReplicaDevice(arguments: record.arguments)
        return launched
    }
}
