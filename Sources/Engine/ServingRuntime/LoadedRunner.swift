import ServingAdapters
import ServingCPU
import ServingCUDA
import ServingModelFiles
public import ServingModels
public import ServingTensors

/// A model on the device that was chosen, ready to be stepped.
public struct LoadedRunner {
    /// The forward pass.
    public let runner: any ModelRunner
    /// What was chosen: never `auto`.
    public let device: DeviceChoice
    /// Brings adapters to the device.
    public let uploader: any AdapterUploading
    /// How the device computes, for instance `avx2, 2 threads`.
    public let description: String
    /// Threads of this process that compute.
    public let threadCount: Int
    /// Tells how busy the GPU is; nil without one, and where there is nothing to tell it.
    var monitor: GPUMonitor?

    /// Loads weights onto the device of the options and makes room for keys and values.
    ///
    /// - Throws: `RuntimeError` where memory does not suffice or the device can't be used.
    public static func load(
        _ description: ModelDescription, _ options: LocalModel.Options
    ) throws -> sending LoadedRunner {
        switch options.device {
        case .auto: return try onWhatThereIs(description, options)
        case .cpu: return try onCPU(description, options)
        case .cuda(let ordinal):
            do {
                return try onGPU(ordinal, description, options)
            } catch let error as CUDAError {
                throw RuntimeError(error.code == .outOfMemory ? .outOfMemory : .deviceUnusable, error.description)
            }
        }
    }

    static func onCPU(
        _ description: ModelDescription, _ options: LocalModel.Options
    ) throws -> sending LoadedRunner {
        let backend = try CPUBackend(threadCount: options.threadCount ?? 0, float32: options.float32)
        // A packed weight's pages of the file would count twice in what the process holds.
        backend.didRepack = { tensor in (tensor.owner as? MappedFile)?.adviseNotNeeded(tensor.bytes) }
        let budget = KeyValueBudget(description.config, options, memoryBytes: PhysicalMemory.bytes)
        let keyValueBytes = try budget.bytes(share: 4)
        let model = try DecoderModel(
            config: description.config, weights: description.weights, backend: backend, progress: options.progress)
        let runner = try DecoderRunner(
            model: model, backend: backend,
            options: runnerOptions(
                options, keyValueBytes: keyValueBytes, tokenCount: options.maxBatchedTokens ?? cpuBatchedTokens))
        return LoadedRunner(
            runner: runner, device: .cpu, uploader: backend.makeUploader(), description: backend.description,
            threadCount: backend.threadCount)
    }

    static func onGPU(
        _ ordinal: Int, _ description: ModelDescription, _ options: LocalModel.Options
    ) throws -> sending LoadedRunner {
        let device = try CUDADevice(CUDALibraries(), ordinal: ordinal)
        var backendOptions = CUDABackend.Options()
        backendOptions.element = options.float32 ? .f32 : .bf16
        backendOptions.cacheFolder = options.kernelCachePath
        backendOptions.isDeterministic = options.isDeterministic
        let backend = try CUDABackend(device, backendOptions)
        backend.didUpload = { tensor in (tensor.owner as? MappedFile)?.adviseNotNeeded(tensor.bytes) }
        let model = try DecoderModel(
            config: description.config, weights: description.weights, backend: backend, progress: options.progress)
        // What is left beside the weights and what steps work in; some of it is for adapters.
        let tokenCount = options.maxBatchedTokens ?? gpuBatchedTokens
        guard tokenCount <= 65535 else {
            throw CUDAError(.invalid, "steps of \(tokenCount) tokens; a GPU computes 65535 at most")
        }
        let working = backend.workingBytes(description.config, tokenCount: tokenCount)
        let budget = KeyValueBudget(
            description.config, options, memoryBytes: max(0, try device.freeBytes() - working))
        let runner = try DecoderRunner(
            model: model, backend: backend,
            options: runnerOptions(options, keyValueBytes: budget.bytes(share: 1.25), tokenCount: tokenCount))
        return LoadedRunner(
            runner: runner, device: .cuda(ordinal), uploader: backend.makeUploader(),
            description: backend.description, threadCount: 1, monitor: try? GPUMonitor(ordinal: ordinal))
    }

    /// Tokens of a step unless more or fewer are asked for: a GPU's products are fast from hundreds of rows on.
    private static let (cpuBatchedTokens, gpuBatchedTokens) = (512, 2048)

    private static func runnerOptions<Device>(
        _ options: LocalModel.Options, keyValueBytes: Int, tokenCount: Int
    ) -> DecoderRunner<Device>.Options {
        DecoderRunner<Device>.Options(
            keyValueBytes: keyValueBytes, keyValueElement: options.float32 ? .f32 : .f16,
            maxBatchedTokens: tokenCount)
    }
}

extension CUDABackend {
    /// Bytes that steps work in, roughly: activations of both forms, logits of many sequences, attention's parts.
    fileprivate func workingBytes(_ config: DecoderConfig, tokenCount: Int) -> Int {
        let heads = config.headCount * 2 + config.keyValueHeadCount * 2
        let widths = 2 * config.hiddenSize + heads * config.headDimension + 2 * config.feedForwardSize
        // Rows shrunk by adapters: 256 floats for each 1024 elements of up to three layers.
        let shrunk = tokenCount * 3 * ((max(config.feedForwardSize, config.hiddenSize) + 1023) / 1024) * 1024
        return tokenCount * widths * 8 + shrunk + min(tokenCount, 256) * config.vocabularyCount * 6 + (256 << 20)
    }
}

/// How much of a memory keys and values get.
private struct KeyValueBudget {
    let contextLength: Int
    let oneContext: Int
    let wanted: Int?
    let sequenceCount: Int
    let memoryBytes: Int

    init(_ config: DecoderConfig, _ options: LocalModel.Options, memoryBytes: Int) {
        let runnerOptions = DecoderRunner<CPUBackend>.Options(
            keyValueBytes: 0, keyValueElement: options.float32 ? .f32 : .f16)
        let blockBytes = DecoderRunner<CPUBackend>.bytesPerBlock(config, runnerOptions)
        let positions = runnerOptions.positionsPerBlock
        contextLength = config.contextLength
        oneContext = (config.contextLength + positions - 1) / positions * blockBytes
        wanted = options.keyValueBytes
        sequenceCount = options.sequenceCount
        self.memoryBytes = memoryBytes
    }

    /// What was asked for; without that, enough for the expected sequences within a part of the memory.
    ///
    /// - Parameter share: 4 for a quarter.
    func bytes(share: Double) throws(RuntimeError) -> Int {
        let all = oneContext.multipliedReportingOverflow(by: sequenceCount)
        let limit = max(oneContext, Int(Double(memoryBytes) / share))
        let bytes = wanted ?? min(all.overflow ? limit : all.partialValue, limit)
        if let wanted, wanted > memoryBytes {
            throw RuntimeError(
                .outOfMemory,
                "\(wanted >> 20) MiB are asked for keys and values and there are \(memoryBytes >> 20) MiB of memory "
                    + "(lower --kv-memory)")
        }
        guard bytes <= memoryBytes else {
            throw RuntimeError(
                .outOfMemory,
                "keys and values for \(contextLength) tokens take \(bytes >> 20) MiB and there are "
                    + "\(memoryBytes >> 20) MiB of memory (lower --context or --kv-memory)")
        }
        return bytes
    }
}
