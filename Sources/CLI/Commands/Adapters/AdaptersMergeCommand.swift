public import ArgumentParser
import Glibc
import ModelHub
public import ServingAdapters
import ServingJSON
import ServingModels
import ServingRuntime
import ServingTensors
import Terminal

/// `pbctl adapters merge`
struct AdaptersMergeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "merge",
        abstract: "Write a model with one or several adapters merged in.",
        discussion: """
            A GGUF file gives a GGUF file, a Hugging Face folder a folder. Several adapters become one first, by PEFT's
            arithmetic, or LoRAX's with --lorax-compat. Without --type, weights keep their type; those that change in a
            quantised model become Q8_0.

            EXAMPLES:
              pbctl adapters merge -m model.gguf --adapter tone --out merged.gguf
              pbctl adapters merge -m ./model --adapter a --adapter b \\
                --weights 0.7,0.3 --method ties --density 0.4 --out ./merged
            """)

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "The base model: a GGUF file, a Hugging Face folder, or a pulled model's name.", valueName: "model"),
        completion: .file())
    var model: String?

    @Option(
        help: ArgumentHelp(
            "A PEFT folder, name[/version], or hf:owner/name[@revision]; may be repeated.", valueName: "adapter"),
        completion: .directory)
    var adapter: [String]

    @Option(help: ArgumentHelp("A weight for each adapter, for instance 0.7,0.3 (default: 1 each).", valueName: "list"))
    var weights: WeightList?

    @Option(help: "How several adapters become one.")
    var method: AdapterMergeStrategy?

    @Option(help: ArgumentHelp("Share of the elements that pruning keeps, above 0 to 1.", valueName: "share"))
    var density: Double?

    @Option(help: "Whose sign wins for ties and dare_ties: that of the sum of values or of signs.")
    var majoritySign: MajoritySignMethod?

    @Option(help: "The same seed makes dare_linear and dare_ties drop the same (default: 0).")
    var seed: UInt64?

    @Flag(help: "Combine as LoRAX does: weights on both factors, no rescaling.")
    var loraxCompat = false

    @Option(help: "Encoding of the merged model's weights.")
    var type: MergedType?

    @Option(
        help: ArgumentHelp("File or folder to write.", valueName: "path"), completion: .file(extensions: ["gguf"]))
    var out: String

    @Flag(help: "Write over a GGUF file that is there.")
    var force = false

    func validate() throws {
        guard !adapter.isEmpty else { throw ValidationError("merge needs at least one --adapter") }
        if let weights, weights.values.count != adapter.count {
            throw ValidationError(
                "--weights: \(weights.values.count) for \(adapter.count) adapters; expected one for each adapter")
        }
        try checkMethod()
    }

    /// Refuses flags that the method would not look at, and a method that would do nothing without one.
    private func checkMethod() throws {
        let method = method ?? .linear
        let prunes = [AdapterMergeStrategy.ties, .dareLinear, .dareTies, .magnitudePrune].contains(method)
        let uses: [(flag: String, isGiven: Bool, isUsed: Bool, methods: String)] = [
            ("--density", density != nil, prunes, "ties, dare_linear, dare_ties and magnitude_prune"),
            ("--majority-sign", majoritySign != nil, method == .ties || method == .dareTies, "ties and dare_ties"),
            ("--seed", seed != nil, method == .dareLinear || method == .dareTies, "dare_linear and dare_ties"),
        ]
        for use in uses where use.isGiven && !use.isUsed {
            throw ValidationError("\(use.flag) is for \(use.methods); --method \(method.rawValue) doesn't use it")
        }
        if prunes, density == nil, !loraxCompat {
            throw ValidationError(
                "--method \(method.rawValue) needs --density, the share of the elements that it keeps (for instance 0.5; "
                    + "1 keeps all)")
        }
    }

    func run() async throws {
        if !force, out.hasSuffix(".gguf"), access(out, F_OK) == 0 {
            throw CommandFailure.usage("\(out) exists already", hint: "choose another name, or pass --force")
        }
        let base = try ModelOptions.path(of: model)
        let merge = merge
        // Checked before anything is fetched or read.
        if let merge { try merge.validate(loraxCompatible: loraxCompat) }
        var folders: [AdapterFolder] = []
        for id in adapter { folders.append(try AdapterFolder(path: await AdapterOptions.location(of: id).folder)) }
        let bar = ProgressBar(title: "merging")
        // Bars count bytes, the writer counts tensors.
        let bytes = Int64(try ModelSummary(path: base).json["weight_bytes"]?.intValue ?? 0)
        let (isCompatible, seed) = (loraxCompat, seed ?? 0)
        let adapters = folders
        let (type, out) = (type?.tensorType, out)
        let (outcome, wasInterrupted) = await InterruptMonitor.run { () async throws -> MergedModelWriter.Result in
            try MergedModelWriter.write(basePath: base, type: type, to: out) { done, total in
                bar.update(completed: bytes / Int64(max(total, 1)) * Int64(done), total: bytes)
            } isCancelled: {
                Task.isCancelled
            } adapter: { (config, weights) throws(AdapterError) in
                var updates: [AdapterWeights] = []
                for folder in adapters { updates.append(try folder.weights(for: config, base: weights)) }
                guard let merge else { return updates[0] }
                return try AdapterCombination.combine(updates, merge, loraxCompatible: isCompatible, seed: seed)
            }
        }
        bar.finish()
        if wasInterrupted, case .failure = outcome { throw CancellationError() }
        let result = try outcome.get()
        try TextOutput.error.writeLine("merged into \(result.changedTensorCount) of \(result.tensorCount) tensors")
        try TextOutput.standard.writeLine(out)
    }

    /// How the adapters become one; nil for a single adapter as it is.
    private var merge: AdapterMerge? {
        guard adapter.count > 1 || weights != nil || method != nil || density != nil || loraxCompat else { return nil }
        return AdapterMerge(
            ids: adapter, weights: weights?.values ?? adapter.map { _ in 1 }, strategy: method ?? .linear,
            density: density ?? 1, majoritySignMethod: majoritySign ?? .total)
    }
}

/// Numbers with commas between them.
struct WeightList: ExpressibleByArgument {
    let values: [Double]

    init?(argument: String) {
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
        values = parts.compactMap { Double($0) }.filter(\.isFinite)
        guard values.count == parts.count else { return nil }
    }
}

/// Types that a merged model can be written in.
enum MergedType: String, ExpressibleByArgument, CaseIterable {
    case f32, f16, bf16, q8_0, q4_0, q4_1

    var tensorType: TensorType {
        switch self {
        case .f32: .f32
        case .f16: .f16
        case .bf16: .bf16
        case .q8_0: .q8_0
        case .q4_0: .q4_0
        case .q4_1: .q4_1
        }
    }
}

extension AdapterMergeStrategy: ExpressibleByArgument {}
extension MajoritySignMethod: ExpressibleByArgument {}
