import ServingModelFiles

/// libFuzzer's entry: any bytes as a safetensors file, of which everything is then read.
@c(LLVMFuzzerTestOneInput)
func fuzzSafetensors(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let file = MappedFile(
        name: "fuzz.safetensors", bytes: UnsafeRawBufferPointer(start: start, count: count), owner: Owner())
    guard let model = try? SafetensorsFile(file) else { return 0 }
    for entry in model.entries {
        precondition(model.entry(named: entry.name) == entry, "tensor \(entry.name) is lost")
        precondition(entry.range.lowerBound >= 0 && entry.range.upperBound <= count, "\(entry.name) leaves the file")
        if let tensor = try? model.tensor(named: entry.name) { walk(tensor, of: file) }
    }
    return 0
}
