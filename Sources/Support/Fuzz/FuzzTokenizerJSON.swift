import ServingJSON
import ServingTokenizers

/// What tokenizer_config.json says beside the tokenizer.
private let config: JSONValue = [
    "bos_token": "<s>", "eos_token": ["content": "</s>", "special": true], "add_bos_token": true,
    "add_eos_token": true,
]

/// libFuzzer's entry: any bytes as tokenizer.json, with and without a configuration.
@c(LLVMFuzzerTestOneInput)
func fuzzTokenizerJSON(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = UnsafeRawBufferPointer(start: start, count: count)
    _ = try? Tokenizer(tokenizerJSON: bytes)
    guard let tokenizer = try? Tokenizer(tokenizerJSON: bytes, config: config) else { return 0 }
    use(tokenizer)
    return 0
}
