import ArgumentParser
import ServingEngine
import ServingJSON
import ServingRuntime
import ServingTensors
import ServingTokenizers
import Terminal

/// `pbctl prompt`
struct PromptCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prompt",
        abstract: "Prompt a deployment or a model.",
        discussion: """
            The answer goes to standard output as it is generated. Text is put to the model as a user's message by its
            chat template; --raw continues the text itself. Without text, standard input is the prompt; on a terminal a
            conversation begins (see 'pbctl chat').

            Without --model, a first word that names a deployment sends the prompt there; one that sleeps is woken.
            Otherwise the model runs in this process.

            EXAMPLES:
              pbctl prompt demo "Why is the sky blue?"
              cat notes.md | pbctl prompt demo --adapter tone/1 --system "Summarise."
              pbctl prompt -m model.gguf "Why is the sky blue?"
              cat notes.md | pbctl prompt -m model.gguf --system "Summarise."
              pbctl prompt -m model.gguf --raw --max-tokens 40 "Once upon a time"
              pbctl prompt -m model.gguf -t 0.8 --seed 7 --json "Name a colour."
              pbctl prompt -m model.gguf --batch rows.jsonl -o jsonl
            """)

    /// Forms of the result.
    enum Format: String, ExpressibleByArgument, CaseIterable {
        case text, json, jsonl
    }

    @OptionGroup var model: ModelOptions
    @OptionGroup(title: "Server options") var server: ServerOptions

    @Option(
        help: ArgumentHelp("The deployment to prompt, whatever the first word is.", valueName: "name"),
        completion: DeploymentNames.completion)
    var deployment: String?

    @OptionGroup(title: "Adapter options") var adapters: AdapterOptions
    @OptionGroup(title: "Sampling options") var sampling: SamplingOptions

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "Read the prompt from a file (- for standard input).",
            valueName: "file"), completion: .file())
    var file: String?

    @Option(name: .shortAndLong, help: ArgumentHelp("System message.", valueName: "text"))
    var system: String?

    @Flag(help: "Continue the text instead of answering it: no chat template.")
    var raw = false

    @Flag(help: "Take special tokens that the text spells as tokens, with --raw.")
    var specialTokens = false

    @Option(
        help: ArgumentHelp(
            "Answer the rows of a JSONL file (- for standard input) in one batch.",
            valueName: "file"), completion: .file())
    var batch: String?

    @Option(help: ArgumentHelp("How many answers to generate.", valueName: "count"))
    var samples = 1

    @Option(
        help: ArgumentHelp(
            "Show each token's log-probability and those of so many others, with json.",
            valueName: "count"))
    var logprobs: Int?

    @Option(name: .shortAndLong, help: "Format: text, json, or jsonl.")
    var output = Format.text

    @Flag(help: "The same as -o json.")
    var json = false

    @Flag(help: "Say on standard error how long it took.")
    var stats = false

    @Argument(
        help: ArgumentHelp(
            "A deployment's name, then the prompt; several words are joined, - stands for standard input.",
            valueName: "text"), completion: DeploymentNames.completion)
    var text: [String] = []

    func validate() throws {
        if batch != nil, !text.isEmpty || file != nil || system != nil || raw {
            throw ValidationError("--batch takes everything from its rows: leave out text, --file, --system and --raw")
        }
        if raw, system != nil { throw ValidationError("--raw has no place for a --system message") }
        if specialTokens, !raw { throw ValidationError("--special-tokens needs --raw") }
        if deployment != nil, model.model != nil || model.local || batch != nil {
            throw ValidationError("--deployment can't be together with --model, --local or --batch")
        }
    }

    func run() async throws {
        if let batch { return try await runBatch(batch) }
        let found = try await DeploymentTarget.find(
            text, explicit: deployment, namesModel: model.model != nil || model.local, server: server)
        if let found { return try await run(found.target, found.words) }
        guard let prompt = try promptText(text) else {
            return try await ChatCommand.run(
                model: model, adapters: adapters, sampling: sampling, system: system, stats: stats)
        }
        try checkFilled(prompt)
        do { try await run(prompt) } catch let failure as CommandFailure {
            throw failure.suggestingDeployment(for: text)
        }
    }

    private func checkFilled(_ prompt: String) throws(CommandFailure) {
        guard raw || prompt.utf8.contains(where: { $0 > 0x20 }) else {
            throw .usage("the prompt is empty", hint: "give some text, or -f FILE")
        }
    }

    /// Prompts a deployment.
    private func run(_ target: DeploymentTarget, _ words: [String]) async throws {
        guard let prompt = try promptText(words) else {
            return try await ChatCommand.run(
                target, adapter: adapters.adapter, sampling: sampling, system: system, stats: stats)
        }
        try checkFilled(prompt)
        guard sampling.stopToken.isEmpty, !specialTokens else {
            throw CommandFailure.usage("--stop-token and --special-tokens are for models in this process (--model)")
        }
        var body = CompletionBody.adapter(adapters.adapter)
        let parameters = sampling.parameters(defaultTemperature: 0)
        for (key, value) in CompletionBody.sampling(
            parameters, maxTokens: sampling.maxTokens, stop: sampling.stop, ignoresEndOfGeneration: sampling.ignoreEos
        ).members { body[key] = value }
        if samples != 1 { body["n"] = .integer(Int64(samples)) }
        if let logprobs {
            body["logprobs"] = raw ? .integer(Int64(logprobs)) : true
            if !raw, logprobs > 0 { body["top_logprobs"] = .integer(Int64(logprobs)) }
        }
        if raw {
            body["prompt"] = .string(prompt)
        } else {
            body["messages"] = .array(
                (system.map { [ChatMessage.system($0).json] } ?? []) + [ChatMessage.user(prompt).json])
        }
        let run = DeploymentPrompt(
            target: target, format: json ? .json : output, adapter: adapters.adapter, sampleCount: samples)
        let (statistics, wasInterrupted) = try await run.run(body, isRaw: raw)
        if stats { for line in statistics { try? TextOutput.error.writeLine(line) } }
        if wasInterrupted { throw CancellationError() }
    }

    /// Prompts a model in this process.
    private func run(_ prompt: String) async throws {
        let format = json ? .json : output
        let loaded = try model.load(adapters: adapters)
        var request = try makeRequest(prompt, loaded)
        try await adapters.acquire(loaded)?.apply(to: &request)
        let events: AsyncStream<GenerationEvent>
        do {
            events = try loaded.engine.submit(request)
        } catch {
            throw Self.failure(for: error)
        }
        let printer = AnswerPrinter(format: format, tokenizer: loaded.codec?.tokenizer, sampleCount: samples)
        let (result, wasInterrupted) = await InterruptMonitor.run { () async throws -> GenerationOutput in
            try await printer.print(events)
        }
        let answers = Answer.all(of: try result.get())
        if !wasInterrupted { try printer.finish(answers, model: loaded) }
        try TextOutput.standard.flush()
        if stats {
            for answer in answers { try? TextOutput.error.writeLine(answer.statistics) }
        }
        if wasInterrupted { throw CancellationError() }
        if let failure = answers.compactMap(\.failure).first { throw CommandFailure(failure) }
    }

    /// The prompt from wherever it is given, or nil where a conversation is to begin.
    private func promptText(_ words: [String]) throws -> String? {
        var parts = words
        if let position = parts.firstIndex(of: "-") {
            guard file != "-" else { throw CommandFailure.usage("standard input can't be both - and --file -") }
            parts[position] = InputText.all()
        }
        var blocks = parts.isEmpty ? [] : [parts.joined(separator: " ")]
        if let file { blocks.append(try InputText.content(of: file)) }
        if !blocks.isEmpty { return blocks.joined(separator: "\n\n") }
        return InputText.isTerminal ? nil : InputText.all()
    }

    private func makeRequest(_ prompt: String, _ loaded: LocalModel) throws -> GenerationRequest {
        let codec = try loaded.requireCodec()
        let ids =
            raw || !codec.hasChatTemplate
            ? codec.promptTokens(
                system.map { "\($0)\n\n\(prompt)" } ?? prompt, specialTokens: specialTokens ? .recognized : .asText)
            : try codec.promptTokens(chat: ChatPrompt(system: system, user: prompt))
        var request = defaultRequest(loaded)
        request.promptTokenIDs = ids
        request.sampleCount = samples
        return request
    }

    private func defaultRequest(_ loaded: LocalModel) -> GenerationRequest {
        var request = loaded.request(
            id: "prompt", promptTokenIDs: [], sampling: sampling.parameters(defaultTemperature: 0))
        request.maxTokenCount = sampling.maxTokens
        request.stopStrings = sampling.stop
        request.stopTokenIDs = Set(sampling.stopToken)
        request.ignoresEndOfGeneration = sampling.ignoreEos
        request.logProbabilityCount = logprobs
        return request
    }

    /// What a user is told about a request that the engine refuses.
    static func failure(for error: SubmissionError) -> CommandFailure {
        switch error {
        case .invalidParameter(let error): .usage(error.description(naming: ParameterError.flags))
        case .emptyPrompt: .usage("the prompt is empty", hint: "give some text, or -f FILE")
        case .promptTooLong:
            CommandFailure(error.description, hint: "shorten it, or raise --context if the model allows more")
        case .exceedsCache: CommandFailure(error.description, hint: "raise --kv-memory, or shorten the prompt")
        case .queueFull: CommandFailure(error.description, status: ExitStatus.tryAgain)
        default: CommandFailure(error.description)
        }
    }

    private func runBatch(_ path: String) async throws {
        let rows = try BatchFile.rows(of: path)
        var options = try model.engine.localModelOptions()
        options.sequenceCount = min(max(rows.count, 1), 64)
        // A row of the window is never turned away, however many samples it asks for.
        options.engine.maxWaitingSequences = BatchRun.window * GenerationRequest.sampleLimit
        options.adapters = try adapters.libraryOptions()
        let loaded = try LocalModel(path: model.path(), options: options)
        var defaults = defaultRequest(loaded)
        try await adapters.acquire(loaded)?.apply(to: &defaults)
        let run = BatchRun(model: loaded, defaults: defaults, rows: rows, format: json ? .json : output)
        let (result, wasInterrupted) = await InterruptMonitor.run { () async throws -> Int in try await run.run() }
        let failureCount = try result.get()
        try TextOutput.standard.flush()
        if stats {
            let statistics = loaded.engine.statistics()
            try? TextOutput.error.writeLine(
                "\(rows.count) rows · \(statistics.generatedTokenCount) tokens in \(statistics.stepCount) steps · "
                    + "\(statistics.prefixHitTokenCount) prompt tokens from the prefix cache · "
                    + "\(statistics.preemptionCount) preemptions")
        }
        if wasInterrupted { throw CancellationError() }
        if failureCount > 0 { throw CommandFailure("\(failureCount) of \(rows.count) rows were not answered") }
    }
}
