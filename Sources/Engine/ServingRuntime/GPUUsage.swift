/// How busy and how full the GPU of a model is, with all that runs on it; nil for what it does not tell.
public struct GPUUsage: Sendable, Hashable {
    /// `cuda:0`.
    public var device: String
    /// Share of the last second or so in which a kernel ran, 0 to 1.
    public var utilization: Double?
    /// Bytes of its memory in use.
    public var usedBytes: Int?
    /// Bytes of its memory.
    public var totalBytes: Int?

    /// The usage of a device.
    public init(device: String, utilization: Double? = nil, usedBytes: Int? = nil, totalBytes: Int? = nil) {
        self.device = device
        self.utilization = utilization
        self.usedBytes = usedBytes
        self.totalBytes = totalBytes
    }
}
