import CCUDAHeaders
public import ServingTensors

/// The decoder's operations on an NVIDIA GPU: products through cuBLAS, the rest in kernels of our own.
///
/// Used by `DecoderModel` from one thread at a time. Operations are put on the device's stream in order and run behind
/// the caller's back; ``withRows(of:_:)`` and ``finish()`` wait. Activations are float32; where weights are held in 16
/// bits, rows are rounded to the same form for products, which accumulate in float32.
public final class CUDABackend {
    /// What computes.
    public let device: CUDADevice
    /// How weights are held.
    public let element: WeightElement
    /// Called with each weight once it is on the device: its file pages are not read again and may be dropped.
    public var didUpload: ((StoredTensor) -> Void)?

    let kernels: StepKernels
    var step: StepInputs
    /// Partial attention, per token and span.
    var attentionScratch: DeviceMemory?
    /// Rows shrunk by adapters.
    var shrunkScratch: DeviceMemory?
    /// Where pointers for rows with an adapter's own tensors are put.
    var pointerScratch: DeviceMemory?
    private var attentionKernels: [AttentionShape: AttentionKernels] = [:]
    private let compiler: KernelCompiler

    /// Makes a backend and compiles its kernels, or takes them from the cache.
    ///
    /// - Parameters:
    ///   - cacheFolder: Where compiled kernels are kept; nil for nowhere.
    /// - Throws: ``CUDAError``.
    public init(_ device: CUDADevice, element: WeightElement = .bf16, cacheFolder: String?) throws(CUDAError) {
        self.device = device
        self.element = element
        compiler = KernelCompiler(
            device.libraries, capability: device.capability, cache: cacheFolder.map(KernelCache.init(folder:)))
        kernels = try StepKernels(device, compiler: compiler, element: element)
        step = StepInputs(device)
    }

    /// What computes, for instance `NVIDIA H100, bf16`.
    public var description: String { "\(device.name), \(element.name)" }

    /// The attention kernels of a shape, compiled when first asked for.
    func attention(_ shape: AttentionShape) throws(CUDAError) -> AttentionKernels {
        if let known = attentionKernels[shape] { return known }
        let made = try AttentionKernels(device, shape, compiler: compiler, element: element)
        attentionKernels[shape] = made
        return made
    }

    /// Memory of at least so many bytes, kept for the next use. Earlier work may still use what it replaces: that is freed
    /// once the device is done with it.
    func reserve(
        _ byteCount: Int, in scratch: inout DeviceMemory?, purpose: String
    ) throws(CUDAError) -> cuda_address {
        if let scratch, scratch.byteCount >= byteCount { return scratch.address }
        let fresh = try DeviceMemory(
            device, byteCount: max(byteCount, 2 * (scratch?.byteCount ?? 0)), purpose: purpose)
        if scratch != nil { try device.synchronize() }
        scratch = fresh
        return fresh.address
    }
}

extension CUDABackend: CustomStringConvertible {}
