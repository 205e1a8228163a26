import ServingModelFiles
import ServingTensors

extension AdapterFolder {
    /// Checks what can be checked without a model: that every tensor is one that some model takes, that the values are
    /// finite, that factors come in pairs of the ranks that the config says, and that the config names what is there.
    ///
    /// - Throws: `invalidAdapter`, or `unsupported` for tensors that would not be applied.
    public func checkTensors() throws(AdapterError) {
        var modules: [AdapterModule: AdapterModuleTensors] = [:]
        for entry in tensors.entries {
            guard let tensor = try tensor(entry) else { continue }
            guard let name = AdapterTensorName(tensor.name),
                let module = AdapterModule(name.module, hasSandwichNorms: false)
                    ?? AdapterModule(name.module, hasSandwichNorms: true)
            else {
                throw AdapterError(
                    .unsupported,
                    "tensor \(AdapterMapper.shown(tensor)) would not be used: no model here has such a part")
            }
            try modules.add(tensor, name, module)
        }
        try AdapterConsistency(config: config, layerCount: nil, modules: modules).check()
        for tensors in modules.values.sorted(by: { $0.name < $1.name }) {
            for (a, b) in [(AdapterTensorName.Part.loraA, AdapterTensorName.Part.loraB), (.embeddingA, .embeddingB)] {
                guard let (loraA, loraB) = try tensors.factors(a, b, config) else { continue }
                guard loraA.shape.count == 2, loraB.shape.count == 2, loraA.shape[0] == loraB.shape[1] else {
                    throw AdapterError(
                        .invalidAdapter,
                        "tensors \(AdapterMapper.shown(loraA)) and \(AdapterMapper.shown(loraB)) have shapes \(loraA.shape) and "
                            + "\(loraB.shape): expected (rank, in) and (out, rank)")
                }
            }
        }
    }

    /// A tensor of the file; nil for what is only announced.
    func tensor(_ entry: SafetensorsFile.Entry) throws(AdapterError) -> StoredTensor? {
        do {
            return try tensors.tensor(named: entry.name)
        } catch {
            throw AdapterError(
                error.code == .unsupportedTensorType ? .unsupported : .invalidAdapter, error.description)
        }
    }
}
