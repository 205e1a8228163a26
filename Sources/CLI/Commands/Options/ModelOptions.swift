import ArgumentParser
import Glibc
import ModelHub
import ServingEngine
import ServingRuntime
import Terminal

/// Which model to run and how much of the machine it may use.
struct ModelOptions: ParsableArguments {
    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "A GGUF file, a Hugging Face folder, or the name of a pulled model (default: PBCTL_MODEL, else the only "
                + "pulled model).",
            valueName: "model"), completion: .file())
    var model: String?

    @Flag(help: "Run the model in this process.")
    var local = false

    @OptionGroup(title: "Engine options") var engine: EngineOptions

    /// The file or folder that the options mean.
    func path() throws -> String { try Self.path(of: model) }

    /// The file or folder that a reference means; without one, `PBCTL_MODEL` or the only model in the store.
    static func path(of reference: String?) throws -> String {
        let store = ModelStore(try PbctlDirectories())
        if let reference = reference ?? ProcessEnvironment.value("PBCTL_MODEL") { return try store.resolve(reference) }
        let models = try store.listing().models
        if models.count == 1 { return models[0].path }
        guard models.isEmpty else {
            throw CommandFailure.usage(
                "several models are here: \(models.map(\.name).joined(separator: ", "))",
                hint: "choose one with --model")
        }
        throw CommandFailure.usage(
            "no model: pass --model with a GGUF file or a Hugging Face folder",
            hint: "or pull one with 'pbctl models pull'")
    }

    /// Loads the model.
    func load(adapters: AdapterOptions? = nil) throws -> LocalModel {
        var options = try engine.localModelOptions()
        if let adapters { options.adapters = try adapters.libraryOptions() }
        return try LocalModel(path: path(), options: options)
    }
}

/// How much of the machine an engine may use.
struct EngineOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Device: cpu, cuda or cuda:N for an NVIDIA GPU, or auto, which takes the first GPU that can be used and "
                + "else the CPU ('pbctl doctor' shows what a GPU needs).", valueName: "device"))
    var device = "auto"

    @Option(help: ArgumentHelp("Threads (default: the cores this process may use).", valueName: "count"))
    var threads: Int?

    @Option(
        help: ArgumentHelp(
            "Longest sequence, prompt and answer together (default: the model's, at most 8192).",
            valueName: "tokens"))
    var context: Int?

    @Option(
        help: ArgumentHelp(
            "Memory for keys and values, for instance 512M or 4G (default: enough for the context, "
                + "and for many sequences a quarter of the memory).", valueName: "size"))
    var kvMemory: MemorySize?

    @Option(
        help: ArgumentHelp(
            "Most tokens computed in one step; more is quicker with long prompts and takes memory (default: 512, on a GPU 2048).",
            valueName: "tokens"))
    var maxBatchedTokens: Int?

    @Flag(help: "Compute every prompt whole, also what an earlier one began with.")
    var noPrefixCache = false

    @Flag(help: "Compute with float32 weights and cache, without quantisation of activations: slow and exact.")
    var float32 = false

    @Flag(
        help: ArgumentHelp(
            "Answers that do not depend, to the last bit, on what else is computed at the time: slower on a GPU, for long "
                + "prompts above all; on a CPU no answer ever does."))
    var deterministic = false

    func validate() throws {
        guard DeviceChoice(device) != nil else {
            throw ValidationError("--device \(device): expected auto, cpu, cuda or cuda:N, the number of a GPU")
        }
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads \(threads): expected 1 to 1024")
        }
        if let context, context < 1 { throw ValidationError("--context \(context): expected at least 1") }
        if let maxBatchedTokens, !(1...1 << 20).contains(maxBatchedTokens) {
            throw ValidationError("--max-batched-tokens \(maxBatchedTokens): expected 1 to \(1 << 20)")
        }
    }

    func localModelOptions() throws -> LocalModel.Options {
        var options = LocalModel.Options(
            contextLength: context, threadCount: threads, float32: float32, keyValueBytes: kvMemory?.bytes)
        options.device = DeviceChoice(device) ?? .auto
        options.warn = { text in
            let hint = "('pbctl doctor' tells more, --device cpu leaves this out)"
            try? TextOutput.error.writeLine("pbctl: \(text.onOneLine) \(hint)")
        }
        options.kernelCachePath = try PbctlDirectories().cache + "/kernels"
        options.maxBatchedTokens = maxBatchedTokens
        options.isDeterministic = deterministic
        options.engine.usesPrefixCache = !noPrefixCache
        return options
    }
}

/// A number of bytes as people write it: `512M`, `4G`, `1.5GiB`, `1000000`.
struct MemorySize: ExpressibleByArgument {
    let bytes: Int

    init(bytes: Int) { self.bytes = bytes }

    /// As help texts show a default.
    var defaultValueDescription: String {
        for (shift, unit) in [(30, "G"), (20, "M"), (10, "K")] where bytes > 0 && bytes % (1 << shift) == 0 {
            return "\(bytes >> shift)\(unit)"
        }
        return "\(bytes)"
    }

    init?(argument: String) {
        let text = argument.lowercased()
        let digits = text.prefix { $0.isNumber || $0 == "." }
        let units = [
            "": 0, "b": 0, "k": 10, "kb": 10, "kib": 10, "m": 20, "mb": 20, "mib": 20, "g": 30, "gb": 30,
            "gib": 30, "t": 40, "tb": 40, "tib": 40,
        ]
        guard let number = Double(digits), let shift = units[String(text.dropFirst(digits.count))],
            number * Double(1 << shift) < 1e15
        else { return nil }
        bytes = Int(number * Double(1 << shift))
    }
}
