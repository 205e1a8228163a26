import Deployments
import ReplicaLaunchers

/// One replica as the reconciler follows it.
struct TrackedReplica: Sendable {
    let id: ReplicaID
    let templateMark: String
    let revision: Int
    let launchedAt: Timestamp
    var phase: ReplicaPhase
    var readyAt: Timestamp?
    /// When it was taken over from an earlier control plane, with an address at which it then should answer.
    var adoptedAt: Timestamp?
    var endpoint: ReplicaEndpoint?
    var processID: Int32?
    /// What it computes on; nil where that was left to it.
    var device: ReplicaDevice?
    /// Whether it was told to end, by us or by an earlier control plane.
    var isStopping = false
    /// Why it gave no token when it was asked for one.
    var refusal: String?
    var usage: (cpuSeconds: Double, at: Timestamp)?
    /// Share of the machine (CPU) or of the GPU in the last few seconds, 0 to 1.
    var utilization: Double?
    /// Bytes of the GPU's memory in use; nil without one.
    var gpuMemoryBytes: Int?
    /// Whether its usage is asked for though its deployment is at rest: until it was told once, and for as long as what
    /// was told last is no rest.
    var wantsUsage = true
    /// Asks it how it is until it has ended.
    var probing: Task<Void, Never>?

    init(
        id: ReplicaID, templateMark: String, revision: Int, launchedAt: Timestamp, phase: ReplicaPhase = .starting
    ) {
        self.id = id
        self.templateMark = templateMark
        self.revision = revision
        self.launchedAt = launchedAt
        self.phase = phase
    }

    /// A replica that an earlier control plane launched.
    init(_ launched: LaunchedReplica) {
        self.init(
            id: launched.id, templateMark: launched.templateMark, revision: launched.revision,
            launchedAt: launched.launchedAt)
        device = launched.device
        take(launched)
    }

    /// Notes what the launcher says; whether that changed anything.
    @discardableResult
    mutating func take(_ launched: LaunchedReplica) -> Bool {
        let before = (phase, endpoint, processID)
        endpoint = launched.endpoint ?? endpoint
        processID = launched.processID ?? processID
        if launched.isStopping { isStopping = true }
        switch launched.state {
        case .queued(let reason): phase = .queued(reason: reason)
        case .running:
            if case .queued = phase { phase = .starting }
            if isStopping { phase = .draining }
        case .ended(let exit): phase = .exited(exit)
        }
        return before != (phase, endpoint, processID)
    }

    var isEnded: Bool { if case .exited = phase { true } else { false } }
    var isReady: Bool { phase == .ready }

    func observation(outstanding: [ReplicaID: Int]) -> ReplicaObservation {
        ReplicaObservation(
            id: id, templateMark: templateMark, revision: revision, phase: phase, launchedAt: launchedAt,
            readyAt: readyAt, outstandingRequestCount: outstanding[id] ?? 0)
    }
}
