public import ServingModels

extension ModelDescription {
    /// The model with an adapter merged into its weights, for models that are loaded to run with one adapter only.
    /// Changed weights are computed now and held in memory; the rest stays in the files.
    ///
    /// - Parameter path: a PEFT folder; nil gives the model as it is.
    /// - Throws: `AdapterError` where the folder can't be read, holds something that would not be applied, or was made
    ///   for another model.
    public func merging(adapterAt path: String?) throws(AdapterError) -> ModelDescription {
        guard let path else { return self }
        let adapter = try AdapterFolder(path: path).weights(for: config, base: weights)
        let merged = try WeightMerger.merged(weights, with: adapter, config: config)
        var config = config
        // Where only one of the two changes, embedding and head are no longer one tensor.
        if merged.head.weight.bytes.baseAddress != merged.embedding.bytes.baseAddress { config.tiesEmbeddings = false }
        return ModelDescription(config: config, weights: merged)
    }
}
