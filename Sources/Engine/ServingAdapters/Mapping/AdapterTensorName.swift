/// A tensor's name in an adapter's file, taken apart: `base_model.model.` + module + part.
///
/// PEFT leaves the adapter's own name out when it saves (`lora_A.weight`); other tools keep it
/// (`lora_A.default.weight`).
struct AdapterTensorName: Equatable {
    /// What a tensor is to its module.
    enum Part: Hashable {
        case loraA, loraB, loraBias
        case embeddingA, embeddingB
        case magnitude
        /// The module's own weight: trained in full, or saved beside its update.
        case weight
        case bias

        var isLowRank: Bool {
            switch self {
            case .loraA, .loraB, .loraBias, .embeddingA, .embeddingB, .magnitude: true
            case .weight, .bias: false
            }
        }
    }

    /// The module's name in the base model.
    let module: String
    let part: Part
    /// Whether the weight or bias was saved under `base_layer`, beside an update.
    let isOfBaseLayer: Bool

    init?(_ name: String) {
        var words = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        if words.starts(with: ["base_model", "model"]) { words.removeFirst(2) }
        guard let split = Self.split(words), split.module > 0, !words.contains("") else { return nil }
        module = words[..<split.module].joined(separator: ".")
        part = split.part
        isOfBaseLayer = words[split.module] == "base_layer"
    }

    /// How many words name the module, and what follows.
    private static func split(_ words: [String]) -> (module: Int, part: Part)? {
        for (index, word) in words.enumerated() {
            let restCount = words.count - index - 1
            // An adapter's name may stand between the part and its parameter.
            let parameter = (1...2).contains(restCount) ? words.last : nil
            switch word {
            case "lora_A": return parameter == "weight" ? (index, .loraA) : nil
            case "lora_B":
                switch parameter {
                case "weight": return (index, .loraB)
                case "bias": return (index, .loraBias)
                default: return nil
                }
            case "lora_embedding_A": return restCount <= 1 ? (index, .embeddingA) : nil
            case "lora_embedding_B": return restCount <= 1 ? (index, .embeddingB) : nil
            case "lora_magnitude_vector": return restCount <= 2 ? (index, .magnitude) : nil
            case "modules_to_save", "base_layer":
                guard word == "modules_to_save" || restCount == 1 else { return nil }
                return own(parameter).map { (index, $0) }
            default: continue
            }
        }
        return own(words.last).map { (words.count - 1, $0) }
    }

    private static func own(_ parameter: String?) -> Part? {
        switch parameter {
        case "weight": .weight
        case "bias": .bias
        default: nil
        }
    }
}
