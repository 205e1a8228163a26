/// Names a replica: the deployment's name, a dash and a few random letters and digits; unique for ever.
package struct ReplicaID: Sendable, Hashable, Comparable, CustomStringConvertible {
    package let text: String

    package init(_ text: String) { self.text = text }

    package var description: String { text }
    package static func < (left: ReplicaID, right: ReplicaID) -> Bool { left.text < right.text }
}

/// Where a replica is reached.
package struct ReplicaEndpoint: Sendable, Hashable, CustomStringConvertible {
    package var host: String
    package var port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
    package var url: String { "http://\(description)" }
}

/// How a replica ended.
package struct ReplicaExit: Sendable, Hashable {
    /// Exit status; nil where a signal ended it or nobody saw it end.
    package var code: Int32?
    /// Signal that ended it.
    package var signal: Int32?
    /// What it said last, for people.
    package var lastLines: [String]
    package var at: Timestamp

    package init(code: Int32? = nil, signal: Int32? = nil, lastLines: [String] = [], at: Timestamp) {
        self.code = code
        self.signal = signal
        self.lastLines = lastLines
        self.at = at
    }

    /// Whether starting the same thing again must fail again: usage errors and missing or bad input (sysexits 64-66,
    /// 78).
    package var isFinal: Bool { code.map { [64, 65, 66, 78].contains($0) } ?? false }
}

/// Where one replica stands, as the control plane sees it.
package enum ReplicaPhase: Sendable, Hashable {
    /// Its launcher waits for a place.
    case queued(reason: String)
    /// Launched; it does not answer yet.
    case starting
    /// It answers and says how much of the model is loaded.
    case loading(percent: Int)
    /// It gave an answer of one token.
    case ready
    /// It was ready and does not answer any more; it is given a little time before it is killed.
    case unresponsive(since: Timestamp)
    /// It was told to finish what runs and end.
    case draining
    /// It has ended.
    case exited(ReplicaExit)

    /// Its name for people and scripts.
    package var name: String {
        switch self {
        case .queued: "queued"
        case .starting: "starting"
        case .loading: "loading"
        case .ready: "ready"
        case .unresponsive: "unresponsive"
        case .draining: "draining"
        case .exited: "exited"
        }
    }
}

/// One replica as the state machine sees it.
package struct ReplicaObservation: Sendable, Hashable {
    package var id: ReplicaID
    /// ``ReplicaTemplate/mark`` of what it runs.
    package var templateMark: String
    /// Revision of the config that it was started for.
    package var revision: Int
    package var phase: ReplicaPhase
    package var launchedAt: Timestamp
    /// When it became ready first; nil before.
    package var readyAt: Timestamp?
    /// Requests that the gateway has given it and that are not answered yet.
    package var outstandingRequestCount: Int

    package init(
        id: ReplicaID, templateMark: String, revision: Int, phase: ReplicaPhase, launchedAt: Timestamp,
        readyAt: Timestamp? = nil, outstandingRequestCount: Int = 0
    ) {
        self.id = id
        self.templateMark = templateMark
        self.revision = revision
        self.phase = phase
        self.launchedAt = launchedAt
        self.readyAt = readyAt
        self.outstandingRequestCount = outstandingRequestCount
    }
}
