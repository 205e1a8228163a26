import ArgumentParser
import Deployments
import ServingJSON
import Terminal

/// `pbctl autoscale simulate`
struct AutoscaleSimulateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Try limits on a course of load, without a server.",
        discussion: """
            Replays a trace, or a made-up one, through the autoscaler that deployments use, with a simple model of replicas. A
            trace is CSV (time_s,arrivals or time_s,concurrency) or one such JSON object a line.

            EXAMPLES:
              pbctl autoscale simulate --synthetic spike --peak 20 --threshold 8
              pbctl autoscale simulate --trace monday.csv --max 8 --svg monday.svg
              pbctl autoscale simulate --synthetic diurnal --duration 24h -o csv > a.csv
            """)

    enum Course: String, ExpressibleByArgument, CaseIterable {
        case ramp, spike, diurnal, poisson
    }

    enum Format: String, ExpressibleByArgument, CaseIterable {
        case text, json, csv
    }

    @Option(
        help: ArgumentHelp("The load: CSV or JSON lines (- for standard input).", valueName: "file"),
        completion: .file())
    var trace: String?

    @Option(help: ArgumentHelp("A made-up load: ramp, spike, diurnal or poisson.", valueName: "course"))
    var synthetic: Course?

    @Option(help: ArgumentHelp("How long the made-up load goes on.", valueName: "duration"))
    var duration = DurationText(.seconds(1800))

    @Option(help: ArgumentHelp("Requests a second at its peak.", valueName: "rate"))
    var peak = 4.0

    @Option(help: "The same seed gives the same load.")
    var seed: UInt64 = 1

    @Option(name: .customLong("min"), help: ArgumentHelp("Fewest replicas.", valueName: "count"))
    var minReplicas = 0

    @Option(name: .customLong("max"), help: ArgumentHelp("Most replicas.", valueName: "count"))
    var maxReplicas = 4

    @Option(
        help: ArgumentHelp("Requests that a replica handles at a time before another is started.", valueName: "count"))
    var threshold = 4

    @Option(help: ArgumentHelp("Time without load before replicas are given up.", valueName: "duration"))
    var cooldown = DurationText(.seconds(120))

    @Option(help: ArgumentHelp("Time that a request takes once a replica works on it.", valueName: "duration"))
    var requestTime = DurationText(.seconds(2))

    @Option(help: ArgumentHelp("Requests that a replica works on at a time.", valueName: "count"))
    var slots = 8

    @Option(help: ArgumentHelp("Time until a new replica is ready.", valueName: "duration"))
    var startup = DurationText(.seconds(10))

    @Option(help: ArgumentHelp("Write a picture of it.", valueName: "file"), completion: .file(extensions: ["svg"]))
    var svg: String?

    @Option(name: .shortAndLong, help: "Format: text, json or csv.")
    var output = Format.text

    func validate() throws {
        guard (trace == nil) != (synthetic == nil) else {
            throw ValidationError("give --trace FILE or --synthetic COURSE")
        }
        guard ConfigRange.maxReplicas.contains(maxReplicas) else {
            throw ValidationError("--max \(maxReplicas): expected 1 to 1000")
        }
        guard (0...maxReplicas).contains(minReplicas) else {
            throw ValidationError("--min \(minReplicas): expected 0 to \(maxReplicas), which is --max")
        }
        guard threshold >= 1 else { throw ValidationError("--threshold \(threshold): expected at least 1") }
        guard slots >= 1 else { throw ValidationError("--slots \(slots): expected at least 1") }
    }

    func run() async throws {
        let simulation = AutoscaleSimulation(
            trace: try load(),
            limits: ScalingLimits(
                minReplicas: minReplicas, maxReplicas: maxReplicas, threshold: threshold, cooldown: cooldown.duration),
            service: AutoscaleSimulation.Service(
                secondsPerRequest: requestTime.duration.inSeconds, slotsPerReplica: slots,
                startupSeconds: startup.duration.inSeconds), initialReplicas: minReplicas)
        if let svg { try TextFile.write(LineChart.svg(simulation.charts), to: TextFile.expanded(svg)) }
        switch output {
        case .csv: try TextOutput.standard.write(simulation.csv)
        case .json: try TextOutput.standard.writeLine(Self.json(simulation).text(style: .pretty))
        case .text: try TextOutput.standard.write(Self.text(simulation, width: min(TerminalState.width(), 120)))
        }
    }

    private func load() throws -> AutoscaleTrace {
        let text = try trace.map { try InputText.content(of: $0) }
        do throws(TraceFault) {
            if let text { return try AutoscaleTrace(parsing: text) }
            let course = SyntheticTrace(rawValue: (synthetic ?? .ramp).rawValue) ?? .ramp
            return try course.trace(duration: duration.seconds, peak: peak, seed: seed)
        } catch {
            throw CommandFailure("\(trace.map { "\($0): " } ?? "")\(error)", status: ExitStatus.dataError)
        }
    }

    private static func rows(_ summary: AutoscaleSimulation.Summary) -> [(name: String, value: Double)] {
        [
            ("requests", Double(summary.requestCount)), ("unanswered", Double(summary.unansweredCount)),
            ("waitP50", summary.waitP50), ("waitP95", summary.waitP95), ("longestWait", summary.longestWait),
            ("peakLoad", Double(summary.peakLoad)), ("peakReplicas", Double(summary.peakReplicas)),
            ("replicaSeconds", summary.replicaSeconds), ("utilization", summary.utilization),
        ]
    }

    static func json(_ simulation: AutoscaleSimulation) -> JSONValue {
        let decisions = simulation.decisions.map { time, decision -> JSONValue in
            var object = JSONObject([("time", .number(time))])
            for (key, value) in decision.data.members { object[key] = value }
            return .object(object)
        }
        let summary = JSONObject(rows(simulation.summary).map { ($0.name, .number($0.value)) })
        return Resource.single(
            "AutoscaleSimulation", JSONObject([("summary", .object(summary)), ("decisions", .array(decisions))]))
    }

    static func text(_ simulation: AutoscaleSimulation, width: Int) -> String {
        let summary = simulation.summary
        var text = simulation.charts.map { $0.text(width: width) }.joined(separator: "\n")
        var table = TextTable([])
        for (time, decision) in simulation.decisions {
            table.add(["  \(DurationText.text(.seconds(time)))", decision.reason.rawValue, decision.message])
        }
        if !simulation.decisions.isEmpty { text += "\nDECISIONS\n" + table.text }
        text += "\n\(summary.requestCount) requests, at most \(summary.peakLoad) at a time · waiting "
        text += "p50 \(Figures.seconds(summary.waitP50)), p95 \(Figures.seconds(summary.waitP95)), longest "
        text += "\(Figures.seconds(summary.longestWait)) · at most \(summary.peakReplicas) replicas, "
        text += "\(DurationText.text(.seconds(summary.replicaSeconds))) of them in all, utilization "
        text += "\(Figures.percent(summary.utilization))\n"
        if summary.unansweredCount > 0 { text += "\(summary.unansweredCount) requests were not answered\n" }
        return text
    }
}
