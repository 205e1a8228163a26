import ServingTokenizers

/// libFuzzer's entry: any bytes as SentencePiece's tokenizer.model.
@c(LLVMFuzzerTestOneInput)
func fuzzSentencePiece(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    guard let tokenizer = try? Tokenizer(sentencePiece: bytes) else { return 0 }
    use(tokenizer)
    return 0
}
