public import ServingEngine
public import ServingTensors

/// A loaded adapter, kept on the device for as long as the lease lives.
public final class AdapterLease: Sendable {
    /// Identity of the weights: source, ids, revisions, content and tenant.
    public let key: AdapterKey
    /// The id that the client gave; a merge's ids joined by commas.
    public let name: String
    /// The weights on the device.
    public let adapter: any ResidentAdapter
    /// How long the caller waited for it; next to nothing when it was there.
    public let loadDuration: Duration
    private let onEnd: @Sendable () -> Void

    init(
        key: AdapterKey, name: String, adapter: any ResidentAdapter, loadDuration: Duration,
        onEnd: @escaping @Sendable () -> Void
    ) {
        self.key = key
        self.name = name
        self.adapter = adapter
        self.loadDuration = loadDuration
        self.onEnd = onEnd
    }

    deinit { onEnd() }

    /// Makes a request run with this adapter, and keeps the adapter loaded until the request has ended.
    public func apply(to request: inout GenerationRequest) {
        request.adapterKey = key
        request.adapter = adapter
        request.adapterHold = self
    }
}
