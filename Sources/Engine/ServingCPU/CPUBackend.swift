import CServingKernels
import Glibc
public import ServingTensors

/// The decoder's operations on the CPU, in the best instruction set there is.
///
/// Used by `DecoderModel` from one thread at a time; spreads each operation over its own threads and returns when it
/// is done. Every element of a result is computed in one fixed order, so results have the same bits whatever the batch,
/// the number of threads and the instruction set. Quantised weights stay quantised (repacked, without loss) and meet
/// activations rounded to 8 bits a block of 32; float weights meet float32 activations.
public final class CPUBackend {
    /// Threads that work on an operation, the caller included.
    public let threadCount: Int
    /// Whether every weight is kept as float32, the reference for the quantised paths.
    public let usesFloat32Weights: Bool
    /// Called with each weight once its repacked copy is complete: its file pages are not read again and may be
    /// dropped. Embedding tables are not reported; they are read from the file.
    public var didRepack: ((StoredTensor) -> Void)?

    var context: sk_context
    var arena = PageArena()
    /// Counts calls of `begin`; tables computed for a step remember it.
    var step = 0
    var tokenIDs: [TokenID] = []
    var positions: [Int32] = []
    /// The step's sequences; their block tables point into `blockTables`.
    var sequences: [sk_sequence] = []
    var blockTables = Scratch(purpose: "block tables")
    var blockCounts: [Int] = []
    /// What the step's tokens, and the rows gathered from them, are computed with.
    var tokenAdapters = StepAdapters()
    var gatheredAdapters = StepAdapters()
    var packedActivations = Scratch(purpose: "packed activations")
    var attentionScratch = Scratch(purpose: "attention")
    var attentionPartials = Scratch(purpose: "partial attention")

    /// Makes a backend.
    ///
    /// - Parameters:
    ///   - threadCount: Threads, the caller's included; 0 for one a physical core that the process may use.
    ///   - float32: Whether to decode every weight to float32 instead of computing with quantised ones.
    ///   - instructionSet: `scalar`, `avx2` or `avx512`; nil for the value of `PBCTL_CPU_ISA`, or else the best.
    /// - Throws: ``CPUBackendError``.
    public init(threadCount: Int = 0, float32: Bool = false, instructionSet: String? = nil) throws {
        let name = instructionSet ?? getenv("PBCTL_CPU_ISA").map { String(cString: $0) }
        guard let kernels = sk_kernels_select(name) else {
            throw CPUBackendError.unknownInstructionSet(name ?? "")
        }
        let wanted = threadCount > 0 ? min(threadCount, 1024) : CPUTopology.usableCoreCount()
        guard let pool = sk_pool_create(Int32(wanted)) else {
            throw CPUBackendError.outOfMemory(purpose: "threads", bytes: 0)
        }
        self.threadCount = Int(sk_pool_thread_count(pool))
        usesFloat32Weights = float32
        context = sk_context(pool: pool, kernels: kernels, scratch: nil, scratch_bytes: 0)
    }

    deinit {
        sk_pool_destroy(context.pool)
    }

    /// The chosen instruction set: `scalar`, `avx2` or `avx512`.
    public var instructionSet: String { String(cString: sk_kernels_name(context.kernels)) }

    /// What computes, for instance `avx512, 8 threads`.
    public var description: String {
        "\(instructionSet), \(threadCount) thread\(threadCount == 1 ? "" : "s")"
            + (usesFloat32Weights ? ", float32 weights" : "")
    }
}

extension CPUBackend: CustomStringConvertible {}

/// Working memory that grows to the largest need and keeps nothing from use to use.
struct Scratch {
    let purpose: String
    private var memory: PageMemory?

    init(purpose: String) {
        self.purpose = purpose
    }

    /// At least `byteCount` bytes, 64-byte aligned.
    mutating func reserve(_ byteCount: Int) throws(CPUBackendError) -> UnsafeMutablePointer<UInt8> {
        if let memory, memory.byteCount >= byteCount { return memory.base.assumingMemoryBound(to: UInt8.self) }
        // At least doubled, so that needs that creep up do not allocate at every step.
        let fresh = try PageMemory(byteCount: max(byteCount, 2 * (memory?.byteCount ?? 1 << 15)), purpose: purpose)
        memory = fresh
        return fresh.base.assumingMemoryBound(to: UInt8.self)
    }
}
