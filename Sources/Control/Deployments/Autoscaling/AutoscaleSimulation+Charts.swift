extension AutoscaleSimulation {
    /// The requests and the replicas over time, to be shown below each other.
    package var charts: [LineChart] {
        func line(_ name: String, isStepped: Bool, _ value: (Point) -> Int) -> LineChart.Series {
            LineChart.Series(
                name: name, points: points.map { LineChart.Point($0.time, Double(value($0))) }, isStepped: isStepped)
        }
        return [
            LineChart(
                title: "Requests",
                series: [
                    line("running + queued", isStepped: false) { $0.load },
                    line("queued", isStepped: false) { $0.queued },
                ]),
            LineChart(
                title: "Replicas",
                series: [
                    line("asked for", isStepped: true) { $0.desiredReplicas },
                    line("ready", isStepped: true) { $0.readyReplicas },
                ]),
        ]
    }

    /// The series as CSV, a row a look.
    package var csv: String {
        var text = "time_s,running,queued,ready_replicas,starting_replicas,desired_replicas\n"
        for point in points {
            text += "\(ChartScale.text(point.time)),\(point.running),\(point.queued),\(point.readyReplicas),"
            text += "\(point.startingReplicas),\(point.desiredReplicas)\n"
        }
        return text
    }
}
