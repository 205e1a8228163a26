import ServingTensors

/// Names of tokens with a role, for files that do not say which token has it.
enum TokenRoles {
    /// Entries after which an answer is complete, in the model families that use them.
    static let endOfGeneration = [
        "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<end_of_turn>", "<|endoftext|>", "<|eom_id|>",
        "<EOT>", "[EOT]", "<|end_of_text|>", "<end_of_utterance>", "<｜end▁of▁sentence｜>", "<|eot|>", "<turn|>",
    ]
    /// Usual ends of a sequence, for tokenizers without configuration.
    static let eos = [
        "</s>", "<eos>", "<|end_of_text|>", "<｜end▁of▁sentence｜>", "<|endoftext|>", "<|im_end|>",
    ]
    /// Usual beginnings of a sequence.
    static let bos = ["<s>", "<bos>", "<|begin_of_text|>", "<｜begin▁of▁sentence｜>"]

    /// Ends of generation among control tokens, by name.
    static func endOfGenerationTokens(
        _ isControl: (TokenID) -> Bool, _ find: (String) -> TokenID?, known: [TokenID?]
    ) -> Set<TokenID> {
        var ids = Set(known.compactMap { $0 })
        var named: [String: TokenID] = [:]
        for name in endOfGeneration { if let id = find(name), isControl(id) { named[name] = id } }
        // Harmony's `<|end|>` closes one message of an answer, not the answer.
        if named["<|return|>"] != nil, named["<|call|>"] != nil { named["<|end|>"] = nil }
        ids.formUnion(named.values)
        return ids
    }
}
