public import ServingJSON
public import ServingModelFiles

/// A PEFT adapter's folder, read into memory: `adapter_config.json` and `adapter_model.safetensors`.
///
/// Made by whoever loads an adapter, from what an ``AdapterLocating`` found; ``weights(for:base:)`` turns it into
/// changes of one model. The files may be replaced or deleted once this is made.
public struct AdapterFolder: Sendable {
    /// Facts for listings.
    public struct Summary: Sendable, Equatable {
        /// The rank of most modules, `r`.
        public let rank: Int
        /// The largest rank of any module.
        public let maxRank: Int
        /// lora_alpha.
        public let alpha: Double
        /// Last components of the names of the modules that are changed, sorted, for instance `q_proj`.
        public let modules: [String]
        /// Tensors in the file.
        public let tensorCount: Int
        /// Elements of all tensors.
        public let parameterCount: Int
        /// Bytes of all tensors.
        public let byteCount: Int
        /// Names of the encodings, sorted, for instance `BF16`.
        public let types: [String]
        /// The model it was trained on, as its author named it.
        public let baseModel: String?
        /// `LoRA`, `DoRA` or `rsLoRA`, several joined by `+`.
        public let kind: String
    }

    /// The folder.
    public let path: String
    /// What the config says.
    public let config: AdapterConfig
    /// The config file as it is.
    public let configObject: JSONObject
    /// The tensors.
    public let tensors: SafetensorsFile
    /// Which files were read.
    public let fingerprint: AdapterFingerprint
    /// What stood in them.
    public let contentHash: AdapterContentHash

    /// The file's name in an adapter's folder.
    public static let tensorsFileName = "adapter_model.safetensors"
    private static let configLimit = 4 << 20
    private static let tensorsLimit = 64 << 30

    /// Reads a folder. Files that are replaced meanwhile are read anew, so that config and tensors belong together.
    ///
    /// - Parameter byteLimit: largest file of tensors that is read.
    /// - Throws: `notFound` where there is no folder; `invalidAdapter` for files that are missing, truncated, malformed
    ///   or pickles; `unsupported` for adapters that would not be applied in full; `outOfMemory` beyond the limit;
    ///   `unavailable` for files that change all the time.
    public init(path: String, byteLimit: Int = .max) throws(AdapterError) {
        for _ in 0..<Self.attemptLimit {
            let folder = try AdapterFolder(reading: path, byteLimit: byteLimit)
            if try AdapterFingerprint(folder: path) == folder.fingerprint {
                self = folder
                return
            }
        }
        throw AdapterError(.unavailable, "the adapter's files change while they are read (try again)")
    }

    private static let attemptLimit = 3

    private init(reading path: String, byteLimit: Int) throws(AdapterError) {
        fingerprint = try AdapterFingerprint(folder: path)
        guard fingerprint.tensorByteCount <= byteLimit else {
            throw AdapterError(
                .outOfMemory,
                "\(Self.tensorsFileName): has \(fingerprint.tensorByteCount >> 20) MiB, and at most \(byteLimit >> 20) MiB fit the "
                    + "memory for adapters (raise --adapter-memory)")
        }
        let configFile = try AdapterFile.read(path, AdapterConfig.fileName, limit: Self.configLimit)
        configObject = try Self.parse(configFile)
        config = try AdapterConfig(configObject)
        let tensorsFile = try AdapterFile.read(path, Self.tensorsFileName, limit: Self.tensorsLimit)
        do {
            tensors = try SafetensorsFile(tensorsFile)
        } catch {
            throw AdapterError(.invalidAdapter, error.description)
        }
        self.path = path
        contentHash = withExtendedLifetime((configFile, tensorsFile)) {
            AdapterContentHash([configFile.bytes, tensorsFile.bytes])
        }
    }

    /// Reads only a folder's config.
    public static func config(path: String) throws(AdapterError) -> AdapterConfig {
        try AdapterConfig(parse(AdapterFile.read(path, AdapterConfig.fileName, limit: configLimit)))
    }

    private static func parse(_ file: MappedFile) throws(AdapterError) -> JSONObject {
        let value: JSONValue
        do {
            value = try file.withBytes { bytes throws(JSONParseError) in try JSONValue(parsing: bytes) }
        } catch {
            throw AdapterError(
                .invalidAdapter, "\(file.path): at byte \(error.offset): \(error.reason), expected a JSON object")
        }
        guard let object = value.objectValue else {
            throw AdapterError(.invalidAdapter, "\(file.path): expected a JSON object")
        }
        return object
    }

    /// Bytes that the tensors' file takes in memory.
    public var byteCount: Int { tensors.file.count }

    /// Facts for listings.
    public var summary: Summary {
        let names = tensors.entries.map { AdapterTensorName($0.name) }
        let modules = Set(names.compactMap { $0?.module.split(separator: ".").last.map(String.init) })
        let lowRankModules = Set(names.compactMap { $0?.part.isLowRank == true ? $0?.module : nil })
        let kinds = [
            config.usesMagnitudes ? "DoRA" : nil, config.usesRankStabilizedScaling ? "rsLoRA" : nil,
        ].compactMap { $0 }
        return Summary(
            rank: config.rank, maxRank: lowRankModules.map(config.rank).max() ?? 0, alpha: config.alpha,
            modules: modules.sorted(), tensorCount: tensors.entries.count,
            parameterCount: tensors.entries.reduce(0) { $0 + $1.shape.reduce(1, *) },
            byteCount: tensors.entries.reduce(0) { $0 + $1.range.count },
            types: Set(tensors.entries.map(\.typeName)).sorted(), baseModel: config.baseModel,
            kind: kinds.isEmpty ? "LoRA" : kinds.joined(separator: "+"))
    }
}
