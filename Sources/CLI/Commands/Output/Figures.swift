import ControlAPI
import Deployments

/// Numbers as tables show them. What was not measured is a dash.
enum Figures {
    /// A rate with three significant digits at most: `0.25`, `12.3`, `1234`.
    static func rate(_ value: Double?) -> String {
        guard let value, value.isFinite else { return "-" }
        return value.formatted(decimals: value == 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2)
    }

    /// Seconds as time: `850 us`, `12 ms`, `1.25 s`, `2m5s`.
    static func seconds(_ value: Double?) -> String {
        guard let value, value.isFinite, value >= 0 else { return "-" }
        if value == 0 { return "0 ms" }
        if value < 0.001 { return "\((value * 1e6).formatted(decimals: 0)) us" }
        if value < 1 { return "\((value * 1000).formatted(decimals: value < 0.01 ? 1 : 0)) ms" }
        if value < 100 { return "\(value.formatted(decimals: value < 10 ? 2 : 1)) s" }
        return DurationText.text(.seconds(min(value, 1e9)))
    }

    static func percent(_ share: Double?) -> String {
        guard let share, share.isFinite else { return "-" }
        return "\((share * 100).formatted(decimals: 0)) %"
    }

    /// How long ago a moment was.
    static func age(_ moment: Timestamp?, now: Timestamp) -> String {
        guard let moment else { return "-" }
        return DurationText.text(now.since(moment))
    }

    /// The six figures of a deployment on two lines, with more on a third.
    static func lines(_ figures: FiguresView) -> [String] {
        let counts = figures.requests.filter { $0.value > 0 }.sorted { $0.key < $1.key }
        let requests = counts.map { "\($0.value) \($0.key)" }
        return [
            "\(rate(figures.requestsPerSecond)) requests/s · \(rate(figures.generatedTokensPerSecond)) tokens/s · "
                + "\(rate(figures.replicas)) replicas · utilization \(percent(figures.utilization))",
            "inference \(spread(figures.inferenceTime)) · queue \(spread(figures.queueDuration))",
            "first token \(spread(figures.timeToFirstToken)) · between tokens \(spread(figures.interToken))"
                + (requests.isEmpty ? "" : " · \(requests.joined(separator: ", "))"),
        ]
    }

    private static func spread(_ spread: SpreadView) -> String {
        spread.mean == nil ? "-" : "\(seconds(spread.mean)) (p95 \(seconds(spread.p95)))"
    }
}

extension Timestamp {
    /// The moment now.
    static var now: Timestamp {
        let time = WallClock.now
        return Timestamp(milliseconds: time)
    }
}
