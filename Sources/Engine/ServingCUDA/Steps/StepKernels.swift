/// The kernels that every model uses.
final class StepKernels {
    let embed, rmsNorm, gated, addScaled, adjust, gather, scaleAndCap, pack, unpack: Kernel
    let angles, placeF16, placeF32: Kernel
    let shrink, expand, embedUpdate: Kernel
    let sample, takeTokens: Kernel
    /// Products of so many rows.
    let multiply: [Int: Kernel]
    /// Elements of a row that a block of `shrink` takes; as in the source.
    static let shrinkSlice = 1024
    private let modules: [KernelModules]

    init(_ device: CUDADevice, compiler: KernelCompiler, element: WeightElement) throws(CUDAError) {
        // The last one is another form of one before it, and so in a set of its own.
        let units = Self.units(element)
        let shared = try KernelModules(device, Array(units.dropLast()), compiler: compiler)
        let exact = try KernelModules(device, Array(units.suffix(1)), compiler: compiler)
        embed = try shared.kernel("embed", in: .rows)
        rmsNorm = try shared.kernel("rms_norm", in: .rows)
        gated = try shared.kernel("gated", in: .rows)
        addScaled = try shared.kernel("add_scaled", in: .rows)
        adjust = try shared.kernel("adjust", in: .rows)
        gather = try shared.kernel("gather", in: .rows)
        scaleAndCap = try shared.kernel("scale_and_cap", in: .rows)
        pack = try shared.kernel("pack", in: .rows)
        unpack = try shared.kernel("unpack", in: .rows)
        angles = try shared.kernel("angles", in: .rotary)
        placeF16 = try shared.kernel("place", in: .rotary)
        placeF32 = try exact.kernel("place", in: .rotary)
        shrink = try shared.kernel("shrink", in: .adapters)
        expand = try shared.kernel("expand", in: .adapters)
        embedUpdate = try shared.kernel("embed_update", in: .adapters)
        sample = try shared.kernel("sample", in: .sampling)
        takeTokens = try shared.kernel("take_tokens", in: .sampling)
        multiply = [
            1: try shared.kernel("multiply_1", in: .products), 2: try shared.kernel("multiply_2", in: .products),
            4: try shared.kernel("multiply_4", in: .products), 8: try shared.kernel("multiply_8", in: .products),
        ]
        modules = [shared, exact]
    }

    static func units(_ element: WeightElement) -> [KernelCompiler.Unit] {
        let elementMacro = [(name: "ELEMENT", value: element.kernelType)]
        return [
            KernelCompiler.Unit(source: .rows, macros: elementMacro),
            KernelCompiler.Unit(source: .adapters, macros: elementMacro),
            KernelCompiler.Unit(source: .sampling, macros: []),
            KernelCompiler.Unit(source: .products, macros: elementMacro),
            KernelCompiler.Unit(source: .rotary, macros: [(name: "CACHE", value: "f16")]),
            KernelCompiler.Unit(source: .rotary, macros: [(name: "CACHE", value: "float")]),
        ]
    }
}

extension WeightElement {
    /// The type in the kernels' sources.
    var kernelType: String { self == .f32 ? "float" : name }
}
