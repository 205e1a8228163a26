import ArgumentParser
import LoadGenerator
import ServingJSON
import Terminal

/// `pbctl bench serve`
struct BenchServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Measure a server under load, with many adapters or none.",
        discussion: """
            Sends streaming requests and reports time to first token, inter-token latency, time per output token and \
            tokens a second. A closed loop keeps --concurrency requests in flight; --rate sends them as they would \
            come from many people (a Poisson process), and counts latency from when each was due.

            Lengths are a number, uniform:LOW,HIGH, normal:MEAN,DEVIATION or file:PATH (a number a line). Prompts are \
            random words, and no two begin alike unless --shared-prefix-tokens says so. Answers go on past their end \
            to the length asked for.

            Popularity, of --adapters K: distinct takes one after another, uniform any, zipf[:EXPONENT] the first \
            most often, identical only the first. Their ids are those given, or the server's own list (/v1/models).

            EXAMPLES:
              pbctl bench serve --url http://127.0.0.1:8080 --concurrency 32
              pbctl bench serve --url http://127.0.0.1:8080 --adapters 32 -o json
              pbctl bench serve --url http://127.0.0.1:8080 --rate 4 --duration 60
            """)

    @OptionGroup(title: "Server") var server: LoadServerOptions
    @OptionGroup(title: "Load") var load: LoadOptions
    @OptionGroup(title: "Adapters") var adapters: LoadAdapterOptions

    /// Forms of the report.
    enum Format: String, ExpressibleByArgument, CaseIterable {
        case table, json
    }

    @Option(name: .shortAndLong, help: "Format: table or json.")
    var output = Format.table

    func run() async throws {
        do {
            let target = try server.target()
            var workload = try load.workload()
            (workload.adapterCount, workload.popularity) = (adapters.count, try adapters.loadPopularity())
            try LoadRun.allowConnections(load.limits.concurrency)
            let probe = ServerProbe(target)
            try await probe.checkReachable()
            let template = try await template(probe)
            if server.api == .llama { try await prepareLlama(probe) }
            let vocabulary = server.api.wire == .lorax ? try await probe.vocabulary() : nil
            let writer = PromptWriter(
                seed: workload.seed, vocabulary: vocabulary ?? PromptVocabulary(),
                sharedPrefixTokens: load.sharedPrefixTokens)
            let run = LoadRun(target: target, template: template, workload: workload, writer: writer)
            try await measure(run, workload, template)
        } catch let error as LoadGeneratorError {
            throw CommandFailure(error.description, status: error.exitStatus)
        }
    }

    private func measure(_ run: LoadRun, _ workload: Workload, _ template: RequestTemplate) async throws {
        let (limits, warmUpCount, stop) = (load.limits, load.warmup, StopFlag())
        let (result, wasInterrupted) = await InterruptMonitor.run(onInterrupt: { _ in stop.raise() }) {
            () async throws(CommandFailure) -> (report: LoadReport, clientSeconds: Double) in
            if warmUpCount > 0 {
                let concurrency = min(limits.concurrency, warmUpCount)
                let failure = await run.warmUp(count: warmUpCount, concurrency: concurrency, stop: stop)
                if let failure, !stop.isRaised {
                    throw CommandFailure(
                        "warming up failed: \(failure.kind): \(failure.message)", status: failure.exitStatus)
                }
            }
            let clock = ProcessorTime()
            return (await run.run(limits, stop: stop).report, clock.elapsed())
        }
        let (report, clientSeconds) = try result.get()
        let summary = LoadSummary(
            report: report, workload: workload, template: template, url: server.url, limits: limits,
            clientSeconds: clientSeconds)
        switch output {
        case .json: try TextOutput.standard.writeLine(summary.json.text())
        case .table: try TextOutput.standard.write(summary.table)
        }
        if wasInterrupted { throw CancellationError() }
        if report.successCount == 0 {
            let count = report.failureCount == 1 ? "the request" : "all \(report.failureCount) requests"
            let first = report.failures.first?.example
            throw CommandFailure(
                "\(count) failed: \(first.map { "\($0.kind): \($0.message)" } ?? "none was sent")",
                status: first?.exitStatus ?? ExitStatus.failed)
        }
    }

    /// What every request holds: the names that the server goes by, asked of it where they are not given.
    private func template(_ probe: ServerProbe) async throws -> RequestTemplate {
        var ids = try adapters.ids()
        var source = adapters.source
        var model = server.model
        let needsModel = model == nil && (server.api.wire == .openai || server.api.wire == .chat)
        let needsAdapters = ids == nil && adapters.count > 0 && server.api.wire != .llama
        if needsModel || needsAdapters {
            let listed = try await probe.models()
            if needsModel { model = listed.base.first }
            if needsAdapters {
                guard listed.adapters.count >= adapters.count else {
                    throw CommandFailure(
                        "--adapters \(adapters.count): \(server.url) lists \(listed.adapters.count) of them",
                        hint: "name them with --adapter-ids, --adapter-prefix or --adapter-root")
                }
                ids = Array(listed.adapters.prefix(adapters.count))
            }
        }
        if source == nil, server.api.wire == .lorax, adapters.root != nil { source = "local" }
        var template = RequestTemplate(
            api: server.api.wire, model: model ?? "default", adapterIDs: ids ?? [], adapterSource: source)
        template.ignoresEndOfText = !load.stopAtEnd
        return template
    }

    private func prepareLlama(_ probe: ServerProbe) async throws {
        let count = try await probe.clearLlamaAdapters()
        guard count >= adapters.count else {
            throw CommandFailure(
                "--adapters \(adapters.count): \(server.url) has loaded \(count)",
                hint: "start it with --lora FILE,FILE")
        }
    }
}

extension LoadGeneratorError {
    fileprivate var exitStatus: Int32 {
        switch code {
        case .badOption: ExitStatus.usage
        case .unreachable: ExitStatus.unreachable
        case .missingLibrary, .unusableAnswer: ExitStatus.failed
        }
    }
}

extension RequestFailure {
    fileprivate var exitStatus: Int32 { isUnreachable ? ExitStatus.unreachable : ExitStatus.failed }
}
