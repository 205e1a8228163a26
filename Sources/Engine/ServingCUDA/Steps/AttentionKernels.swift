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

    /// Whether tensor cores compute it: for keys and values of 16 bits and heads of whole fragments.
    var usesTensorCores: Bool { !isExact && headDimension % 16 == 0 }

    /// The largest divisor of H / K that one block's shared memory and registers hold.
    var group: Int {
        let limit = usesTensorCores ? 16 : headDimension > 128 ? 4 : 8
        return (1...limit).last { headsPerKVHead % $0 == 0 } ?? 1
    }
}

/// The attention kernels of one shape.
final class AttentionKernels {
    /// Of rows in tiles, on tensor cores; nil for shapes that those do not do.
    let tile: Kernel?
    /// Of single rows.
    let span: Kernel
    let merge: Kernel
    let shape: AttentionShape
    /// Positions a span; as in the source.
    static let spanLength = 256
    static let tileName = "attend_tile"
    private let modules: KernelModules

    init(
        _ device: CUDADevice, _ shape: AttentionShape, compiler: KernelCompiler, element: WeightElement
    ) throws(CUDAError) {
        self.shape = shape
        modules = try KernelModules(
            device, [Self.unit(shape, element: element)], compiler: compiler)
        span = try modules.kernel(shape.usesTensorCores ? Self.tileName : "attend_span", in: .attention)
        tile = shape.usesTensorCores ? span : nil
        merge = try modules.kernel("attend_merge", in: .attention)
    }

    static func unit(_ shape: AttentionShape, element: WeightElement) -> KernelCompiler.Unit {
        let numbers = [
            ("HEAD_DIM", shape.headDimension), ("GROUP", shape.group),
            ("GROUPS", shape.headsPerKVHead / shape.group), ("PAGE", shape.positionsPerBlock),
            ("TENSOR_CORES", shape.usesTensorCores ? 1 : 0),
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
