/// Names of the files of a PEFT folder, as PEFT writes them.
enum AdapterFiles {
    static let config = "adapter_config.json"
    static let weights = "adapter_model.safetensors"
    /// What every adapter has.
    static let required = [config, weights]

    /// Whether a file at the top of a repository or folder belongs to an adapter. Pickles never do.
    static func isWanted(_ name: String) -> Bool {
        guard !name.contains("/"), !PullSelection.isPickle(name) else { return false }
        let tokenizer = ["special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt"]
        return required.contains(name) || tokenizer.contains(name)
            || (name.hasPrefix("tokenizer") || name.hasPrefix("chat_template"))
                && [".json", ".model", ".jinja"].contains(where: name.hasSuffix)
    }
}
