import ServingTensors

/// What attention kernels are compiled for.
struct AttentionShape: Hashable {
    /// D.
    let headDimension: Int
    /// H / K.
    let headsPerKVHead: Int
    /// P.
    let positionsPerBlock: Int
    /// Whether keys and values are float32.
    let isExact: Bool

    /// The largest divisor of H / K that one block's shared memory and registers hold.
    var group: Int {
        let limit = headDimension > 128 ? 4 : 8
        return (1...limit).last { headsPerKVHead % $0 == 0 } ?? 1
    }
}

/// The attention kernels of one shape.
final class AttentionKernels {
    let span, merge: Kernel
    let shape: AttentionShape
    /// Positions a span; as in the source.
    static let spanLength = 512
    private let modules: KernelModules

    init(
        _ device: CUDADevice, _ shape: AttentionShape, compiler: KernelCompiler, element: WeightElement
    ) throws(CUDAError) {
        self.shape = shape
        modules = try KernelModules(
            device, [Self.unit(shape, element: element)], compiler: compiler)
        span = try modules.kernel("attend_span", in: .attention)
        merge = try modules.kernel("attend_merge", in: .attention)
    }

    static func unit(_ shape: AttentionShape, element: WeightElement) -> KernelCompiler.Unit {
        let numbers = [
            ("HEAD_DIM", shape.headDimension), ("GROUP", shape.group),
            ("GROUPS", shape.headsPerKVHead / shape.group), ("PAGE", shape.positionsPerBlock),
        ]
        let macros =
            numbers.map { (name: $0.0, value: "\($0.1)") }
            + [
                (name: "CACHE", value: shape.isExact ? "float" : "f16"),
                (name: "ELEMENT", value: element.kernelType),
            ]
        return KernelCompiler.Unit(source: .attention, macros: macros)
    }
}
