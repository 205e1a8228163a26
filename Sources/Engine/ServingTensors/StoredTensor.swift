/// A tensor as it lies in a model file: read-only bytes that stay mapped for as long as any tensor of the file lives.
///
/// Made by `ServingModelFiles` after every offset and length has been checked; uploaded to a backend by
/// `ServingModels`. `bytes.count` always equals the size that `type` and `shape` imply.
public struct StoredTensor: Sendable {
    /// Name in the file.
    public let name: String
    /// Encoding of the elements.
    public let type: TensorType
    /// Outermost dimension first: a linear layer's weight is (out, in).
    public let shape: [Int]
    /// Encoded rows, contiguous, not necessarily aligned.
    ///
    /// `nonisolated(unsafe)`: the memory is a read-only mapping that `owner` keeps alive; nothing writes to it.
    public nonisolated(unsafe) let bytes: UnsafeRawBufferPointer
    /// Keeps `bytes` mapped.
    public let owner: any AnyObject & Sendable

    /// A view of `bytes`, kept alive by `owner`. The size must match what type and shape imply.
    public init(
        name: String, type: TensorType, shape: [Int], bytes: UnsafeRawBufferPointer, owner: any AnyObject & Sendable
    ) {
        self.name = name
        self.type = type
        self.shape = shape
        self.bytes = bytes
        self.owner = owner
        precondition(bytes.count == rowCount * bytesPerRow, "tensor \(name): size does not match its shape")
    }

    /// Elements in a row: the innermost dimension (1 for a scalar).
    public var columnCount: Int { shape.last ?? 1 }
    /// Rows: the product of all dimensions but the innermost.
    public var rowCount: Int { shape.dropLast().reduce(1, *) }
    /// Bytes of one encoded row.
    public var bytesPerRow: Int { columnCount / type.blockElementCount * type.blockByteCount }

    /// The rows `range` as a tensor of their own, for instance the query part of a fused projection. No copy.
    public func rows(_ range: Range<Int>) -> StoredTensor {
        StoredTensor(
            name: name, type: type, shape: [range.count, columnCount],
            bytes: UnsafeRawBufferPointer(
                rebasing: bytes[range.lowerBound * bytesPerRow..<range.upperBound * bytesPerRow]),
            owner: owner)
    }
}
