/// What the names in `tokenizer.ggml.pre` stand for: the pre-tokenizers of the models' own tokenizer.json files.
///
/// The list of names is llama.cpp's (src/llama-vocab.cpp); where it approximates a pattern, this is the original.
struct GGUFPreTokenizer {
    /// Patterns whose matches are isolated, one split after the other.
    var patterns: [String]
    var ignoresMerges = false
    /// The default where the file does not say.
    var addsBOS = false
    /// Text is normalized to NFC first.
    var isComposed = false
    var isByteLevel = true

    func preTokenizer() throws(TokenizerError) -> PreTokenizer {
        var steps: [PreTokenizer.Step] = []
        for pattern in patterns { steps.append(.split(try .compiled(pattern), .isolated, isInverted: false)) }
        return PreTokenizer(steps: steps)
    }
}

extension PreTokenizer.Matcher {
    /// The hand-written scanner of a pattern, or the pattern compiled.
    static func compiled(_ pattern: String) throws(TokenizerError) -> PreTokenizer.Matcher {
        if let scanner = WordScanner(pattern: pattern) { return .scanner(scanner) }
        return .pattern(try Pattern(pattern))
    }
}

enum GGUFPreTokenizers {
    private static let gpt2 = WordScanner.patterns[0].pattern
    private static let llama3 = WordScanner.patterns[1].pattern
    private static let qwen2 = WordScanner.patterns[2].pattern
    private static let qwen35 = WordScanner.patterns[5].pattern
    private static let o200k = WordScanner.patterns[6].pattern
    private static let tekken = WordScanner.patterns[7].pattern
    private static let deepSeek3 = ["\\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", WordScanner.patterns[8].pattern]

    /// The pre-tokenizer of a name, or nil.
    static func named(_ name: String) -> GGUFPreTokenizer? {
        switch name {
        case "default", "gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v2-es", "jina-v2-de", "a.x-4.0",
            "mellum", "modern-bert", "jina-v1-en", "jina-v2-code", "roberta-bpe", "exaone4", "mpt", "olmo", "jais",
            "trillion", "granite-docling":
            GGUFPreTokenizer(patterns: [gpt2])
        case "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2":
            GGUFPreTokenizer(patterns: ["\\p{N}", gpt2])
        case "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano":
            GGUFPreTokenizer(patterns: [llama3], ignoresMerges: true, addsBOS: true)
        case "dbrx", "smaug-bpe", "chatglm-bpe", "glm4":
            GGUFPreTokenizer(patterns: [llama3])
        case "qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan", "solar-open", "grok-2":
            GGUFPreTokenizer(patterns: [qwen2], isComposed: name != "hunyuan" && name != "solar-open")
        case "qwen35": GGUFPreTokenizer(patterns: [qwen35], isComposed: true)
        case "tekken": GGUFPreTokenizer(patterns: [tekken], ignoresMerges: true, addsBOS: true)
        case "gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2": GGUFPreTokenizer(patterns: [o200k])
        case "deepseek-v3", "hunyuan-dense", "joyai-llm": GGUFPreTokenizer(patterns: deepSeek3)
        default: other(name)
        }
    }

    /// The letters that DeepSeek-LLM's tokenizer.json lists.
    private static let deepSeekLetters =
        "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴ"
        + "ῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"

    private static func other(_ name: String) -> GGUFPreTokenizer? {
        switch name {
        case "deepseek-llm":
            GGUFPreTokenizer(patterns: [
                "[\r\n]", "\\s?[\(deepSeekLetters)]+", "\\s?[!-/:-~！-／：-～‘-‟　-。]+", "\\s+$", "[一-龥ࠀ-一가-퟿]+",
                "\\p{N}",
            ])
        case "deepseek-coder":
            GGUFPreTokenizer(patterns: [
                "[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[一-龥ࠀ-一가-퟿]+", "\\p{N}",
            ])
        case "falcon":
            GGUFPreTokenizer(patterns: ["[\\p{P}\\$\\+<=>\\^~\\|`]+", gpt2, "[0-9][0-9][0-9]"])
        case "bloom", "gpt3-finnish", "poro-chat":
            GGUFPreTokenizer(patterns: [" ?[^(\\s|.,!?…。，、।۔،)]+"])
        case "viking": GGUFPreTokenizer(patterns: [" ?[^(\\s|.,!?…。，、।۔،)]+", "\\p{N}"])
        case "superbpe": GGUFPreTokenizer(patterns: ["\\p{N}+", "(?=(\\d{3})+(?!\\d))"])
        case "bailingmoe", "bailingmoe2", "llada-moe": GGUFPreTokenizer(patterns: [qwen2])
        case "seed-coder":
            GGUFPreTokenizer(patterns: [
                "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+"
                    + "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
            ])
        case "tiny_aya", "cohere2moe": GGUFPreTokenizer(patterns: ["\\d{1,3}(?=(?:\\d{3})*\\b)", o200k])
        default: nil
        }
    }
}
