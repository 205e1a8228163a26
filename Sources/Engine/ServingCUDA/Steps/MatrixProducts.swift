import CCUDAHeaders

/// Products of rows with weights, each shape the way that was fastest when it was first met: one of cuBLASLt's suggestions
/// or, for few rows, a kernel of our own. Where cuBLASLt suggests nothing, cuBLAS's own choice computes it.
final class MatrixProducts {
    private let device: CUDADevice
    private let element: WeightElement
    /// Nil where cuBLASLt is not used.
    private let handle: cublaslt_handle_ref?
    /// Of shapes that were tried: steps of few sizes, which come often.
    private var triedPlans: [Shape: Plan] = [:]
    /// Of others, prompts of any length.
    private var plans: [Shape: Plan] = [:]
    private let workspace: DeviceMemory
    /// Kernels of our own, by their number of rows.
    private let kernels: [Int: Kernel]
    private let options: CUDABackend.Options

    /// A weight (n, k) and m rows of k elements that give m rows of n.
    struct Shape: Hashable {
        /// n.
        var outputs: Int
        /// k.
        var inputs: Int
        /// m.
        var rows: Int
        /// Elements from one row to the next: of the weight, of the input and of the output.
        var weightStride: Int
        var inputStride: Int
        var outputStride: Int
        /// Whether the result is added to what is there.
        var adds: Bool
        /// Bytes that all three addresses are multiples of, up to 16: more decides nothing, and would tell rows apart.
        fileprivate var alignment = 16

        init(
            outputs: Int, inputs: Int, rows: Int, weightStride: Int, inputStride: Int, outputStride: Int,
            adds: Bool = false
        ) {
            self.outputs = outputs
            self.inputs = inputs
            self.rows = rows
            self.weightStride = weightStride
            self.inputStride = inputStride
            self.outputStride = outputStride
            self.adds = adds
        }
    }

    /// How a shape is computed.
    private final class Plan {
        let description: cublaslt_matmul_desc_ref
        let layouts: (weight: cublaslt_layout_ref, input: cublaslt_layout_ref, output: cublaslt_layout_ref)
        var algorithm: cublaslt_algorithm
        /// Ours, in place of the algorithm.
        var kernel: Kernel?
        private let table: cublaslt_table

        init(
            _ table: cublaslt_table, _ description: cublaslt_matmul_desc_ref,
            _ layouts: (cublaslt_layout_ref, cublaslt_layout_ref, cublaslt_layout_ref), _ algorithm: cublaslt_algorithm
        ) {
            self.table = table
            self.description = description
            self.layouts = layouts
            self.algorithm = algorithm
        }

        deinit {
            for layout in [layouts.weight, layouts.input, layouts.output] { _ = table.layout_destroy(layout) }
            _ = table.desc_destroy(description)
        }
    }

    /// What NVIDIA advises for Hopper.
    private static let workspaceBytes = 32 << 20
    /// Plans kept of shapes that were not tried.
    private static let planLimit = 2048
    /// Algorithms that are tried, and how often each.
    private static let (candidateCount, trialCount) = (8, 4)

    init(
        _ device: CUDADevice, _ options: CUDABackend.Options, kernels: [Int: Kernel]
    ) throws(CUDAError) {
        self.device = device
        self.options = options
        self.kernels = kernels
        element = options.element
        let usesLt = options.products != .cublas
        workspace = try DeviceMemory(device, byteCount: usesLt ? Self.workspaceBytes : 0, purpose: "cuBLASLt")
        var handle: cublaslt_handle_ref?
        let isMade = usesLt && device.libraries.cublasLt.create(&handle) == 0
        self.handle = isMade ? handle : nil
    }

    deinit {
        (plans, triedPlans) = ([:], [:])
        if let handle { _ = device.libraries.cublasLt.destroy(handle) }
    }

