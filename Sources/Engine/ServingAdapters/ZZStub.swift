public import ServingModels
public struct AdapterFingerprint: Sendable, Equatable { public init(folder: String) throws(AdapterError) {} }
public struct AdapterFolder: Sendable {
    public let fingerprint: AdapterFingerprint
    public let byteCount = 0
    public let contentHash = ""
    public init(path: String) throws(AdapterError) { fingerprint = try AdapterFingerprint(folder: path) }
    public func weights(for config: DecoderConfig, base: DecoderWeights) throws(AdapterError) -> AdapterWeights { AdapterWeights(layerCount: 0) }
}
public enum AdapterCombination {
    public static func combine(_ a: [AdapterWeights], _ merge: AdapterMerge, loraxCompatible: Bool, seed: UInt64) throws(AdapterError) -> AdapterWeights { a[0] }
}
extension ModelDescription {
    public func merging(adapterAt path: String?) throws -> ModelDescription { self }
}
