import Glibc

/// Places in the control plane's work at which a test has the process killed, as power cuts and `kill -9` would.
///
/// `PBCTL_FAULT_POINT=update.recorded` arms one; it strikes the first time that it is reached. Without the variable
/// this costs a comparison.
enum FaultPoint: String, CaseIterable, Sendable {
    /// A new deployment is checked and not recorded.
    case createChecked = "create.checked"
    /// It is recorded and nothing knows of it.
    case createRecorded = "create.recorded"
    /// It is known and its client has no answer.
    case createKnown = "create.known"
    case updateChecked = "update.checked"
    case updateRecorded = "update.recorded"
    case updateKnown = "update.known"
    /// A replica has a name and its launcher was not told.
    case launchNamed = "launch.named"
    /// The launcher has started it and nobody has looked at it.
    case launchDone = "launch.done"
    /// A replica was taken from the routes and not told to end.
    case drainUnrouted = "drain.unrouted"
    case drainTold = "drain.told"
    /// A deleted deployment has no replicas and is not filed away.
    case retireDecided = "retire.decided"
    case retireRecorded = "retire.recorded"

    private static let armed = getenv("PBCTL_FAULT_POINT").flatMap { FaultPoint(rawValue: String(cString: $0)) }

    /// Ends the process here if this is the point.
    func reach() {
        if Self.armed == self { kill(getpid(), SIGKILL) }
    }
}