    /// Puts `output = input W^T`, or with `adds` `output += input W^T`, on the stream.
    ///
    /// - Parameter mayTry: Whether a shape that is new may be tried out now: not while a graph is recorded.
    func multiply(
        _ weight: cuda_address, _ input: cuda_address, into output: cuda_address, _ shape: Shape, mayTry: Bool
    ) throws(CUDAError) {
        guard shape.rows > 0, shape.outputs > 0, shape.inputs > 0 else { return }
        guard let handle else { return try multiplyPlainly(weight, input, into: output, shape) }
        var shape = shape
        shape.alignment = 1 << (weight | input | output | 16).trailingZeroBitCount
        let plan: Plan
        if let known = triedPlans[shape] ?? plans[shape] {
            plan = known
        } else {
            guard let (made, candidates) = makePlan(handle, shape) else {
                return try multiplyPlainly(weight, input, into: output, shape)
            }
            plan = made
            let own = kernel(for: shape)
            if options.products == .own {
                plan.kernel = own
            } else if mayTry, !options.isDeterministic, !shape.adds {
                try choose(handle, plan, among: candidates, own, (weight, input, output), shape)
                triedPlans[shape] = plan
            }
            if triedPlans[shape] == nil {
                if plans.count >= Self.planLimit { plans = [:] }
                plans[shape] = plan
            }
        }
        try run(handle, plan, (weight, input, output), shape)
    }

    /// Our own kernel for a shape that it computes.
    private func kernel(for shape: Shape) -> Kernel? {
        let isWhole = [shape.inputs, shape.weightStride, shape.inputStride].allSatisfy { $0 % 8 == 0 }
        return isWhole && shape.alignment >= 16 ? kernels[shape.rows] : nil
    }

    /// By cuBLAS's own choice.
    private func multiplyPlainly(
        _ weight: cuda_address, _ input: cuda_address, into output: cuda_address, _ shape: Shape
    ) throws(CUDAError) {
        // Row-major Y = X W^T is, column by column, Y^T = W X^T.
        var (one, kept) = (Float(1), Float(shape.adds ? 1 : 0))
        let status = device.libraries.cublas.gemm(
            device.cublas, Int32(CUBLAS_TRANSPOSE), Int32(CUBLAS_NO_TRANSPOSE), Int32(shape.outputs),
            Int32(shape.rows), Int32(shape.inputs), &one, Self.pointer(weight), element.code,
            Int32(shape.weightStride), Self.pointer(input), element.code, Int32(shape.inputStride), &kept,
            Self.pointer(output), Int32(CUDA_TYPE_F32), Int32(shape.outputStride), Int32(CUBLAS_COMPUTE_F32),
            Int32(CUBLAS_ALGORITHM_DEFAULT))
        try check(status, shape)
    }

    private func check(_ status: Int32, _ shape: Shape) throws(CUDAError) {
        guard status != 0 else { return }
        throw CUDAError(
            .deviceFailed,
            "cuBLAS failed with status \(status) for a weight (\(shape.outputs), \(shape.inputs)) and \(shape.rows) rows"
        )
    }

    private static func pointer(_ address: cuda_address) -> UnsafeMutableRawPointer? {
        UnsafeMutableRawPointer(bitPattern: UInt(address))
    }

    private typealias Operands = (weight: cuda_address, input: cuda_address, output: cuda_address)

    private func run(
        _ handle: cublaslt_handle_ref, _ plan: Plan, _ operands: Operands, _ shape: Shape
    ) throws(CUDAError) {
        if let kernel = plan.kernel {
            return try kernel.launch(
                .init(x: (shape.outputs + 7) / 8), threads: 256, .address(operands.weight), .int(shape.weightStride),
                .address(operands.input), .int(shape.inputStride), .address(operands.output),
                .int(shape.outputStride), .int(shape.inputs), .int(shape.outputs), .int(shape.adds ? 1 : 0))
        }
        var (one, kept) = (Float(1), Float(shape.adds ? 1 : 0))
        let status = device.libraries.cublasLt.matmul(
            handle, plan.description, &one, Self.pointer(operands.weight), plan.layouts.weight,
            Self.pointer(operands.input), plan.layouts.input, &kept, Self.pointer(operands.output),
            plan.layouts.output, Self.pointer(operands.output), plan.layouts.output, &plan.algorithm,
            Self.pointer(workspace.address), Self.workspaceBytes, device.stream)
        try check(status, shape)
    }

