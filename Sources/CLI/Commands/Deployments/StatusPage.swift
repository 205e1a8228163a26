import ControlAPI
import Deployments
import ModelHub
import ServingJSON
import Terminal

/// One deployment on a page: how it stands, its replicas, the last minute's figures, what happened last, what to do
/// next.
struct StatusPage {
    let view: DeploymentView
    let events: [EventView]
    let now: Timestamp
    let isColored: Bool

    var text: String {
        var text = head + replicas
        if let figures = view.figures {
            text += "\nLAST MINUTE\n" + Figures.lines(figures).map { "  \($0)\n" }.joined()
        }
        if !events.isEmpty {
            var table = TextTable([])
            for event in events {
                let reason = event.severity == .warning ? "! \(event.reason)" : "  \(event.reason)"
                table.add(["\(Figures.age(event.at, now: now)) ago", reason, event.message.onOneLine])
            }
            let rows = table.text.split(separator: "\n").map { "  \($0)\n" }
            text += "\nEVENTS\n" + rows.joined()
        }
        for note in view.notes { text += "\nNote: \(note.field): \(note.text)" }
        return text + (view.notes.isEmpty ? "" : "\n") + "\nNext: \(next)\n"
    }

    private var head: String {
        let message = view.statusMessage.isEmpty ? "" : ": \(view.statusMessage.onOneLine)"
        var rows = [
            ("model", view.model), ("replicas", replicaLine),
            ("load", "\(view.load.running) running, \(view.load.queued) queued"),
            (
                "revision",
                "\(view.revision), changed \(Figures.age(view.updatedAt, now: now)) ago, made "
                    + "\(Figures.age(view.createdAt, now: now)) ago"
            ),
            ("endpoint", view.endpoint.openai),
        ]
        if !view.description.isEmpty { rows.insert(("purpose", view.description.onOneLine), at: 0) }
        if let deletedAt = view.deletedAt { rows.append(("deleted", "\(Figures.age(deletedAt, now: now)) ago")) }
        let first = "\(view.name)  \(status)  \(view.statusReason)\(message)\n"
        return first
            + rows.map { name, value in
                "  \(name)\(String(repeating: " ", count: max(1, 10 - name.count)))\(value)\n"
            }.joined()
    }

    private var status: String {
        let word = view.status.rawValue
        return switch view.status {
        case .ready: TextStyle.green(word, colored: isColored)
        case .errored: TextStyle.red(word, colored: isColored)
        case .pending, .initializing, .updating: TextStyle.yellow(word, colored: isColored)
        case .standby, .stopped, .deleted: TextStyle.dim(word, colored: isColored)
        }
    }

    private var replicaLine: String {
        func field(_ name: String) -> Int? { view.config[name]?.intValue }
        let limits =
            field("minReplicas").flatMap { min in field("maxReplicas").map { ", \(min) to \($0)" } } ?? ""
        let decision = view.pinnedReplicas == nil ? "autoscaler\(limits)" : "set by hand; '--auto' ends that"
        return "\(view.currentReplicas) ready, \(view.desiredReplicas) wanted (\(decision))"
    }

    private var replicas: String {
        guard !view.replicas.isEmpty else { return "" }
        var table = TextTable([
            "REPLICA", "PHASE", "DEVICE", "BUSY", "REVISION", "REQUESTS", "AGE", "ENDPOINT", "MESSAGE",
        ])
        for replica in view.replicas {
            table.add([
                replica.id, replica.phase + (replica.percent.map { " \($0) %" } ?? ""), replica.device ?? "-",
                Self.use(of: replica), "\(replica.revision)\(replica.isOutdated ? " (old)" : "")",
                "\(replica.requests)", Figures.age(replica.launchedAt, now: now), replica.endpoint ?? "-",
                replica.message.onOneLine,
            ])
        }
        return "\n" + table.text
    }

    /// How busy what a replica computes on is, and how full.
    private static func use(of replica: ReplicaView) -> String {
        let share = Figures.percent(replica.utilization)
        return replica.gpuMemoryBytes.map { "\(share), \(ByteCount.text(Int64($0)))" } ?? share
    }

    /// What its owner will want to do.
    private var next: String {
        let name = view.name
        return switch view.status {
        case .pending, .initializing: "pbctl wait \(name) --for ready"
        case .ready: "pbctl prompt \(name) \"Hello\""
        case .standby: "a request wakes it: pbctl prompt \(name) \"Hello\""
        case .stopped: "pbctl start \(name)"
        case .errored: "pbctl logs \(name); then 'pbctl update' or 'pbctl start \(name)'"
        case .updating:
            view.statusReason == "RolloutStalled"
                ? "pbctl logs \(name); then 'pbctl update' or 'pbctl rollout undo \(name)'"
                : "pbctl rollout status \(name)"
        case .deleted: "pbctl events"
        }
    }
}
