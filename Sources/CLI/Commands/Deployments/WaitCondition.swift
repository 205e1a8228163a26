import ArgumentParser
import ControlAPI
import Deployments

/// What a deployment is waited to come to.
enum WaitCondition: ExpressibleByArgument, Sendable, Equatable {
    /// At least one replica answers, and none is of an earlier config.
    case ready
    case standby
    case stopped
    case deleted
    /// So many replicas are ready.
    case replicas(Int)
    /// A change is through: all replicas there are run the newest config, or there are none because none are wanted.
    case settled

    init?(argument: String) {
        switch argument {
        case "ready": self = .ready
        case "standby": self = .standby
        case "stopped": self = .stopped
        case "deleted": self = .deleted
        default:
            guard argument.hasPrefix("replicas="), let count = Int(argument.dropFirst(9)), count >= 0 else {
                return nil
            }
            self = .replicas(count)
        }
    }

    static var allValueStrings: [String] { ["ready", "standby", "stopped", "deleted", "replicas="] }

    var defaultValueDescription: String { description }

    /// As a user would write it.
    var description: String {
        switch self {
        case .ready: "ready"
        case .standby: "standby"
        case .stopped: "stopped"
        case .deleted: "deleted"
        case .replicas(let count): "replicas=\(count)"
        case .settled: "ready"
        }
    }

    enum Verdict: Sendable, Equatable {
        case met
        case pending
        /// It won't come about without somebody's doing.
        case hopeless(reason: String, hint: String?)
    }

    /// What a deployment's state means for the condition.
    func verdict(on view: DeploymentView) -> Verdict {
        if isMet(by: view) { return .met }
        switch view.status {
        case .deleted: return .hopeless(reason: "it was deleted", hint: nil)
        case .errored where self != .stopped && self != .deleted:
            return .hopeless(
                reason: view.statusMessage.isEmpty ? view.statusReason : "\(view.statusReason): \(view.statusMessage)",
                hint: "'pbctl logs \(view.name)' has more")
        case .updating where view.statusReason == "RolloutStalled" && (self == .ready || self == .settled):
            return .hopeless(
                reason: "\(view.statusReason): \(view.statusMessage)",
                hint: "'pbctl rollout undo \(view.name)' goes back")
        case .stopped where self == .ready || isReplicasWanted:
            return .hopeless(reason: "it is stopped", hint: "pbctl start \(view.name)")
        default: return .pending
        }
    }

    private var isReplicasWanted: Bool { if case .replicas(let count) = self { count > 0 } else { false } }

    private func isMet(by view: DeploymentView) -> Bool {
        // What drains takes no requests any more.
        let isUniform = !view.replicas.contains { $0.isOutdated && !["draining", "exited"].contains($0.phase) }
        return switch self {
        case .ready: view.status == .ready && isUniform
        case .standby: view.status == .standby
        case .stopped: view.status == .stopped
        case .deleted: view.status == .deleted
        case .replicas(let count): view.currentReplicas == count
        case .settled:
            isUniform && (view.status == .ready || view.status == .standby || view.status == .stopped)
        }
    }
}
