public import ServingAdapters
public import ServingEngine
public import ServingTensors

/// A loaded adapter, kept on the device for as long as the lease lives.
public final class AdapterLease: Sendable {
    /// Identity of the weights: source, id, revision, content hash and tenant.
    public let key: AdapterKey
    /// The id that the client gave; a merge's ids joined by commas.
    public let name: String
    /// The weights on the device.
    public let adapter: any ResidentAdapter
    /// How long the caller waited for it; zero when it was there.
    public let loadDuration: Duration

    init(key: AdapterKey, name: String, adapter: any ResidentAdapter, loadDuration: Duration) {
        self.key = key
        self.name = name
        self.adapter = adapter
        self.loadDuration = loadDuration
    }

    /// Makes a request run with this adapter, and keeps the adapter loaded until the request has ended.
    public func apply(to request: inout GenerationRequest) {
        request.adapterKey = key
    }
}

/// What the library holds and has done.
public struct AdapterStatistics: Sendable, Equatable {
    /// Adapters on the device.
    public var deviceCount = 0
    /// Their bytes.
    public var deviceBytes = 0
    /// Adapters whose files are open and checked.
    public var hostCount = 0
    /// Their bytes.
    public var hostBytes = 0
    /// Loads under way.
    public var loadingCount = 0
    /// Times that an adapter was on the device when asked for.
    public var hitCount = 0
    /// Times that it had to be loaded.
    public var loadCount = 0
    /// Loads that failed.
    public var failureCount = 0
    /// Adapters that were dropped from the device for others.
    public var evictionCount = 0
}

/// The adapters of one loaded model, in tiers: files, open and checked files, weights on the device.
public final class AdapterLibrary: Sendable {
    /// Loads an adapter, or finds it loaded; returns when it is on the device.
    ///
    /// Loads of different adapters run beside each other; requests for the same one wait for a single load. Cancelling the
    /// task gives up the wait.
    public func acquire(_ selection: AdapterSelection) async throws(AdapterError) -> AdapterLease {
        throw AdapterError(.unsupported, "adapters can't be loaded yet")
    }

    /// What the library holds.
    public func statistics() -> AdapterStatistics { AdapterStatistics() }
}
