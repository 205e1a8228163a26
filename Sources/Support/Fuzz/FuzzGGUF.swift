import ServingModelFiles

/// libFuzzer's entry: any bytes as a GGUF file, of which everything is then read.
@c(LLVMFuzzerTestOneInput)
func fuzzGGUF(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let file = MappedFile(name: "fuzz.gguf", bytes: UnsafeRawBufferPointer(start: start, count: count), owner: Owner())
    guard let model = try? GGUFFile(file) else { return 0 }
    for key in model.metadataKeys {
        // A key that is listed is found again, whatever its bytes were.
        guard let value = model[key] else { preconditionFailure("key \(key) is lost") }
        walk(value, depth: 0)
    }
    for tensor in model.tensors { walk(tensor, of: file) }
    return 0
}

/// Decodes a value in every way that its type offers.
private func walk(_ value: GGUFValue, depth: Int) {
    precondition(depth < 64, "nested without end")
    _ = (value.intValue, value.doubleValue, value.boolValue, value.stringValue)
    guard let array = value.arrayValue else { return }
    _ = (array.integers, array.floats, array.doubles, array.bools)
    if let strings = array.strings {
        for position in strings.indices { _ = strings.text(at: position) }
        let (bytes, offsets) = strings.packed()
        precondition(offsets.count == array.count + 1 && offsets.last == bytes.count)
    }
    let values = array.values
    precondition(values.count == array.count)
    for value in values { walk(value, depth: depth + 1) }
}
