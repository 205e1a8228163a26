/// What an adapter library holds and has done.
public struct AdapterStatistics: Sendable, Equatable {
    /// Adapters on the device.
    public var deviceCount = 0
    /// Their bytes.
    public var deviceBytes = 0
    /// Adapters whose files are read and checked.
    public var hostCount = 0
    /// Their bytes.
    public var hostBytes = 0
    /// Loads under way, those that wait for room among them.
    public var loadingCount = 0
    /// Times that an adapter was on the device when asked for.
    public var hitCount = 0
    /// Times that it had to be loaded.
    public var loadCount = 0
    /// Loads that failed.
    public var failureCount = 0
    /// Adapters that were dropped from the device for others.
    public var evictionCount = 0

    /// Nothing.
    public init() {}
}
