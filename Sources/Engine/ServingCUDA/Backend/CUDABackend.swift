import CCUDAHeaders
public import ServingTensors

/// The decoder's operations on an NVIDIA GPU: products through cuBLASLt, the rest in kernels of our own.
///
/// Used by `DecoderModel` from one thread at a time. Operations are put on the device's stream in order and run behind
/// the caller's back; ``withRows(of:_:)`` and ``finish()`` wait. Activations are float32; where weights are held in 16
/// bits, rows are rounded to the same form for products, which accumulate in float32.
public final class CUDABackend {
    /// What computes.
    public let device: CUDADevice
    /// How weights are held.
    public let element: WeightElement
    /// How it computes.
    public let options: Options
    /// Called with each weight once it is on the device: its file pages are not read again and may be dropped.
    public var didUpload: ((StoredTensor) -> Void)?

    let kernels: StepKernels
    let products: MatrixProducts
    var step: StepInputs
    /// Steps begun.
    var stepNumber = 0
    /// Partial attention, per token and span.
    var attentionScratch: DeviceMemory?
    /// Rows shrunk by adapters.
    var shrunkScratch: DeviceMemory?
    /// The same for runs of many rows, and in the weights' form.
    var longShrunkScratch, packedScratch: DeviceMemory?
    /// Where work beside the stream's begins, and where it ends.
    let forkMark, joinMark: StreamMark
    /// Where pointers for rows with an adapter's own tensors are put.
    var pointerScratch: DeviceMemory?
    /// Draws, their adjustments, and the tokens.
    var drawScratch: DeviceMemory?
    /// The same on the host, while nothing uses it.
    var drawHosts: [PinnedMemory] = []
    /// Draws that were launched and not collected, at most two steps' of them.
    var pendingDraws: [PendingDraws] = []
    /// Where the tokens of the last draws are.
    var lastDrawn: (address: cuda_address, count: Int)?
    /// The step's rows in tiles.
    var tileScratch: DeviceMemory?
    /// What `tileScratch` holds.
    var tiles: (step: Int, size: Int, count: Int)?
    /// Steps that were recorded.
    var recordings = StepRecordings()
    private var attentionKernels: [AttentionShape: AttentionKernels] = [:]
    private let compiler: KernelCompiler

    /// How a backend computes.
    public struct Options: Sendable {
        /// How weights are held.
        public var element = WeightElement.bf16
        /// Where compiled kernels are kept; nil for nowhere.
        public var cacheFolder: String?
        /// Whether what a token gets must not depend on what else is in the batch, to the last bit: at some cost for
        /// long prompts.
        public var isDeterministic = false
        /// Whether steps of one token a sequence are recorded as graphs and replayed.
        public var recordsSteps = true
        /// How products are computed.
        public var products = Products.tried

        /// Ways to compute products.
        public enum Products: String, Sendable {
            /// What is fastest when a shape is first met, of cuBLASLt's suggestions and a kernel of our own.
            case tried
            /// By cuBLAS's own choice.
            case cublas
            /// By a kernel of our own, where it can.
            case own
        }

        /// The fastest way.
        public init() {}
    }

    /// Makes a backend and compiles its kernels, or takes them from the cache.
    ///
    /// - Throws: ``CUDAError``.
    public init(_ device: CUDADevice, _ options: Options) throws(CUDAError) {
        self.device = device
        self.options = options
        element = options.element
        compiler = KernelCompiler(
            device.libraries, capability: device.capability,
            cache: options.cacheFolder.map(KernelCache.init(folder:)))
        kernels = try StepKernels(device, compiler: compiler, element: element)
        products = try MatrixProducts(device, options, kernels: kernels.multiply)
        step = StepInputs(device)
        forkMark = try StreamMark(device)
        joinMark = try StreamMark(device)
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
    /// once the device is done with it, and what was recorded with it is forgotten.
    func reserve(
        _ byteCount: Int, in scratch: inout DeviceMemory?, purpose: String
    ) throws(CUDAError) -> cuda_address {
        if let scratch, scratch.byteCount >= byteCount { return scratch.address }
        guard !recordings.isRecording else {
            throw CUDAError(.invalid, "\(purpose): more memory is needed while a step is recorded")
        }
        let fresh = try DeviceMemory(
            device, byteCount: max(byteCount, 2 * (scratch?.byteCount ?? 0)), purpose: purpose)
        if scratch != nil {
            try device.synchronize()
            recordings.forgetAll()
        }
        scratch = fresh
        return fresh.address
    }
}

extension CUDABackend: CustomStringConvertible {}
