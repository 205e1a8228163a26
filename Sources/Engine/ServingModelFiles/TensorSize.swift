import ServingTensors

/// Arithmetic on sizes that come out of files.
enum TensorSize {
    /// The number of elements, or nil where the product overflows.
    static func elementCount(_ shape: [Int]) -> Int? {
        guard let bound = boundingCount(shape) else { return nil }
        return shape.contains(0) ? 0 : bound
    }

    /// Bytes of a tensor, or nil on overflow or where rows are not whole blocks.
    static func byteCount(_ type: TensorType, _ shape: [Int]) -> Int? {
        guard let bound = boundingCount(shape), (shape.last ?? 1) % type.blockElementCount == 0 else { return nil }
        let blockCount = bound / type.blockElementCount
        let (bytes, overflows) = blockCount.multipliedReportingOverflow(by: type.blockByteCount)
        guard !overflows else { return nil }
        return shape.contains(0) ? 0 : bytes
    }

    /// The product with zeros taken for ones. Where it does not overflow, no product of some of the dimensions does,
    /// such as the bytes of a row of a tensor without rows.
    private static func boundingCount(_ shape: [Int]) -> Int? {
        var product = 1
        for dimension in shape {
            guard dimension >= 0 else { return nil }
            let (next, overflows) = product.multipliedReportingOverflow(by: max(dimension, 1))
            guard !overflows else { return nil }
            product = next
        }
        return product
    }

    /// The next multiple of a power of two, or nil on overflow.
    static func aligned(_ offset: Int, to alignment: Int) -> Int? {
        let (sum, overflows) = offset.addingReportingOverflow(alignment - 1)
        return overflows ? nil : sum & ~(alignment - 1)
    }
}
