public import ServingModels
extension ModelDescription {
    public func merging(adapterAt path: String?) throws -> ModelDescription { self }
}
