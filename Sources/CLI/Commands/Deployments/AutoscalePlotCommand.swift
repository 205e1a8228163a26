import ArgumentParser
import Deployments
import Terminal

/// `pbctl autoscale plot`
struct AutoscalePlotCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plot",
        abstract: "Draw a course of load and replicas that was recorded.",
        discussion: """
            Reads CSV with the columns time_s, running, queued, ready_replicas, desired_replicas, in any order; others are
            passed over. 'autoscale simulate -o csv' writes such a file.

            EXAMPLES:
              pbctl autoscale plot monday.csv
              pbctl autoscale plot monday.csv --svg monday.svg
            """)

    @Argument(help: "The course (- for standard input).", completion: .file(extensions: ["csv"]))
    var file: String

    @Option(help: ArgumentHelp("Write a picture instead of showing it here.", valueName: "file"))
    var svg: String?

    func run() async throws {
        let charts = try Self.charts(of: InputText.content(of: file), place: file)
        if let svg { return try TextFile.write(LineChart.svg(charts), to: TextFile.expanded(svg)) }
        let width = min(TerminalState.width(), 120)
        try TextOutput.standard.write(charts.map { $0.text(width: width) }.joined(separator: "\n"))
    }

    private static let columns = ["time_s", "running", "queued", "ready_replicas", "desired_replicas"]

    /// The load, and the replicas, over time.
    static func charts(of text: String, place: String) throws(CommandFailure) -> [LineChart] {
        let lines = text.split(whereSeparator: \.isNewline).filter { !$0.isEmpty }
        func failure(_ line: Int, _ message: String) -> CommandFailure {
            CommandFailure("\(place):\(line): \(message)", status: ExitStatus.dataError)
        }
        guard let header = lines.first else { throw failure(1, "there is nothing in it") }
        let names = header.split(separator: ",", omittingEmptySubsequences: false).map { $0.filter { $0 != " " } }
        var places: [Int] = []
        for column in columns {
            guard let index = names.firstIndex(of: column) else {
                throw failure(1, "there is no column \(column); expected \(columns.joined(separator: ", "))")
            }
            places.append(index)
        }
        var rows: [[Double]] = []
        for (number, line) in lines.enumerated().dropFirst() {
            let cells = line.split(separator: ",", omittingEmptySubsequences: false)
            var row: [Double] = []
            for (index, column) in zip(places, columns) {
                guard index < cells.count, let value = Double(cells[index].filter { $0 != " " }), value.isFinite else {
                    throw failure(number + 1, "\(column): expected a number")
                }
                row.append(value)
            }
            if let last = rows.last, row[0] < last[0] { throw failure(number + 1, "time_s goes back") }
            rows.append(row)
        }
        guard !rows.isEmpty else { throw failure(1, "there are no rows below the header") }
        func series(_ name: String, isStepped: Bool, _ value: ([Double]) -> Double) -> LineChart.Series {
            LineChart.Series(
                name: name, points: rows.map { LineChart.Point($0[0], value($0)) }, isStepped: isStepped)
        }
        return [
            LineChart(
                title: "Requests",
                series: [
                    series("running + queued", isStepped: false) { $0[1] + $0[2] },
                    series("queued", isStepped: false) { $0[2] },
                ]),
            LineChart(
                title: "Replicas",
                series: [
                    series("asked for", isStepped: true) { $0[4] }, series("ready", isStepped: true) { $0[3] },
                ]),
        ]
    }
}
