import CServingAdapters
import ServingTensors

/// Tensors of one module of the base model.
struct AdapterModuleTensors {
    /// The module's name in the base model, as the file has it.
    let name: String
    var parts: [AdapterTensorName.Part: StoredTensor] = [:]

    /// The two factors of an update, with the rank that the config says; nil where there are none.
    func factors(
        _ a: AdapterTensorName.Part, _ b: AdapterTensorName.Part, _ config: AdapterConfig
    ) throws(AdapterError) -> (loraA: StoredTensor, loraB: StoredTensor)? {
        guard let loraA = parts[a], let loraB = parts[b] else {
            guard let alone = parts[a] ?? parts[b] else { return nil }
            throw AdapterError(
                .invalidAdapter,
                "tensor \(AdapterMapper.shown(alone)) has no partner: lora_A and lora_B come in pairs")
        }
        let rank = config.rank(of: name)
        if loraA.shape.count == 2, loraB.shape.count == 2, loraA.shape[0] == loraB.shape[1], loraA.shape[0] != rank {
            throw AdapterError(
                .invalidAdapter,
                "tensor \(AdapterMapper.shown(loraA)) has rank \(loraA.shape[0]), \(AdapterConfig.fileName) says \(rank)"
            )
        }
        return (loraA, loraB)
    }
}

extension [AdapterModule: AdapterModuleTensors] {
    /// Files a tensor under its module.
    ///
    /// - Throws: `invalidAdapter` for values that are not finite, and for a part that is there already.
    mutating func add(
        _ tensor: StoredTensor, _ name: AdapterTensorName, _ module: AdapterModule
    ) throws(AdapterError) {
        let count = tensor.bytes.count / tensor.type.blockByteCount
        let bad = sa_first_not_finite(
            tensor.type.rawValue, tensor.bytes.bindMemory(to: UInt8.self).baseAddress, count)
        guard bad == count else {
            throw AdapterError(
                .invalidAdapter,
                "\(AdapterFolder.tensorsFileName): tensor \(AdapterMapper.shown(tensor)): element \(bad) is infinite or no "
                    + "number")
        }
        var tensors = self[module] ?? AdapterModuleTensors(name: name.module)
        if let other = tensors.parts.updateValue(tensor, forKey: name.part) {
            throw AdapterError(
                .invalidAdapter,
                "tensors \(AdapterMapper.shown(other)) and \(AdapterMapper.shown(tensor)) are the same part of a module"
            )
        }
        self[module] = tensors
    }
}