    /// A plan by the first suggestion, and all suggestions; nil where there is none.
    private func makePlan(_ handle: cublaslt_handle_ref, _ shape: Shape) -> (Plan, [cublaslt_algorithm])? {
        let lt = device.libraries.cublasLt
        var description: cublaslt_matmul_desc_ref?
        guard lt.desc_create(&description, Int32(CUBLAS_COMPUTE_F32), Int32(CUDA_TYPE_F32)) == 0, let description
        else { return nil }
        var transposes = Int32(CUBLAS_TRANSPOSE)
        func layout(_ type: Int32, _ rows: Int, _ columns: Int, _ stride: Int) -> cublaslt_layout_ref? {
            var layout: cublaslt_layout_ref?
            _ = lt.layout_create(&layout, type, UInt64(rows), UInt64(columns), Int64(stride))
            return layout
        }
        guard
            lt.desc_set(description, Int32(CUBLASLT_DESC_TRANSPOSE_A), &transposes, 4) == 0,
            let weight = layout(element.code, shape.inputs, shape.outputs, shape.weightStride),
            let input = layout(element.code, shape.inputs, shape.rows, shape.inputStride),
            let output = layout(Int32(CUDA_TYPE_F32), shape.outputs, shape.rows, shape.outputStride)
        else {
            _ = lt.desc_destroy(description)
            return nil
        }
        let plan = Plan(lt, description, (weight, input, output), cublaslt_algorithm())
        var preference: cublaslt_preference_ref?
        guard lt.preference_create(&preference) == 0, let preference else { return nil }
        defer { _ = lt.preference_destroy(preference) }
        var bytes = Self.workspaceBytes
        _ = lt.preference_set(preference, Int32(CUBLASLT_PREFERENCE_MAX_WORKSPACE_BYTES), &bytes, 8)
        var alignment = UInt32(shape.alignment)
        for attribute in [
            CUBLASLT_PREFERENCE_MIN_ALIGNMENT_A_BYTES, CUBLASLT_PREFERENCE_MIN_ALIGNMENT_B_BYTES,
            CUBLASLT_PREFERENCE_MIN_ALIGNMENT_C_BYTES, CUBLASLT_PREFERENCE_MIN_ALIGNMENT_D_BYTES,
        ] {
            _ = lt.preference_set(preference, Int32(attribute), &alignment, 4)
        }
        var found = [cublaslt_heuristic](repeating: cublaslt_heuristic(), count: Self.candidateCount)
        var count = Int32(0)
        let status = lt.get_heuristics(
            handle, description, weight, input, output, output, preference, Int32(found.count), &found, &count)
        let usable = found.prefix(max(0, Int(count))).filter { $0.state == 0 }.map(\.algorithm)
        guard status == 0, let first = usable.first else { return nil }
        plan.algorithm = first
        return (plan, usable)
    }

    /// Times each way on the rows at hand and keeps the fastest. Results are written as they will be again. In a step
    /// other layers' weights come between, so that the cache holds nothing of this one: it is flushed before each run.
    private func choose(
        _ handle: cublaslt_handle_ref, _ plan: Plan, among candidates: [cublaslt_algorithm], _ own: Kernel?,
        _ operands: Operands, _ shape: Shape
    ) throws(CUDAError) {
        let ways: [(algorithm: cublaslt_algorithm, kernel: Kernel?)] =
            candidates.map { ($0, nil) } + (own.map { [(candidates[0], $0)] } ?? [])
        guard ways.count > 1 else { return }
        let clock = try StreamClock(device)
        let flush = try? DeviceMemory(device, byteCount: 2 * device.cacheBytes, purpose: "timing")
        var best = (milliseconds: Float.infinity, way: 0)
        for (index, way) in ways.enumerated() {
            (plan.algorithm, plan.kernel) = way
            // The first run loads code. What can't be run is not chosen.
            do throws(CUDAError) { try run(handle, plan, operands, shape) } catch { continue }
            var fastest = Float.infinity
            for _ in 0..<Self.trialCount {
                if let flush {
                    _ = device.libraries.driver.set_bytes(flush.address, 0, flush.byteCount, device.stream)
                }
                try clock.start()
                try run(handle, plan, operands, shape)
                fastest = min(fastest, try clock.stop())
            }
            if fastest < best.milliseconds { best = (fastest, index) }
        }
        (plan.algorithm, plan.kernel) = ways[best.way]
    }
}
