import Synchronization

/// A flag that one thread raises to make work on another stop soon. It never goes down again.
public final class CancellationFlag: Sendable {
    private let raised = Atomic<Bool>(false)

    /// A flag that is down.
    public init() {}

    /// Whether ``cancel()`` was called.
    public var isCancelled: Bool { raised.load(ordering: .acquiring) }

    /// Raises the flag. Takes no lock and allocates nothing.
    public func cancel() { raised.store(true, ordering: .releasing) }

    func check() throws(ModelHubError) {
        if isCancelled { throw ModelHubError(.cancelled, "interrupted") }
    }
}
