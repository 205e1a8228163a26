import ArgumentParser
import ServingCUDA
import ServingDiagnostics
import ServingJSON
import Terminal

/// `pbctl gpu bench`
struct GPUBenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure decoding and prompts on a GPU, with random weights.",
        discussion: """
            Shapes are those of Llama 3.1 8B (8b) and Llama 3.2 1B (1b); tiny is for trying it out. Steps are those that
            the engine makes, with tokens chosen on the device. Medians are printed. A line that can't be measured says
            why; the others go on.

            EXAMPLES:
              pbctl gpu bench --shape 8b --batches 1,64 --context 512
              pbctl gpu bench --batches 64 --adapters 0,1,8,64 --rank 16 -o json
            """)

    @OptionGroup var gpu: GPUOptions

    @Option(help: "Shape of the model: 8b, 1b or tiny.")
    var shape = ShapeName.eightB

    @Option(help: ArgumentHelp("Sequences at a time, several with commas.", valueName: "counts"))
    var batches = IntegerList([1, 16, 64, 256])

    @Option(help: ArgumentHelp("Positions that each sequence has behind it, several with commas.", valueName: "counts"))
    var context = IntegerList([512])

    @Option(help: ArgumentHelp("Distinct adapters, several with commas; 0 for none.", valueName: "counts"))
    var adapters = IntegerList([0])

    @Option(help: ArgumentHelp("Rank of the adapters, on all linear modules.", valueName: "rank"))
    var rank = 16

    @Option(help: ArgumentHelp("Tokens of a prompt to measure; 0 for none.", valueName: "count"))
    var prefill = 2048

    @Option(help: ArgumentHelp("Decoding steps of a repetition.", valueName: "count"))
    var steps = 64

    @Option(help: ArgumentHelp("Repetitions.", valueName: "count"))
    var repeats = 3

    @Option(help: "How weights are held: bf16, f16 or f32.")
    var weights = WeightName.bf16

    @Option(help: ArgumentHelp("Memory for keys and values (default: 70 % of what is left).", valueName: "size"))
    var kvMemory: MemorySize?

    @Flag(help: "Results that do not depend on the batch.")
    var deterministic = false

    @Flag(help: "Launch steps one kernel at a time, not recorded as graphs.")
    var noGraphs = false

    @Option(help: "How products are computed: tried, cublas or own.")
    var products = ProductsName.tried

    @Option(name: .shortAndLong, help: "Format: text or json.")
    var output = TextOrJSON.text

    func validate() throws {
        for (name, list, range) in [
            ("batches", batches, 1...4096), ("context", context, 1...1_000_000), ("adapters", adapters, 0...4096),
        ] where !list.values.allSatisfy(range.contains) || list.values.isEmpty {
            throw ValidationError("--\(name): expected numbers from \(range.lowerBound) to \(range.upperBound)")
        }
        if prefill == 0, (adapters.values.min() ?? 0) > (batches.values.max() ?? 0) {
            throw ValidationError("--adapters: no batch has as many sequences; a sequence has one adapter")
        }
        for (name, value, range) in [
            ("rank", rank, 1...256), ("prefill", prefill, 0...65535), ("steps", steps, 1...100_000),
            ("repeats", repeats, 1...1000),
        ] where !range.contains(value) {
            throw ValidationError("--\(name) \(value): expected \(range.lowerBound) to \(range.upperBound)")
        }
    }

    func run() async throws {
        let device = try gpu.open()
        var options = CUDABackend.Options()
        options.element = weights.element
        options.cacheFolder = try GPUOptions.kernelFolder()
        options.isDeterministic = deterministic
        options.recordsSteps = !noGraphs
        options.products = products.products
        let longest = (context.values.max() ?? 1) + steps + 8
        let clock = ContinuousClock()
        let start = clock.now
        let bench = try GPUBenchmark(
            device, options, shape.shape, contextLength: max(longest, prefill), keyValueBytes: kvMemory?.bytes,
            promptTokens: max(prefill, batches.values.max() ?? 1))
        let loaded = (clock.now - start).inSeconds
        if output == .text {
            try TextOutput.standard.writeLine(
                "\(device.name), \(shape.rawValue) shape, \(weights.rawValue), loaded in \(loaded.formatted(decimals: 1)) s\n\n"
                    + "| measured | batch | context | adapters | ms/step | tokens/s |\n|---|---|---|---|---|---|")
        }
        var rows: [JSONValue] = []
        func show(_ row: BenchRow, _ body: () throws -> GPUBenchmark.Measurement) throws {
            let result = Result { try body() }
            rows.append(row.json(result, device: device.name, shape: shape.rawValue))
            if output == .text { try TextOutput.standard.writeLine(row.text(result)) }
        }
        for context in context.values {
            for batch in batches.values {
                // A sequence has one adapter.
                for adapters in adapters.values where adapters <= batch {
                    let row = BenchRow(kind: "decode", batch: batch, context: context, adapters: adapters, rank: rank)
                    try show(row) {
                        try bench.decode(
                            .init(batch: batch, context: context, adapterCount: adapters, rank: rank),
                            stepCount: steps, repeats: repeats)
                    }
                }
            }
        }
        if prefill > 0 {
            let row = BenchRow(kind: "prefill", batch: 1, context: prefill, adapters: 0, rank: rank)
            try show(row) { try bench.prefill(tokenCount: prefill, repeats: repeats) }
        }
        if output == .json { try TextOutput.standard.writeLine(JSONValue.array(rows).text(style: .pretty)) }
    }
}

