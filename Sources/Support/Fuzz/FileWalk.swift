import ServingModelFiles
import ServingTensors

/// Stands for what keeps libFuzzer's bytes alive: the call.
final class Owner: Sendable {}

/// Reads all bytes of a tensor, which AddressSanitizer watches, and asks for its rows.
func walk(_ tensor: StoredTensor, of file: MappedFile) {
    var sum: UInt8 = 0
    for byte in tensor.bytes { sum &+= byte }
    if let start = tensor.bytes.baseAddress, let base = file.bytes.baseAddress, !tensor.bytes.isEmpty {
        precondition(start >= base && start + tensor.bytes.count <= base + file.count, "\(tensor.name) leaves the file")
    }
    precondition(tensor.bytes.count == tensor.rowCount * tensor.bytesPerRow)
    if tensor.rowCount > 0 { sum &+= tensor.rows(tensor.rowCount - 1..<tensor.rowCount).bytes.last ?? 0 }
    // Keeps the sum from being optimised away.
    precondition(sum != 0 || tensor.rowCount >= 0)
}
