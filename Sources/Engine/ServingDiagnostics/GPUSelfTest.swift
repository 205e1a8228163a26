import ServingCPU
public import ServingCUDA
import ServingModelFiles
public import ServingModels
public import ServingTensors

/// Everything that the CUDA backend computes on a device, beside the processor's float32 results.
public struct GPUSelfTest {
    /// What one check found.
    public struct Finding: Sendable {
        /// What was checked.
        public let name: String
        /// How weights were held.
        public let element: WeightElement
        /// The largest difference, as a share of the largest result; infinite where shapes differ or a number is not
        /// finite. For chosen tokens, the share that differ.
        public let error: Double
        /// What it may be.
        public let limit: Double
        /// Why it could not be computed.
        public let failure: String?

        /// Whether it is as it should be.
        public var isGood: Bool { failure == nil && error <= limit }
    }

    private let device: CUDADevice
    private let cacheFolder: String?
    private let reference: CPUBackend
    /// What is run; less in tests.
    var checks: [any DeviceCheck] = Self.allChecks
    var elements = WeightElement.allCases
    var vocabularies = [1000, 128_256]

    /// A test of a device.
    ///
    /// - Parameter cacheFolder: Where compiled kernels are kept.
    public init(_ device: CUDADevice, cacheFolder: String?) throws {
        self.device = device
        self.cacheFolder = cacheFolder
        reference = try CPUBackend(float32: true)
    }

    /// A model of a GGUF file or a Hugging Face folder, with a short context.
    public static func model(at path: String) throws -> ModelDescription {
        switch try ModelSource.detect(path: path) {
        case .gguf(let path): return try ModelDescription(gguf: GGUFFile(path: path), contextLength: 64)
        case .folder(let path): return try ModelDescription(folder: ModelFolder(path: path), contextLength: 64)
        default: throw ModelError(.unsupported, "\(path) is no model (pass a GGUF file or a Hugging Face folder)")
        }
    }

    /// Runs all checks, and that of a model where there is one, and tells each finding as it comes.
    ///
    /// - Returns: Whether all are good.
    public func run(
        model: (description: ModelDescription, tokenIDs: [TokenID])?, _ report: (Finding) throws -> Void
    ) throws -> Bool {
        var isGood = true
        for element in elements {
            var options = CUDABackend.Options()
            options.element = element
            options.cacheFolder = cacheFolder
            let backend = try CUDABackend(device, options)
            var checks = checks
            if let model { checks.append(ModelCheck(model: model.description, tokenIDs: model.tokenIDs)) }
            for check in checks {
                let finding = find(check, backend)
                isGood = isGood && finding.isGood
                try report(finding)
            }
            guard element == elements.first else { continue }
            for count in vocabularies {
                let finding = find(DrawCheck(vocabularyCount: count), backend)
                isGood = isGood && finding.isGood
                try report(finding)
            }
        }
        return isGood
    }

    static let allChecks: [any DeviceCheck] =
        [NormCheck(rows: 3, width: 4096), NormCheck(rows: 200, width: 576)]
        + [GatedActivation.silu, .geluTanh, .geluErf].map { GateCheck(kind: $0) }
        + [1, 2, 3, 4, 8, 16, 64, 200].map {
            LinearCheck(rows: $0, inputs: 1024, outputs: [512, 128, 128], hasBias: $0 % 2 == 0)
        } + [
            LinearCheck(rows: 5, inputs: 100, outputs: [36, 7]),
            LinearCheck(rows: 100, inputs: 2304, outputs: [512, 128, 128], ranks: [0, 8, 16, 3, 60]),
            LinearCheck(rows: 100, inputs: 2304, outputs: [512, 128, 128], ranks: [16, 8]),
            LinearCheck(rows: 48, inputs: 4100, outputs: [256], ranks: [1, 200, 0]),
            AttentionCheck(heads: 8, keyHeads: 2, dimension: 128),
            AttentionCheck(heads: 6, keyHeads: 2, dimension: 64, hasNorms: true),
            AttentionCheck(heads: 4, keyHeads: 4, dimension: 96, pairing: .neighbours),
            AttentionCheck(heads: 7, keyHeads: 1, dimension: 80, window: 100),
            AttentionCheck(heads: 4, keyHeads: 2, dimension: 256, softCap: 5),
            AttentionCheck(heads: 32, keyHeads: 1, dimension: 64),
            AttentionCheck(heads: 4, keyHeads: 2, dimension: 24),
            RandomModelCheck(), RandomModelCheck(ranks: [8, 16]),
        ]

    private func find(_ check: some DeviceCheck, _ backend: CUDABackend) -> Finding {
        let element = backend.element
        let limit =
            switch element {
            case .f32: 1e-4
            case .bf16: 3e-2
            case .f16: 5e-3
            }
        do {
            let expected = try check.values(on: reference, CheckPrecision(cache: .f32))
            let found = try check.values(on: backend, CheckPrecision(cache: element == .f32 ? .f32 : .f16))
            return Finding(
                name: check.name, element: element, error: Self.difference(found, expected), limit: limit,
                failure: nil)
        } catch {
            return Finding(name: check.name, element: element, error: .infinity, limit: limit, failure: "\(error)")
        }
    }

    private func find(_ check: DrawCheck, _ backend: CUDABackend) -> Finding {
        // Where a sum's last bit decides, a token may be another: rare, and no error.
        let limit = 0.05
        do {
            return Finding(
                name: check.name, element: backend.element, error: try check.difference(backend), limit: limit,
                failure: nil)
        } catch {
            return Finding(
                name: check.name, element: backend.element, error: .infinity, limit: limit, failure: "\(error)")
        }
    }

    private static func difference(_ found: [Float], _ expected: [Float]) -> Double {
        guard found.count == expected.count, found.allSatisfy(\.isFinite) else { return .infinity }
        let largest = expected.reduce(Float(0)) { max($0, abs($1)) }
        let difference = zip(found, expected).reduce(Float(0)) { max($0, abs($1.0 - $1.1)) }
        return Double(difference) / Double(max(largest, 1e-30))
    }
}
