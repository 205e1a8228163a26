package import Deployments

/// What a replica says of itself.
package enum ReplicaHealth: Sendable, Hashable {
    /// No connection, or no answer in time.
    case unreachable(String)
    /// It answers, and loads the model.
    case loading(percent: Int)
    /// It takes requests.
    case healthy
    /// It finishes what it has.
    case draining
}

/// What a replica has used of its machine.
package struct ReplicaUsage: Sendable, Hashable {
    /// CPU seconds since it started.
    package var cpuSeconds: Double
    /// Share of the GPU's time that kernels ran, 0 to 1; nil without one.
    package var gpuUtilization: Double?
    /// Bytes of the GPU's memory in use, by all programs; nil without one.
    package var gpuMemoryBytes: Int?
    package var residentBytes: Int

    package init(
        cpuSeconds: Double, gpuUtilization: Double? = nil, gpuMemoryBytes: Int? = nil, residentBytes: Int = 0
    ) {
        self.cpuSeconds = cpuSeconds
        self.gpuUtilization = gpuUtilization
        self.gpuMemoryBytes = gpuMemoryBytes
        self.residentBytes = residentBytes
    }
}

/// Asks replicas how they are. Over HTTP in the product; tests have replicas without processes.
package protocol ReplicaProbing: Sendable {
    /// Asks for its health, within a second or two.
    func health(_ endpoint: ReplicaEndpoint) async -> ReplicaHealth
    /// Whether it generates a token, which is what ready means here; nil where it does, else why not.
    func failureToAnswer(_ endpoint: ReplicaEndpoint) async -> String?
    /// What it uses; nil where it does not say.
    func usage(_ endpoint: ReplicaEndpoint) async -> ReplicaUsage?
}
