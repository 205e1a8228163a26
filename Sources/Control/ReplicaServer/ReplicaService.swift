import HTTPServing
import ServingAPI
import ServingAdapters
import ServingEngine
import ServingTensors
import Synchronization

/// What all routes share: the model, its limits, who is let in, what is counted.
final class ReplicaService: Sendable {
    let model: any ReplicaModel
    let configuration: ReplicaConfiguration
    let metrics: ReplicaMetrics
    let admission: Admission
    let adapters: AdapterResolver
    let limits: NativeLimits
    let bodies: RequestBodyReader
    /// Seconds since 1970 when the server started.
    let startedAt: Int
    private let nextRequest = Atomic<Int>(0)
    private let listedAdapters = Mutex<(ids: [String], until: ContinuousClock.Instant)?>(nil)

    /// What the routes of a model share; `admission` is the server's where that listened before the model was there.
    init(_ model: any ReplicaModel, _ configuration: ReplicaConfiguration, admission: Admission? = nil) {
        self.model = model
        self.configuration = configuration
        metrics = ReplicaMetrics(contextLength: model.limits.contextLength)
        self.admission = admission ?? Admission(limit: configuration.maxConcurrentRequests)
        adapters = AdapterResolver(
            baseModelIDs: configuration.baseModelIDs.union([model.name]), defaultSource: configuration.adapterSource,
            isLoRAXCompatible: configuration.isLoRAXCompatible, placeOf: configuration.adapterPlace)
        limits = NativeLimits(contextLength: model.limits.contextLength)
        bodies = RequestBodyReader(maxBytes: configuration.maxBodyBytes, maxDepth: configuration.maxJSONDepth)
        startedAt = UnixTime.now()
    }

    /// A name for a request that the engine does not know yet.
    func makeRequestID() -> String { "http-\(nextRequest.add(1, ordering: .relaxed).newValue)" }

    /// The adapters that can be named, looked up at most once a second: a listing walks through folders.
    func adapterIDs() -> [String] {
        listedAdapters.withLock { listed in
            let now = ContinuousClock.now
            if let listed, now < listed.until { return listed.ids }
            let ids = configuration.adapterIDs()
            listed = (ids, now + .seconds(1))
            return ids
        }
    }

    /// Loads the adapter, if one is asked for; gives up when the client goes.
    func acquire(
        _ selection: AdapterSelection?, _ presence: ClientPresence
    ) async throws(AdapterError) -> (any LeasedAdapter)? {
        guard let selection else { return nil }
        let model = model
        return try await presence.cancelling { () async throws(AdapterError) -> any LeasedAdapter in
            try await model.acquire(selection)
        }
    }

    /// What the engine and the adapters say now, in the metrics.
    func updateMetrics() {
        metrics.update(
            model.statistics(), model.adapterStatistics(), inFlight: admission.count,
            positionsPerBlock: model.limits.positionsPerBlock)
        if let usage = model.gpuUsage() { metrics.update(usage) }
    }
}
