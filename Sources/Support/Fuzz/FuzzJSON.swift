import ServingJSON

/// libFuzzer's entry: any bytes as JSON. What parses is written, parsed again and must be the same.
@c(LLVMFuzzerTestOneInput)
func fuzzJSON(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = UnsafeRawBufferPointer(start: start, count: count)
    _ = try? JSONValue(parsing: bytes, limits: JSONLimits(depth: 8, allowsRepeatedKeys: false))
    guard let value = try? JSONValue(parsing: bytes) else { return 0 }
    let text = value.text()
    guard let again = try? JSONValue(parsing: text) else { preconditionFailure("does not parse again: \(text)") }
    precondition(again.text() == text, "changes when written again")
    return 0
}
