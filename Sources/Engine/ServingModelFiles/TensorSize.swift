import ServingTensors

/// Arithmetic on sizes that come out of files.
enum TensorSize {
    /// The number of elements, or nil where the product overflows. Zeros don't hide an overflow of the others, so any
    /// partial product is safe as well.
    static func elementCount(_ shape: [Int]) -> Int? {
        var product = 1
        for dimension in shape {
            guard dimension >= 0 else { return nil }
            let (next, overflows) = product.multipliedReportingOverflow(by: max(dimension, 1))
            guard !overflows else { return nil }
            product = next
        }
        return shape.contains(0) ? 0 : product
    }

    /// Bytes of a tensor, or nil on overflow or where rows are not whole blocks.
    static func byteCount(_ type: TensorType, _ shape: [Int]) -> Int? {
        guard let elements = elementCount(shape), (shape.last ?? 1) % type.blockElementCount == 0 else { return nil }
        let (bytes, overflows) = (elements / type.blockElementCount)
            .multipliedReportingOverflow(by: type.blockByteCount)
        return overflows ? nil : bytes
    }

    /// The next multiple of a power of two, or nil on overflow.
    static func aligned(_ offset: Int, to alignment: Int) -> Int? {
        let (sum, overflows) = offset.addingReportingOverflow(alignment - 1)
        return overflows ? nil : sum & ~(alignment - 1)
    }
}
