import CCUDAHeaders

/// How weights, and the rows that meet them, are held on the device.
public enum WeightElement: Sendable, Equatable, CaseIterable {
    /// 8 bits of precision with float32's range: the default.
    case bf16
    /// 11 bits of precision, up to 65504.
    case f16
    /// The reference for the other two.
    case f32

    var byteCount: Int { self == .f32 ? 4 : 2 }

    /// cudaDataType_t.
    var code: Int32 {
        switch self {
        case .bf16: Int32(CUDA_TYPE_BF16)
        case .f16: Int32(CUDA_TYPE_F16)
        case .f32: Int32(CUDA_TYPE_F32)
        }
    }

    /// The kernels' name for it.
    var name: String {
        switch self {
        case .bf16: "bf16"
        case .f16: "f16"
        case .f32: "f32"
        }
    }

    /// Writes floats in this form, rounded to nearest even. `target` has room for all of them.
    func encode(_ values: UnsafeBufferPointer<Float>, to target: UnsafeMutableRawPointer) {
        switch self {
        case .f32:
            if let start = values.baseAddress { target.copyMemory(from: start, byteCount: values.count * 4) }
        case .bf16:
            let halves = target.assumingMemoryBound(to: UInt16.self)
            for index in values.indices { halves[index] = Self.bf16(values[index]) }
        case .f16:
            let halves = target.assumingMemoryBound(to: Float16.self)
            for index in values.indices { halves[index] = Float16(values[index]) }
        }
    }

    private static func bf16(_ value: Float) -> UInt16 {
        let bits = value.bitPattern
        // A NaN must not be rounded to an infinity.
        if value.isNaN { return UInt16(truncatingIfNeeded: bits >> 16) | 0x40 }
        return UInt16(truncatingIfNeeded: (bits &+ 0x7fff &+ (bits >> 16 & 1)) >> 16)
    }
}