/// A line of the table.
private struct BenchRow {
    let kind: String
    let batch, context, adapters, rank: Int

    func text(_ result: Result<GPUBenchmark.Measurement, any Error>) -> String {
        let head = "| \(kind) | \(batch) | \(context) | \(adapters == 0 ? "-" : "\(adapters) of rank \(rank)") |"
        switch result {
        case .success(let found):
            return
                "\(head) \(found.milliseconds.formatted(decimals: 3)) | \(found.tokensPerSecond.formatted(decimals: 1)) |"
        case .failure(let error): return "\(head) - | \(error) |"
        }
    }

    func json(
        _ result: Result<GPUBenchmark.Measurement, any Error>, device: String, shape: String
    ) -> JSONValue {
        var (time, rate, message) = (JSONValue.null, JSONValue.null, JSONValue.null)
        switch result {
        case .success(let found): (time, rate) = (.number(found.milliseconds), .number(found.tokensPerSecond))
        case .failure(let error): message = .string("\(error)")
        }
        return [
            "device": .string(device), "shape": .string(shape), "measured": .string(kind),
            "batch": .integer(Int64(batch)), "context": .integer(Int64(context)),
            "adapters": .integer(Int64(adapters)), "rank": .integer(Int64(rank)), "ms_per_step": time,
            "tokens_per_second": rate, "error": message,
        ]
    }
}

/// Numbers with commas between them.
struct IntegerList: ExpressibleByArgument {
    let values: [Int]

    init(_ values: [Int]) { self.values = values }

    init?(argument: String) {
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
        let values = parts.compactMap { Int($0) }
        guard values.count == parts.count else { return nil }
        self.values = values
    }

    var defaultValueDescription: String { values.map(String.init).joined(separator: ",") }
}

/// A shape by its name.
enum ShapeName: String, ExpressibleByArgument, CaseIterable {
    case eightB = "8b"
    case oneB = "1b"
    case tiny

    var shape: RandomModel.Shape {
        switch self {
        case .eightB: .eightB
        case .oneB: .oneB
        case .tiny: .tiny
        }
    }
}

/// How weights are held, by name.
enum WeightName: String, ExpressibleByArgument, CaseIterable {
    case bf16, f16, f32

    var element: WeightElement {
        switch self {
        case .bf16: .bf16
        case .f16: .f16
        case .f32: .f32
        }
    }
}

/// A way to compute products, by name.
enum ProductsName: String, ExpressibleByArgument, CaseIterable {
    case tried, cublas, own

    var products: CUDABackend.Options.Products {
        switch self {
        case .tried: .tried
        case .cublas: .cublas
        case .own: .own
        }
    }
}
