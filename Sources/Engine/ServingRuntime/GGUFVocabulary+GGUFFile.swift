import ServingModelFiles
import ServingTensors
import ServingTokenizers

extension GGUFVocabulary {
    /// The tokenizer of a GGUF file; nil where the file has none.
    init?(file: GGUFFile) {
        guard let model = file["tokenizer.ggml.model"]?.stringValue,
            let tokens = Strings(file["tokenizer.ggml.tokens"])
        else { return nil }
        self.init(model: model, tokens: tokens)
        func flag(_ name: String) -> Bool? { file["tokenizer.ggml.\(name)"]?.boolValue }
        func tokenID(_ name: String) -> TokenID? {
            file["tokenizer.ggml.\(name)_token_id"]?.intValue.flatMap { TokenID(exactly: $0) }
        }
        preTokenizer = file["tokenizer.ggml.pre"]?.stringValue
        scores = file["tokenizer.ggml.scores"]?.arrayValue?.floats
        tokenTypes = file["tokenizer.ggml.token_type"]?.arrayValue?.integers?.map { Int32(truncatingIfNeeded: $0) }
        merges = Strings(file["tokenizer.ggml.merges"])
        bosTokenID = tokenID("bos")
        eosTokenID = tokenID("eos")
        eotTokenID = tokenID("eot")
        eomTokenID = tokenID("eom")
        unknownTokenID = tokenID("unknown")
        padTokenID = tokenID("padding")
        addsBOS = flag("add_bos_token")
        addsEOS = flag("add_eos_token")
        addsSpacePrefix = flag("add_space_prefix")
        removesExtraWhitespace = flag("remove_extra_whitespaces")
        characterMap = file["tokenizer.ggml.precompiled_charsmap"]?.arrayValue.map { Array($0.bytes) }
    }
}

extension GGUFVocabulary.Strings {
    fileprivate init?(_ value: GGUFValue?) {
        guard let packed = value?.arrayValue?.strings?.packed() else { return nil }
        self.init()
        bytes = packed.bytes
        ends = Array(packed.offsets.dropFirst())
    }
}
