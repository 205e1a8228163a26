package import Deployments
import Synchronization

/// The deployments that the gateway leads requests to, as the control plane last published them.
package final class RouteTable: Sendable {
    private let limits: DispatchStateMachine.Limits
    private let clock: any ControlClock
    private let wake: @Sendable (DeploymentName) -> Void

    private struct State {
        var dispatches: [String: DeploymentDispatch] = [:]
        var isDraining = false
    }

    private let state = Mutex(State())
    private let active = ActivityNotes()

    /// - Parameter wake: called when requests wait for a deployment that has no replica, once a need.
    package init(
        limits: DispatchStateMachine.Limits, clock: any ControlClock,
        wake: @escaping @Sendable (DeploymentName) -> Void
    ) {
        self.limits = limits
        self.clock = clock
        self.wake = wake
    }

    /// A deployment is new or has changed. Requests that waited for the change go on.
    package func publish(_ route: DeploymentRoute) {
        let (dispatch, isDraining) = state.withLock { state in
            let dispatch =
                state.dispatches[route.name.text]
                ?? DeploymentDispatch(
                    name: route.name, limits: limits, clock: clock, wake: wake,
                    noteActivity: { [active] in active.note($0) })
            state.dispatches[route.name.text] = dispatch
            return (dispatch, state.isDraining)
        }
        dispatch.publish(route)
        if isDraining { dispatch.drain() }
    }

    /// A deployment is no more. Requests that wait for it are refused; those at replicas run on.
    package func remove(_ name: DeploymentName) {
        state.withLock { $0.dispatches.removeValue(forKey: name.text) }?.remove()
    }

    /// All routes, by name.
    package var routes: [DeploymentRoute] { dispatches.compactMap(\.route) }

    /// How busy a deployment is; nothing for one that is not here.
    package func load(of name: DeploymentName) -> LoadReading { self[name.text]?.reading ?? LoadReading() }

    /// Deployments at which a request came or ended since the last call: only their load can have changed.
    package func takeActive() -> [DeploymentName] { active.take() }

    /// Nothing new is taken, and nobody waits any longer.
    package func drain() {
        state.withLock { $0.isDraining = true }
        for dispatch in dispatches { dispatch.drain() }
    }

    subscript(name: String) -> DeploymentDispatch? { state.withLock { $0.dispatches[name] } }

    var dispatches: [DeploymentDispatch] {
        state.withLock { Array($0.dispatches.values) }.sorted { $0.name < $1.name }
    }
}

/// Deployments at which something happened, until somebody asks.
private final class ActivityNotes: Sendable {
    private let names = Mutex<Set<DeploymentName>>([])

    func note(_ name: DeploymentName) { names.withLock { _ = $0.insert(name) } }

    func take() -> [DeploymentName] {
        names.withLock { names in
            defer { names.removeAll(keepingCapacity: true) }
            return Array(names)
        }
    }
}
