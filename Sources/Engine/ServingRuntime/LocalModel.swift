import Glibc
import ServingAdapters
import ServingCUDA
public import ServingEngine
import ServingModelFiles
public import ServingModels
public import ServingTensors
public import ServingTokenizers

/// A model loaded into this process: tokenizer, chat template, weights on a device, and the engine that runs them.
///
/// Called by `pbctl prompt --local`, by batch runs and by replica servers; calls `ServingModels` to load and
/// `ServingEngine` to generate.
public final class LocalModel: Sendable {
    /// How much of the machine a model may use.
    public struct Options: Sendable {
        /// Longest sequence in tokens; nil takes the model's, at most ``defaultContextLimit``.
        public var contextLength: Int?
        /// Which device computes.
        public var device = DeviceChoice.cpu
        /// Folder of compiled kernels; nil for none.
        public var kernelCachePath: String?
        /// Threads; nil takes the cores this process may use.
        public var threadCount: Int?
        /// Whether to compute in float32 throughout.
        public var float32: Bool
        /// Whether an answer must not depend on what else is computed, to the last bit; on a CPU none does.
        public var isDeterministic = false
        /// Bytes for keys and values; nil takes what `sequenceCount` sequences need, within a quarter of the memory.
        public var keyValueBytes: Int?
        /// Most tokens a step; nil for 512, on a GPU 2048.
        public var maxBatchedTokens: Int?
        /// How many sequences are expected at a time.
        public var sequenceCount: Int
        /// How the engine schedules.
        public var engine: EngineConfiguration
        /// Where adapters come from.
        public var adapters = AdapterLibrary.Options()
        /// Folder of an adapter that becomes part of the weights at load.
        public var mergedAdapterPath: String?
        /// Told of what is done otherwise than one might expect: why no GPU is used though there is a driver.
        public var warn: (@Sendable (String) -> Void)?
        /// Told the share of the weights that is on the device, 0...1 and never less than before, from the loading
        /// thread.
        public var progress: (@Sendable (Double) -> Void)?

        /// Options for one sequence at a time on all cores.
        public init(
            contextLength: Int? = nil, threadCount: Int? = nil, float32: Bool = false, keyValueBytes: Int? = nil,
            maxBatchedTokens: Int? = nil, sequenceCount: Int = 1, engine: EngineConfiguration = EngineConfiguration()
        ) {
            self.contextLength = contextLength
            self.threadCount = threadCount
            self.float32 = float32
            self.keyValueBytes = keyValueBytes
            self.maxBatchedTokens = maxBatchedTokens
            self.sequenceCount = sequenceCount
            self.engine = engine
        }

        /// Longest context unless more is asked for, so that a model made for 128k tokens does not claim memory for
        /// them.
        public static let defaultContextLimit = 8192
    }

    /// Where it was loaded from.
    public let path: String
    /// File or folder name without ending.
    public let name: String
    /// What the model is.
    public let config: DecoderConfig
    /// Text to tokens and back; nil for a folder without a tokenizer.
    public let codec: TextCodec?
    /// Runs requests.
    public let engine: ServingEngine
    /// Adapters that requests may run with.
    public let adapters: AdapterLibrary
    /// Tokens that end an answer.
    public let endOfGenerationTokenIDs: Set<TokenID>
    /// What computes: never `auto`.
    public let device: DeviceChoice
    /// How the device computes, for instance `avx2, 2 threads`.
    public let deviceDescription: String
    /// Threads that compute.
    public let threadCount: Int
    /// From opening the files to being ready.
    public let loadDuration: Duration
    private let monitor: GPUMonitor?

