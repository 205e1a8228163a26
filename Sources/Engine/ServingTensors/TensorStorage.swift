/// Memory of a tensor that was computed rather than read from a file.
///
/// `@unchecked Sendable`: the memory is written by the initializer's closure only.
public final class TensorStorage: @unchecked Sendable {
    /// The bytes, 64-byte aligned.
    public let bytes: UnsafeRawBufferPointer
    private let memory: UnsafeMutableRawBufferPointer

    /// Memory of so many bytes, filled by `fill`; zero where it writes nothing.
    public init<Failure: Error>(
        byteCount: Int, fill: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        memory = .allocate(byteCount: max(byteCount, 1), alignment: 64)
        memory.initializeMemory(as: UInt8.self, repeating: 0)
        bytes = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(memory)[..<byteCount])
        // Where this throws, all properties are set, so deinit runs and frees the memory.
        try fill(UnsafeMutableRawBufferPointer(rebasing: memory[..<byteCount]))
    }

    deinit { memory.deallocate() }
}

extension StoredTensor {
    /// A float32 tensor in memory of its own; `fill` gets its elements, outermost dimension first.
    public init<Failure: Error>(
        name: String, shape: [Int], fill: (UnsafeMutableBufferPointer<Float>) throws(Failure) -> Void
    ) throws(Failure) {
        let count = shape.reduce(1, *)
        let storage = try TensorStorage(byteCount: count * 4) { (bytes) throws(Failure) in
            try fill(bytes.bindMemory(to: Float.self))
        }
        self.init(name: name, type: .f32, shape: shape, bytes: storage.bytes, owner: storage)
    }

    /// A float32 tensor of given elements, outermost dimension first.
    public init(name: String, shape: [Int], values: [Float]) {
        precondition(values.count == shape.reduce(1, *), "tensor \(name): \(values.count) elements for \(shape)")
        self.init(name: name, shape: shape) { target in _ = target.update(from: values) }
    }
}
