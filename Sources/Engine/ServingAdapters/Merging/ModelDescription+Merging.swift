public import ServingModels

extension ModelDescription {
    /// The model with an adapter merged into its weights, or itself for nil. Changed weights keep float types and become
    /// Q8_0 where the model is quantised.
    ///
    /// - Parameter path: a PEFT folder.
    /// - Throws: `AdapterError` where the folder can't be read, or was made for another model.
    public func merging(adapterAt path: String?) throws -> ModelDescription {
        guard let path else { return self }
        let adapter = try AdapterFolder(path: path).weights(for: config, base: weights)
        return ModelDescription(
            config: config, weights: try WeightMerger.merged(weights, with: adapter, config: config))
    }
}
