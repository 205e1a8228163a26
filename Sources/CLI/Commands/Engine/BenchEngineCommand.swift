import ArgumentParser
import Glibc
import ServingEngine
import ServingJSON
import ServingRuntime
import ServingTensors
import Terminal

/// `pbctl bench engine`
struct BenchEngineCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "engine",
        abstract: "Measure prefill and decode of a model in this process.",
        discussion: """
            Prompts are random token ids, another set each repetition, and answers go on past the end of text. Medians
            are printed; -o json holds each repetition.

            EXAMPLES:
              pbctl bench engine -m model.gguf --prompt-tokens 512 --output-tokens 128
              pbctl bench engine -m model.gguf --streams 32 --threads 2 -o json
            """)

    @OptionGroup var model: ModelOptions

    @Option(help: ArgumentHelp("Prompt tokens a stream.", valueName: "count"))
    var promptTokens = 512

    @Option(help: ArgumentHelp("Tokens to generate a stream.", valueName: "count"))
    var outputTokens = 128

    @Option(help: ArgumentHelp("Streams at a time.", valueName: "count"))
    var streams = 1

    @Option(help: ArgumentHelp("Measured repetitions, after one that is not.", valueName: "count"))
    var repeats = 3

    @Option(name: .shortAndLong, help: "Format: text or json.")
    var output = TextOrJSON.text

    func validate() throws {
        for (name, value) in [
            ("prompt-tokens", promptTokens), ("output-tokens", outputTokens), ("streams", streams),
            ("repeats", repeats),
        ] where !(1...1_000_000).contains(value) {
            throw ValidationError("--\(name) \(value): expected 1 to 1000000")
        }
    }

    func run() async throws {
        var options = try model.engine.localModelOptions()
        options.contextLength = options.contextLength ?? promptTokens + outputTokens + 1
        options.sequenceCount = streams
        options.engine.maxRunningSequences = max(streams, options.engine.maxRunningSequences)
        options.engine.maxWaitingSequences = max(streams, options.engine.maxWaitingSequences)
        let loaded = try LocalModel(path: model.path(), options: options)
        _ = try await measure(loaded, seed: 0, outputTokens: min(outputTokens, 8))
        var runs: [EngineRun] = []
        for seed in 1...repeats { runs.append(try await measure(loaded, seed: seed, outputTokens: outputTokens)) }
        await loaded.engine.shutDown()
        try report(runs, loaded)
    }

    private func measure(_ model: LocalModel, seed: Int, outputTokens: Int) async throws -> EngineRun {
        let clock = ContinuousClock()
        let start = clock.now
        let arrivals = try await withThrowingTaskGroup(of: [Duration].self) { group in
            for stream in 0..<streams {
                var request = GenerationRequest(
                    id: "bench-\(seed)-\(stream)",
                    promptTokenIDs: prompt(
                        seed: seed * 100_003 + stream, vocabularyCount: model.engine.limits.vocabularyCount),
                    sampling: .greedy)
                request.maxTokenCount = outputTokens
                request.ignoresEndOfGeneration = true
                let events = try model.engine.submit(request)
                group.addTask {
                    var arrivals: [Duration] = []
                    for await event in events {
                        switch event {
                        case .token: arrivals.append(clock.now - start)
                        case .finished(let finish):
                            if case .failed(let message) = finish.reason { throw CommandFailure(message) }
                        default: break
                        }
                    }
                    return arrivals
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        return EngineRun(arrivals: arrivals, promptTokens: promptTokens)
    }

    /// Ids from a multiplicative generator (Knuth's MMIX constants), spread over the vocabulary.
    private func prompt(seed: Int, vocabularyCount: Int) -> [TokenID] {
        var state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 &+ 1
        return (0..<promptTokens).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return TokenID((state >> 33) % UInt64(vocabularyCount))
        }
    }

    private func report(_ runs: [EngineRun], _ model: LocalModel) throws {
        let prefill = EngineRun.median(runs.map(\.prefillRate))
        let decode = EngineRun.median(runs.map(\.decodeRate))
        let first = EngineRun.median(runs.map(\.timeToFirstToken))
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        let peak = Int64(usage.ru_maxrss) * 1024
        guard output == .json else {
            return try TextOutput.standard.write(
                """
                prefill  \(prefill.formatted(decimals: 1)) tok/s   (\(streams) x \(promptTokens) tokens)
                decode   \(decode.formatted(decimals: 1)) tok/s   (\(streams) x \(outputTokens) tokens)
                first token  \((first * 1000).formatted(decimals: 1)) ms
                load  \((model.loadDuration.inSeconds * 1000).formatted(decimals: 1)) ms
                peak memory  \(peak >> 20) MiB

                """)
        }
        let result: JSONValue = [
            "model": .string(model.name), "device": .string(model.deviceDescription),
            "threads": .integer(Int64(model.threadCount)), "streams": .integer(Int64(streams)),
            "prompt_tokens": .integer(Int64(promptTokens)), "output_tokens": .integer(Int64(outputTokens)),
            "prefill_tokens_per_second": .number(prefill), "decode_tokens_per_second": .number(decode),
            "time_to_first_token_seconds": .number(first), "load_seconds": .number(model.loadDuration.inSeconds),
            "peak_rss_bytes": .integer(peak), "runs": .array(runs.map(\.json)),
        ]
        try TextOutput.standard.writeLine(result.text())
    }
}

/// What one repetition showed.
private struct EngineRun {
    /// Prompt tokens of all streams a second, up to the last stream's first token.
    let prefillRate: Double
    /// Tokens of all streams a second, from the last stream's first token on.
    let decodeRate: Double
    /// Seconds, median over streams.
    let timeToFirstToken: Double

    init(arrivals: [[Duration]], promptTokens: Int) {
        let firsts = arrivals.compactMap(\.first).map(\.inSeconds)
        let allStarted = firsts.max() ?? 0
        prefillRate = Double(arrivals.count * promptTokens) / allStarted
        let later = arrivals.joined().map(\.inSeconds).filter { $0 > allStarted }
        decodeRate = later.isEmpty ? 0 : Double(later.count) / ((later.max() ?? 0) - allStarted)
        timeToFirstToken = Self.median(firsts)
    }

    var json: JSONValue {
        [
            "prefill_tokens_per_second": .number(prefillRate), "decode_tokens_per_second": .number(decodeRate),
            "time_to_first_token_seconds": .number(timeToFirstToken),
        ]
    }

    static func median(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        guard !sorted.isEmpty else { return 0 }
        let middle = sorted.count / 2
        return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
    }
}
