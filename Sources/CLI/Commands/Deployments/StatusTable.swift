import ControlAPI
import Deployments

/// All deployments as a table, one a row.
struct StatusTable {
    private let views: [DeploymentView]
    private let now: Timestamp
    private let isWide: Bool

    init(_ views: [DeploymentView], now: Timestamp, isWide: Bool = false) {
        self.views = views
        self.now = now
        self.isWide = isWide
    }

    var text: String {
        var head = ["NAME", "STATUS", "READY", "MODEL", "RPS", "TOK/S", "P95", "AGE"]
        if isWide { head += ["REVISION", "LOAD", "ENDPOINT", "REASON"] }
        var table = TextTable(head)
        for view in views { table.add(row(view)) }
        return table.text
    }

    private func row(_ view: DeploymentView) -> [String] {
        let figures = view.figures
        var row = [
            view.name, view.status.rawValue, "\(view.currentReplicas)/\(view.desiredReplicas)",
            isWide ? view.model : Self.short(view.model), Figures.rate(figures?.requestsPerSecond),
            Figures.rate(figures?.generatedTokensPerSecond), Figures.seconds(figures?.inferenceTime.p95),
            Figures.age(view.createdAt, now: now),
        ]
        if isWide {
            row += [
                "\(view.revision)", "\(view.load.running)+\(view.load.queued)", view.endpoint.openai, view.statusReason,
            ]
        }
        return row
    }

    /// The last part of a path, at most 40 characters.
    static func short(_ model: String) -> String {
        let name = model.split(separator: "/").last.map(String.init) ?? model
        return name.count > 40 ? String(name.prefix(39)) + "…" : name
    }
}
