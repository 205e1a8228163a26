import ArgumentParser
import ControlAPI
import ControlClient
import ServingJSON
import Terminal

/// `pbctl metrics`
struct MetricsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "metrics",
        abstract: "Show a deployment's figures through time.",
        discussion: """
            Requests and generated tokens a second, how long inference and waiting took, replicas and their utilization. In CSV
            and JSON times are in seconds, and what was not measured is empty or null.

            EXAMPLES:
              pbctl metrics demo
              pbctl metrics demo --since 24h --step 15m
              pbctl metrics demo --since 7d --adapter tone/1 -o csv > demo.csv
            """)

    enum Format: String, ExpressibleByArgument, CaseIterable {
        case table, csv, json
    }

    @OptionGroup var deployment: DeploymentArgument

    @Option(help: ArgumentHelp("How far back.", valueName: "duration"))
    var since = DurationText(.seconds(3600))

    @Option(help: ArgumentHelp("Time of one row (default: what fits).", valueName: "duration"))
    var step: DurationText?

    @Option(help: ArgumentHelp("Only requests for one adapter.", valueName: "adapter"))
    var adapter: String?

    @Option(name: .shortAndLong, help: "Format: table, csv or json.")
    var output = Format.table

    @OptionGroup(title: "Server options") var server: ServerOptions

    func run() async throws {
        let name = try deployment.checked()
        let points = try await server.client().metrics(
            of: name, since: since.duration, step: step?.duration, adapter: adapter)
        switch output {
        case .json:
            let list = Resource.list("MetricsPoint", points.map(\.json))
            try TextOutput.standard.writeLine(list.text(style: .pretty))
        case .csv: try TextOutput.standard.write(MetricsText.csv(points))
        case .table:
            if points.isEmpty { return try TextOutput.error.writeLine("nothing was measured in that time") }
            try TextOutput.standard.write(MetricsText.table(points))
        }
    }
}

/// A deployment's history of figures as text.
enum MetricsText {
    static func table(_ points: [MetricsPointView]) -> String {
        var table = TextTable([
            "TIME", "RPS", "TOK/S", "INFERENCE", "P95", "QUEUE", "P95", "TTFT", "REPLICAS", "UTILIZATION",
        ])
        for point in points {
            let figures = point.figures
            table.add([
                String(point.at.iso8601.prefix(19)), Figures.rate(figures.requestsPerSecond),
                Figures.rate(figures.generatedTokensPerSecond), Figures.seconds(figures.inferenceTime.mean),
                Figures.seconds(figures.inferenceTime.p95), Figures.seconds(figures.queueDuration.mean),
                Figures.seconds(figures.queueDuration.p95), Figures.seconds(figures.timeToFirstToken.mean),
                Figures.rate(figures.replicas), Figures.percent(figures.utilization),
            ])
        }
        return table.text
    }

    /// A row a point; columns by the API's names.
    static func csv(_ points: [MetricsPointView]) -> String {
        let outcomes = Set(points.flatMap { $0.figures.requests.keys }).sorted()
        let spreads = ["inferenceTime", "queueDuration", "timeToFirstToken", "interToken"]
        let parts = ["mean", "p50", "p95", "p99"]
        var head = ["at", "requestsPerSecond", "generatedTokensPerSecond", "replicas", "utilization"]
        head += spreads.flatMap { spread in parts.map { "\(spread).\($0)" } } + outcomes.map { "requests.\($0)" }
        let rows = points.map { point in
            let json = point.json
            var cells = head.prefix(5).map { cell(json[$0]) }
            cells += spreads.flatMap { spread in parts.map { cell(json[spread]?[$0]) } }
            cells += outcomes.map { "\(point.figures.requests[$0] ?? 0)" }
            return cells.joined(separator: ",") + "\n"
        }
        return head.joined(separator: ",") + "\n" + rows.joined()
    }

    private static func cell(_ value: JSONValue?) -> String {
        guard let value, !value.isNull else { return "" }
        return value.stringValue ?? value.text()
    }
}
