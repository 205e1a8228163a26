public import ServingModels

extension ModelDescription {
    /// The model with an adapter's folder merged into its weights; itself without one.
    public func merging(adapterAt path: String?) throws(AdapterError) -> ModelDescription {
        guard let path else { return self }
        let adapter = try AdapterFolder(path: path).weights(for: config, base: weights)
        return ModelDescription(
            config: config, weights: try WeightMerger.merged(weights, with: adapter, config: config))
    }
}