    /// Loads a GGUF file or a Hugging Face folder.
    public init(path: String, options: Options = Options()) throws {
        let clock = ContinuousClock()
        let start = clock.now
        let source = try ModelSource.detect(path: path)
        let files = try ModelFileSet(source: source, path: path, contextLength: options.contextLength)
        self.path = path
        name = Self.name(of: path)
        codec = files.hasTokenizer ? try TextCodec(source: source) : nil
        let description = try files.description.merging(adapterAt: options.mergedAdapterPath)
        config = description.config
        let least = AdapterLibrary.leastDeviceBytes(config)
        if let bytes = options.adapters.deviceBytes, bytes < least {
            throw RuntimeError(
                .outOfMemory,
                "\(bytes) bytes hold no adapter of this model: one of rank 8 for queries and values takes \(least) "
                    + "(raise --adapter-memory)")
        }
        let loaded = try LoadedRunner.load(description, options)
        device = loaded.device
        deviceDescription = loaded.description
        threadCount = loaded.threadCount
        monitor = loaded.monitor
        adapters = AdapterLibrary(model: description, uploader: loaded.uploader, options: options.adapters)
        let tokenizer = codec?.tokenizer
        endOfGenerationTokenIDs = files.endTokenIDs.union(tokenizer?.endOfGenerationTokenIDs ?? [])
        // Seeds that are chosen here are told to users in JSON, whose readers often know doubles alone.
        engine = ServingEngine(
            runner: loaded.runner, configuration: options.engine, makeSeed: { UInt64.random(in: 0..<1 << 53) },
            makeDecoder: { request in
                guard let tokenizer else { return SilentDecoder() }
                return StreamingDetokenizer(tokenizer, skippingSpecialTokens: request.skipsSpecialTokens)
            })
        loadDuration = clock.now - start
    }

    private static func name(of path: String) -> String {
        let last = path.split(separator: "/").last.map(String.init) ?? path
        return last.hasSuffix(".gguf") ? String(last.dropLast(5)) : last
    }

    /// How busy the model's GPU is; nil on the processor, and where the driver's monitoring library is not there.
    public func gpuUsage() -> GPUUsage? {
        monitor.map { monitor in
            let reading = monitor.reading()
            return GPUUsage(
                device: device.description, utilization: reading.utilization, usedBytes: reading.usedBytes,
                totalBytes: reading.totalBytes)
        }
    }

    /// A request for this model with its end-of-generation tokens.
    public func request(id: String, promptTokenIDs: [TokenID], sampling: SamplingParameters) -> GenerationRequest {
        var request = GenerationRequest(id: id, promptTokenIDs: promptTokenIDs, sampling: sampling)
        request.endOfGenerationTokenIDs = endOfGenerationTokenIDs
        return request
    }

    /// The mean of the last hidden states of some tokens, (E).
    public func embedding(of tokenIDs: [TokenID], adapter: AdapterLease? = nil) async throws -> [Float] {
        var request = GenerationRequest(id: "embedding-\(UInt64.random(in: 0...UInt64.max))", promptTokenIDs: tokenIDs)
        request.wantsEmbedding = true
        adapter?.apply(to: &request)
        let output = await GenerationOutput(try engine.submit(request))
        if let embedding = output.embedding { return embedding }
        if case .failed(let message) = output.samples.first?.finish?.reason {
            throw RuntimeError(.failed, message)
        }
        throw CancellationError()
    }

    /// The tokenizer and chat template, or an error that says that there are none.
    public func requireCodec() throws -> TextCodec {
        guard let codec else {
            throw RuntimeError(.noTokenizer, "\(path) has no tokenizer (only prompts in token ids work)")
        }
        return codec
    }
}

/// For models without a tokenizer: tokens have no text.
private struct SilentDecoder: TokenTextDecoding {
    mutating func append(_ id: TokenID) -> String { "" }
    mutating func finish() -> String { "" }
}

extension StreamingDetokenizer: TokenTextDecoding {}

/// Memory of the machine, or of the control group this process is in where that is less.
enum PhysicalMemory {
    static let bytes: Int = {
        let machine = Int(sysconf(Int32(_SC_PHYS_PAGES))) * Int(sysconf(Int32(_SC_PAGESIZE)))
        guard let file = fopen("/sys/fs/cgroup/memory.max", "r") else { return machine }
        defer { fclose(file) }
        var text = [UInt8](repeating: 0, count: 32)
        let count = fread(&text, 1, text.count, file)
        // "max" where there is no limit, and then no number to read.
        let digits = text[..<count].prefix { (0x30...0x39).contains($0) }
        return Int(String(decoding: digits, as: UTF8.self)).map { min(machine, $0) } ?? machine
    }()
}
