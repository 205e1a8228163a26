import Synchronization

/// A flag that one thread raises to end a load in another. It never goes down again.
public final class StopFlag: Sendable {
    private let raised = Atomic<Bool>(false)

    /// A flag that is down.
    public init() {}

    /// Whether ``raise()`` was called.
    public var isRaised: Bool { raised.load(ordering: .acquiring) }

    /// Raises the flag.
    public func raise() { raised.store(true, ordering: .releasing) }
}
