import Synchronization

/// The open connections of a server, which are told when it stops.
///
/// Each ``ConnectionHandler`` enters itself; ``DrainService`` gives the orders.
package final class OpenConnections: Sendable {
    /// What connections are told.
    enum Order: Sendable {
        /// Slow clients get little time from now on.
        case hurry
        /// The connection ends now, whatever is under way.
        case close
    }

    private struct State {
        var isDraining = false
        var nextID = 0
        var handlers: [Int: @Sendable (Order) -> Void] = [:]
    }

    private let state = Mutex(State())

    /// No connections yet.
    package init() {}

    /// How many there are.
    package var count: Int { state.withLock { $0.handlers.count } }

    /// Enters a connection. `tell` is called from any thread, at once where the server is stopping already.
    func enter(_ tell: @escaping @Sendable (Order) -> Void) -> Int {
        let (id, isDraining) = state.withLock { state in
            state.nextID += 1
            state.handlers[state.nextID] = tell
            return (state.nextID, state.isDraining)
        }
        if isDraining { tell(.hurry) }
        return id
    }

    /// A connection has ended.
    func leave(_ id: Int) { state.withLock { _ = $0.handlers.removeValue(forKey: id) } }

    /// Gives up requests that are only half here, and answers that nobody reads, sooner than before.
    package func startDraining() {
        let handlers = state.withLock { state in
            state.isDraining = true
            return state.handlers.values
        }
        for tell in handlers { tell(.hurry) }
    }

    /// Ends every connection.
    package func closeAll() {
        let handlers = state.withLock { $0.handlers.values }
        for tell in handlers { tell(.close) }
    }
}
