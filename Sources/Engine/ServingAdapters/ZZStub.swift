public import ServingModels
public enum AdapterCombination {
    public static func combine(_ a: [AdapterWeights], _ merge: AdapterMerge, loraxCompatible: Bool, seed: UInt64) throws(AdapterError) -> AdapterWeights { a[0] }
}
extension ModelDescription {
    public func merging(adapterAt path: String?) throws -> ModelDescription { self }
}
